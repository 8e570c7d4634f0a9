"""Servers and helper processes in a folder of their own: what benchmark and fault drill start, and end afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.control import HelperProcess
from harness.given_servers import ADDRESSES, AMQP_URL, MONGODB_URI, REDIS_URL
from harness.subject import MONGODB, RABBITMQ, REDIS
from wavecom.errors import ConfigurationError, Problem
from wavecom.local.logs import tail
from wavecom.local.readiness import Check
from wavecom.local.server import PrivateServer
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis
from wavecom.local.service import MARK, Service

START_SECONDS = 120
_POLL_SECONDS = 0.05


def own_settings() -> dict[str, str]:
    """``WAVECOM_*`` of our environment: whoever sets one wants it measured, or tried, with it."""
    return {name: value for name, value in os.environ.items() if name.startswith("WAVECOM_")}


class Environment:
    """Servers whose address is not among ``addresses``, helpers, and what every process gets from our environment.

    To be used from the main thread: what it starts dies with it. ``plugins``: RabbitMQ's. ``has_broker``: False where
    the caller has one of its own.
    """

    def __init__(
        self,
        home: Path,
        *,
        mongo_program: Path | None,
        addresses: Mapping[str, str] | None = None,
        plugins: Sequence[str] = (),
        has_broker: bool = True,
    ) -> None:
        self.home = home.absolute()
        self.logs = self.home / "logs"
        self.addresses = dict(addresses or {})
        base = {name: value for name, value in os.environ.items() if not name.startswith(("WAVECOM_", "FLOWER_"))}
        for name in ADDRESSES:
            base.pop(name, None)
        self.variables = base | {MARK: str(self.home), "PYTHONUNBUFFERED": "1"}
        self.servers: dict[str, PrivateServer] = {}
        if has_broker and AMQP_URL not in self.addresses:
            self.servers[RABBITMQ] = PrivateRabbitMQ(
                self.home / "rabbitmq",
                log=self.logs / "rabbitmq.log",
                environment=self.variables,
                plugins=plugins,
            )
        if REDIS_URL not in self.addresses:
            self.servers[REDIS] = PrivateRedis(
                self.home / "redis", log=self.logs / "redis.log", environment=self.variables
            )
        if MONGODB_URI not in self.addresses:
            self.servers[MONGODB] = PrivateMongo(
                self.home / "mongodb",
                log=self.logs / "mongodb.log",
                environment=self.variables,
                program=mongo_program,
            )
        self.helpers: dict[str, HelperProcess] = {}

    def close(self) -> None:
        """End helpers and servers, whatever state they are in. May be called twice."""
        for service in (*self.helpers.values(), *self.servers.values()):
            service.kill()

    def start_servers(self) -> None:
        """Returns when all of them answer. Raises ``ConfigurationError``."""
        for server in self.servers.values():
            server.launch()
        self.wait_for([(server, _answers(server)) for server in self.servers.values()])

    def start_helper(self, group: str, module: str, arguments: Sequence[str], **variables: str) -> HelperProcess:
        """``python -m module``, with ``variables`` in its environment; it may not answer yet when this returns."""
        log = self.logs / f"{module.rpartition('.')[2]}.log"
        helper = HelperProcess(module, arguments, log=log, environment={**self.variables, **variables})
        self.helpers[group] = helper
        helper.launch()
        return helper

    def wait_for_helpers(self) -> None:
        """Returns when all helpers answer. Raises ``ConfigurationError``."""
        self.wait_for([(helper, _answers(helper)) for helper in self.helpers.values()])

    def wait_for(self, services: Sequence[tuple[Service, Check]]) -> None:
        """Returns when no check has a reason left. Raises ``ConfigurationError``, with the end of the log."""
        deadline = time.monotonic() + START_SECONDS
        for service, check in services:
            while (reason := check()) is not None:
                if not service.is_running or time.monotonic() > deadline:
                    end = tail(service.log)
                    raise ConfigurationError([Problem(service.title, f"did not start ({reason}):\n{end}")])
                time.sleep(_POLL_SECONDS)


def _answers(service: PrivateServer | HelperProcess) -> Check:
    return lambda: None if service.answers() else "does not answer yet"
