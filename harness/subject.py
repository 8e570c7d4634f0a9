"""What is measured: how an application of this kind is started. WaveCom is one; ``benchmarks/reference`` is another."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from harness import receipts
from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.programs import PROGRAMS, ProgramService
from wavecom.local.readiness import Check, check_of
from wavecom.local.service import Service
from wavecom.settings import Settings

#: Groups of processes, in the order in which reports show them.
WEB, WORKER, OPS = "web", "worker", "ops"
MONGODB, RABBITMQ, REDIS = "MongoDB", "RabbitMQ", "Redis"
PROVIDER, LOAD = "provider", "load"
GROUPS = (WEB, WORKER, OPS, MONGODB, RABBITMQ, REDIS, PROVIDER, LOAD)

MAIN = "main"
_PROVIDERS_FILE = "providers.toml"

#: The subject that goals are about; others are there to compare.
WAVECOM = "WaveCom"


@dataclass(frozen=True, slots=True)
class ProviderPlan:
    """A provider of the deployment."""

    latency_seconds: float = 0.05
    #: The share of its calls that it answers 503.
    failing: float = 0.0
    #: What the application is told it may send to it; None: as much as it can.
    rate_per_second: float | None = None
    #: How long a call of it may take; None: as the application has it by default.
    timeout_seconds: float | None = None
    #: It reports what became of messages, by ``harness.receipts``.
    has_receipts: bool = False
    #: A channel of several providers is theirs in the order in which the shape names them.
    channels: tuple[str, ...] = ("email", "sms", "push")


@dataclass(frozen=True, slots=True)
class ApplicationSetup:
    """How the application is built up for a scenario."""

    providers: Mapping[str, ProviderPlan] = field(default_factory=lambda: {MAIN: ProviderPlan()})
    workers: int = 1
    #: Several need somebody before them, who listens at the API's port.
    webs: int = 1


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """What one running application is started with: folders, ports, addresses of servers and providers, its API key.

    ``web_ports``: by title, where each of several web processes listens; a single one does at ``api_port`` itself.
    """

    home: Path
    logs: Path
    shape: ApplicationSetup
    environment: Mapping[str, str]
    api_port: int
    api_key: str
    amqp_url: str
    redis_url: str
    mongodb_uri: str
    provider_ports: Mapping[str, int]
    web_ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{LOOPBACK}:{self.api_port}"

    @classmethod
    def create(
        cls, home: Path, logs: Path, shape: ApplicationSetup, environment: Mapping[str, str], **servers: str
    ) -> Self:
        """With a new key, and free ports for the API and for each provider. ``servers``: their three addresses."""
        webs = [f"web{number}" for number in range(1, shape.webs + 1)] if shape.webs > 1 else []
        [api_port, *others] = free_ports(1 + len(webs) + len(shape.providers))
        return cls(
            home=home,
            logs=logs,
            shape=shape,
            environment=environment,
            api_port=api_port,
            api_key=secrets.token_urlsafe(24),
            provider_ports=dict(zip(shape.providers, others[len(webs) :], strict=True)),
            web_ports=dict(zip(webs, others, strict=False)),
            **servers,
        )


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the application: the group whose cost it is, and how to tell that it is ready."""

    service: Service
    group: str
    check: Check


class Subject(Protocol):
    """An application that takes ``POST /api/notifications`` and calls a provider for each."""

    #: For reports.
    name: str
    #: It has ``POST /api/notifications/batch``.
    has_batch: bool
    #: The workers of one lane leave the others' messages alone.
    has_lanes: bool
    #: It has pages and lists.
    has_lists: bool
    #: It sends no more to a provider than it is told that this one takes.
    has_limits: bool
    #: It takes receipts in.
    has_receipts: bool
    #: It writes notifications by templates.
    has_templates: bool

    def processes(self, config: DeploymentConfig) -> Sequence[Process]:
        """What to launch, in this order. Writes the files that they need."""


class WaveCom:
    """The product, by its Procfile's own commands and default settings.

    ``extra``: environment variables that take the place of defaults; ``extra_of``: those of one process, by its title.
    """

    name = WAVECOM
    has_batch = True
    has_lanes = True
    has_lists = True
    has_limits = True
    has_receipts = True
    has_templates = True

    def __init__(
        self, extra: Mapping[str, str] | None = None, *, extra_of: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._extra = dict(extra or {})
        self._secret_key = secrets.token_urlsafe(24)
        self._extra_of = dict(extra_of or {})

    def processes(self, config: DeploymentConfig) -> Sequence[Process]:
        """See ``Subject.processes``: the Procfile's processes, with the recording provider in their providers file."""
        (config.home / _PROVIDERS_FILE).write_text(_providers_file(config), encoding="utf-8")
        groups = {"web": WEB, "worker": WORKER, "worker-high": WORKER, "ops": OPS, "beat": OPS}
        workers = [f"worker{number}" for number in range(1, config.shape.workers + 1)]
        several = {"web": list(config.web_ports) or ["web"], "worker": workers}
        found = []
        for program in PROGRAMS:
            if program.name not in groups:
                continue
            for title in several.get(program.name, [program.name]):
                log = config.logs / f"{title}.log"
                service = ProgramService(program, title=title, log=log, environment=self.environment(config, title))
                found.append(Process(service, groups[program.name], self.check_of(service, config)))
        return found

    def check_of(self, service: ProgramService, config: DeploymentConfig) -> Check:
        """How to tell that one of its processes is ready."""
        return check_of(service, Settings.from_environment(self.environment(config, service.title)))

    def environment(self, config: DeploymentConfig, title: str = "") -> dict[str, str]:
        """Variables of the process ``title``, or of a command that is to work with the same servers."""
        return {
            **config.environment,
            # By default attempts spread over three days; a trial is to end today.
            "WAVECOM_RETRY_CAP_SECONDS": "30",
            **self._extra,
            "WAVECOM_HOME": str(config.home),
            "WAVECOM_HOST": LOOPBACK,
            "WAVECOM_PORT": str(config.web_ports.get(title, config.api_port)),
            "WAVECOM_API_KEY": config.api_key,
            "WAVECOM_SECRET_KEY": self._secret_key,
            "WAVECOM_PROVIDERS": str(config.home / _PROVIDERS_FILE),
            "WAVECOM_WORKERS": str(config.shape.workers),
            "AMQP_URL": config.amqp_url,
            "REDIS_URL": config.redis_url,
            "MONGODB_URI": config.mongodb_uri,
            **self._extra_of.get(title, {}),
        }


def _providers_file(config: DeploymentConfig) -> str:
    lines: list[str] = []
    routes: dict[str, list[str]] = {}
    for name, plan in config.shape.providers.items():
        lines += [
            f"[providers.{name}]",
            'type = "http"',
            f'url = "http://{LOOPBACK}:{config.provider_ports[name]}/send"',
            # Every repetition must reach the recorder: it is there to see them.
            "is_idempotent = true",
        ]
        if plan.rate_per_second is not None:
            lines.append(f"rate_per_second = {plan.rate_per_second:g}")
        if plan.timeout_seconds is not None:
            lines.append(f"timeout_seconds = {plan.timeout_seconds:g}")
        if plan.has_receipts:
            lines += [f"[providers.{name}.receipts]", *receipts.TABLE.splitlines()]
        for channel in plan.channels:
            routes.setdefault(channel, []).append(f'"{name}"')
    lines += ["[routes]", *(f"{channel} = [{', '.join(names)}]" for channel, names in routes.items())]
    return "\n".join(lines) + "\n"
