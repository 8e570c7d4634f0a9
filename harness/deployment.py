"""A deployment to be measured: servers, an application, its clients and a recording provider, each a real process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.control import HelperProcess
from harness.environment import Environment
from harness.given_servers import AMQP_URL, MONGODB_URI, REDIS_URL, check_unused, clean
from harness.processes import Sample, sample
from harness.provider_server import Behaviour, Fault, provider_arguments, set_behaviour
from harness.subject import (
    LOAD,
    MONGODB,
    PROVIDER,
    RABBITMQ,
    REDIS,
    WORKER,
    ApplicationSetup,
    DeploymentConfig,
    Process,
    Subject,
)
from wavecom.local.service import Service

OnProgress = Callable[[str], None]


class DeploymentError(Exception):
    """Something that the benchmark itself needs does not work."""


class Deployment:
    """A context manager, to be used from the main thread: what it starts dies with it."""

    def __init__(
        self,
        home: Path,
        subject: Subject,
        shape: ApplicationSetup,
        *,
        mongo_program: Path | None,
        progress: OnProgress,
        with_workers: bool = True,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self.subject = subject
        self.shape = shape
        self.provider: HelperProcess
        self.load: HelperProcess
        self._environment = Environment(home, mongo_program=mongo_program, addresses=addresses)
        self._progress = progress
        self._with_workers = with_workers
        self._processes: list[Process] = []
        self._held: list[Process] = []
        #: Borrowed servers were empty when we came.
        self._is_ours = False
        self.config: DeploymentConfig

    def _address(self, variable: str, group: str) -> str:
        return self._environment.addresses.get(variable) or self._environment.servers[group].url

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
        for process in self._processes:
            process.service.kill()
        self._environment.close()
        for server in self._environment.servers.values():
            shutil.rmtree(server.home, ignore_errors=True)
        if self._is_ours:
            clean(self._environment.addresses)

    # --- what scenarios do ----------------------------------------------------------------------------------------

    def sample(self) -> Sample:
        """What every group has used until now."""
        roots: dict[str, list[int]] = {}
        for process in self._processes:
            roots.setdefault(process.group, []).append(process.service.pid)
        for group, service in (*self._environment.servers.items(), *self._environment.helpers.items()):
            roots[group] = [service.pid]
        return sample(roots)

    def check(self) -> None:
        """Raises ``DeploymentError`` when one of the processes has died."""
        programs: list[Service] = [process.service for process in self._processes]
        for service in (*programs, *self._environment.servers.values(), *self._environment.helpers.values()):
            if not service.is_running:
                raise DeploymentError(f"{service.title} has ended with {service.exit_code}; see {service.log}")

    def start_workers(self) -> None:
        """Those that were held back at the opening; returns when they consume. May be called twice."""
        missing = [process for process in self._held if process not in self._processes]
        self._launch(missing)

    def reset_behaviour(self) -> None:
        """All providers as planned."""
        for name, plan in self.shape.providers.items():
            self.behave(name, latency_seconds=plan.latency_seconds, failing=plan.failing)

    def behave(
        self,
        provider: str,
        *,
        latency_seconds: float,
        failing: float = 0.0,
        status: int = 503,
        retry_after_seconds: int | None = None,
    ) -> None:
        """How a provider answers from now on: ``status`` to a share ``failing`` of the requests, else 200."""
        fault = Fault(share=failing, status=status, retry_after_seconds=retry_after_seconds)
        set_behaviour(self.provider, provider, Behaviour(latency_seconds, [fault] if failing else []))

    # --- opening --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        environment = self._environment
        shutil.rmtree(environment.home, ignore_errors=True)
        environment.logs.mkdir(parents=True)
        check_unused(environment.addresses)
        self._is_ours = True
        self._progress("starting servers")
        environment.start_servers()
        self.config = config = DeploymentConfig.create(
            environment.home,
            environment.logs,
            self.shape,
            environment.variables,
            amqp_url=self._address(AMQP_URL, RABBITMQ),
            redis_url=self._address(REDIS_URL, REDIS),
            mongodb_uri=self._address(MONGODB_URI, MONGODB),
        )
        ports = provider_arguments(config.provider_ports)
        self.provider = environment.start_helper(PROVIDER, "harness.provider", ports)
        url, api_key = f"--url={config.url}", config.api_key
        self.load = environment.start_helper(LOAD, "harness.load", [url], WAVECOM_API_KEY=api_key)
        environment.wait_for_helpers()
        self.reset_behaviour()
        self._progress(f"starting {self.subject.name}")
        processes = self.subject.processes(self.config)
        if not self._with_workers:
            self._held = [process for process in processes if process.group == WORKER]
        self._launch([process for process in processes if process not in self._held])

    def _launch(self, processes: Sequence[Process]) -> None:
        for process in processes:
            self._processes.append(process)
            process.service.launch()
        self._environment.wait_for([(process.service, process.check) for process in processes])
