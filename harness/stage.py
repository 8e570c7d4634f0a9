"""The stage: servers, a recording provider, an application and its clients, all real processes, all watched."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.borrowed import ADDRESSES, AMQP_URL, MONGODB_URI, REDIS_URL, check_unused, clean
from harness.control import HelperProcess
from harness.processes import Sample, sample
from harness.subject import (
    LOAD,
    MONGODB,
    PROVIDER,
    RABBITMQ,
    REDIS,
    WORKER,
    Place,
    Process,
    Shape,
    Subject,
)
from wavecom.errors import ConfigurationError, Problem
from wavecom.local.logs import tail
from wavecom.local.ports import free_ports
from wavecom.local.readiness import Check
from wavecom.local.server import PrivateServer
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis
from wavecom.local.service import MARK, Service

START_SECONDS = 120
_POLL_SECONDS = 0.05

Tell = Callable[[str], None]


class StageError(Exception):
    """Something that the benchmark itself needs does not work."""


class Stage:
    """A context manager, to be used from the main thread: what it starts dies with it."""

    def __init__(
        self,
        home: Path,
        subject: Subject,
        shape: Shape,
        *,
        mongo_program: Path | None,
        progress: Tell,
        with_workers: bool = True,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.subject = subject
        self.shape = shape
        self.provider: HelperProcess
        self.load: HelperProcess
        self._progress = progress
        self._with_workers = with_workers
        self._addresses = dict(addresses or {})
        self._logs = self.home / "logs"
        base = {name: value for name, value in os.environ.items() if not name.startswith(("WAVECOM_", "FLOWER_"))}
        for name in ADDRESSES:
            base.pop(name, None)
        self._base = base | {MARK: str(self.home), "PYTHONUNBUFFERED": "1"}
        self._servers = self._private_servers(mongo_program)
        self._helpers: dict[str, HelperProcess] = {}
        self._processes: list[Process] = []
        self._held: list[Process] = []
        #: Borrowed servers were empty when we came.
        self._is_ours = False
        self.place: Place

    def _private_servers(self, mongo_program: Path | None) -> dict[str, PrivateServer]:
        """Those whose address we were not given."""
        logs, base = self._logs, self._base
        servers: dict[str, PrivateServer] = {}
        if AMQP_URL not in self._addresses:
            servers[RABBITMQ] = PrivateRabbitMQ(
                self.home / "rabbitmq", log=logs / "rabbitmq.log", environment=base, plugins=[]
            )
        if REDIS_URL not in self._addresses:
            servers[REDIS] = PrivateRedis(self.home / "redis", log=logs / "redis.log", environment=base)
        if MONGODB_URI not in self._addresses:
            servers[MONGODB] = PrivateMongo(
                self.home / "mongodb", log=logs / "mongodb.log", environment=base, program=mongo_program
            )
        return servers

    def _address(self, variable: str, group: str) -> str:
        return self._addresses.get(variable) or self._servers[group].url

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything, and throw the servers' data away. May be called twice."""
        started: list[Service] = [process.service for process in self._processes]
        for service in (*started, *self._helpers.values(), *self._servers.values()):
            service.kill()
        for server in self._servers.values():
            shutil.rmtree(server.home, ignore_errors=True)
        if self._is_ours:
            clean(self._addresses)

    # --- what scenarios do ----------------------------------------------------------------------------------------

    def sample(self) -> Sample:
        """What every group has used until now."""
        roots: dict[str, list[int]] = {}
        for process in self._processes:
            roots.setdefault(process.group, []).append(process.service.pid)
        for group, service in (*self._servers.items(), *self._helpers.items()):
            roots[group] = [service.pid]
        return sample(roots)

    def check(self) -> None:
        """Raises ``StageError`` when one of the processes has died."""
        programs = [process.service for process in self._processes]
        for service in (*programs, *self._servers.values(), *self._helpers.values()):
            if not service.is_running:
                raise StageError(f"{service.title} has ended with {service.exit_code}; see {service.log}")

    def start_workers(self) -> None:
        """Those that were held back at the opening; returns when they consume. May be called twice."""
        missing = [process for process in self._held if process not in self._processes]
        self._launch(missing)

    def behave_well(self) -> None:
        """All providers as planned."""
        for name, plan in self.shape.providers.items():
            self.behave(name, latency_seconds=plan.latency_seconds, failing=plan.failing)

    def behave(self, provider: str, **behaviour: Any) -> None:
        """A provider's manners from now on (``harness.provider.Behaviour``)."""
        self.provider.ask("behave", provider=provider, behaviour=behaviour)

    # --- opening --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self._logs.mkdir(parents=True)
        check_unused(self._addresses)
        self._is_ours = True
        self._progress("starting servers")
        for server in self._servers.values():
            server.launch()
        self._wait_for(
            [(server, _answers(server)) for server in self._servers.values()],
        )
        ports = dict(zip(self.shape.providers, free_ports(len(self.shape.providers)), strict=True))
        [api_port] = free_ports(1)
        self.place = Place(
            home=self.home,
            logs=self._logs,
            shape=self.shape,
            environment=self._base,
            api_port=api_port,
            api_key=secrets.token_urlsafe(24),
            amqp_url=self._address(AMQP_URL, RABBITMQ),
            redis_url=self._address(REDIS_URL, REDIS),
            mongodb_uri=self._address(MONGODB_URI, MONGODB),
            provider_ports=ports,
        )
        self.provider = self._help(PROVIDER, "provider", [f"--provider={name}={port}" for name, port in ports.items()])
        self.load = self._help(LOAD, "load", [f"--api-port={api_port}"])
        self._wait_for([(helper, _answers(helper)) for helper in self._helpers.values()])
        self.behave_well()
        self._progress(f"starting {self.subject.name}")
        processes = self.subject.processes(self.place)
        if not self._with_workers:
            self._held = [process for process in processes if process.group == WORKER]
        self._launch([process for process in processes if process not in self._held])

    def _launch(self, processes: Sequence[Process]) -> None:
        for process in processes:
            self._processes.append(process)
            process.service.launch()
        self._wait_for([(process.service, process.check) for process in processes])

    def _help(self, group: str, module: str, arguments: Sequence[str]) -> HelperProcess:
        helper = self._helpers[group] = HelperProcess(
            f"harness.{module}",
            arguments,
            log=self._logs / f"{module}.log",
            environment={**self._base, "WAVECOM_API_KEY": self.place.api_key},
        )
        helper.launch()
        return helper

    def _wait_for(self, services: Sequence[tuple[Service, Check]]) -> None:
        deadline = time.monotonic() + START_SECONDS
        for service, check in services:
            while (reason := check()) is not None:
                if not service.is_running or time.monotonic() > deadline:
                    end = tail(service.log)
                    raise ConfigurationError([Problem(service.title, f"did not start ({reason}):\n{end}")])
                time.sleep(_POLL_SECONDS)


def _answers(service: PrivateServer | HelperProcess) -> Check:
    return lambda: None if service.answers() else "does not answer yet"
