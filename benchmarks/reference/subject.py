"""How the reference application is started on the benchmark's deployment."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.subject import WEB, WORKER, DeploymentConfig, Process
from wavecom.local.ports import LOOPBACK
from wavecom.local.readiness import Check
from wavecom.local.service import Service

_CHECKOUT = Path(__file__).resolve().parents[2]
#: As many threads as WaveCom's web app has.
_WEB_THREADS = 64


class _Program(Service):
    def __init__(self, title: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        super().__init__(title, log=log, environment=environment)
        self._arguments = list(arguments)

    @property
    def _folder(self) -> Path:
        return _CHECKOUT

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-m", *self._arguments]


class Reference:
    """Plain Flask, marshmallow, PyMongo, Celery and requests."""

    name = "Reference"
    has_batch = False
    has_lanes = False
    has_lists = False
    has_limits = False
    has_receipts = False
    has_templates = False

    def processes(self, config: DeploymentConfig) -> Sequence[Process]:
        """See ``Subject``."""
        channels = {
            f"PROVIDER_{channel.upper()}": f"http://{LOOPBACK}:{config.provider_ports[name]}/send"
            for name, plan in config.shape.providers.items()
            for channel in plan.channels
        }
        environment = {
            **config.environment,
            **channels,
            "WAVECOM_API_KEY": config.api_key,
            "AMQP_URL": config.amqp_url,
            "MONGODB_URI": config.mongodb_uri,
        }

        def program(title: str, *arguments: str) -> _Program:
            return _Program(title, arguments, log=config.logs / f"{title}.log", environment=environment)

        web = program(
            "web",
            *("granian", "--interface", "wsgi", "--host", LOOPBACK, "--port", str(config.api_port)),
            *("--workers", "1", "--blocking-threads", str(_WEB_THREADS), "--backpressure", "512", "--no-ws"),
            *("--log-level", "warning", "benchmarks.reference.app:app"),
        )
        workers = [
            program(
                f"worker{number}",
                *("celery", "-A", "benchmarks.reference.tasks", "worker", "-n", f"worker{number}@%h"),
                *("-l", "WARNING", "--without-gossip", "--without-mingle"),
            )
            for number in range(1, config.shape.workers + 1)
        ]
        return [
            Process(web, WEB, lambda: _health(config.api_port)),
            *(Process(worker, WORKER, _readiness(worker.log)) for worker in workers),
        ]


def _health(port: int) -> str | None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=3)
    try:
        connection.request("GET", "/healthz")
        return None if connection.getresponse().status == 200 else "is not well"
    except (OSError, http.client.HTTPException):
        return "does not answer yet"
    finally:
        connection.close()


def _readiness(log: Path) -> Check:
    def check() -> str | None:
        return None if log.exists() and "ready.\n" in log.read_text(errors="replace") else "does not consume yet"

    return check
