"""WaveCom's own processes in a drill: watched, started again when they die, and replaced by another release's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.environment import Environment, own_settings
from harness.nginx import Nginx, listens
from harness.subject import DeploymentConfig, WaveCom
from tests.faults.plan import DRILL_SETTINGS, DrillError, Plan
from wavecom.local.ports import LOOPBACK
from wavecom.local.programs import ProgramService
from wavecom.local.readiness import Check
from wavecom.local.supervisor import Supervisor


class Application:
    """``by_title``: those that are to run. ``extra_of``: variables of one process, by its title.

    Of the release that is checked out, or first of the plan's other one. Several web processes get nginx before them.
    """

    def __init__(
        self,
        plan: Plan,
        environment: Environment,
        config: DeploymentConfig,
        *,
        extra_of: Mapping[str, Mapping[str, str]],
        on_supervised: Callable[[str], None],
    ) -> None:
        settings = own_settings() | DRILL_SETTINGS
        if config.web_ports:
            settings["WAVECOM_TRUSTED_PROXIES"] = "1"
        if plan.has_callbacks:
            settings["WAVECOM_CALLBACK_PRIVATE_HOSTS"] = LOOPBACK
        self._plan = plan
        self._environment = environment
        self._config = config
        self._wavecom = WaveCom(settings, extra_of=extra_of)
        self._supervisor = Supervisor(on_supervised)
        self._nginx: Nginx | None = None
        self.by_title: dict[str, ProgramService] = {}
        #: What commands need to work with the same servers.
        self.variables = self._wavecom.environment(config)

    def start(self) -> None:
        """Returns when all are ready. Raises ``ConfigurationError``."""
        for service in self._of_this_release().values():
            self._run(self._of_other_release(service) if self._plan.starts_with_other else service)
        self._environment.wait_for([(each, self.check_of(each.title)) for each in self.by_title.values()])
        if self._config.web_ports:
            self._start_nginx()

    def watch(self) -> None:
        """Start again what has died; to be called often."""
        self._supervisor.watch()

    def kill(self) -> None:
        """All of them, whatever state they are in."""
        for service in (*self.by_title.values(), self._nginx):
            if service is not None:
                service.kill()

    def retire(self, title: str) -> Callable[[], bool]:
        """Ask a process to end, for good; answers what tells whether it has."""
        service = self.by_title[title]
        self._supervisor.retire(service)
        return lambda: not self._supervisor.is_retired(service)

    def start_again(self, title: str) -> Check:
        """In place of one that has ended; answers how to tell that it is ready."""
        self._run(self._of_this_release()[title])
        return self.check_of(title)

    def start_of_another_release(self, title: str) -> Check:
        """In place of one that has ended: of the other release, or of this one if the plan started with the other."""
        service = self._of_this_release()[title]
        self._run(service if self._plan.starts_with_other else self._of_other_release(service))
        return self.check_of(title)

    def check_of(self, title: str) -> Check:
        """How to tell that a process is ready."""
        return self._wavecom.check_of(self.by_title[title], self._config)

    def _run(self, service: ProgramService) -> None:
        self.by_title[service.title] = service
        self._supervisor.start(service)

    def _of_this_release(self) -> dict[str, ProgramService]:
        services = [process.service for process in self._wavecom.processes(self._config)]
        return {service.title: service for service in services if isinstance(service, ProgramService)}

    def _of_other_release(self, service: ProgramService) -> ProgramService:
        release = self._plan.other_release
        if release is None:
            raise DrillError("there is no other release to begin with, or to go to")
        return release.service(
            service.program,
            title=service.title,
            log=service.log.with_name(f"{service.title}-{release.name}.log"),
            environment=self._wavecom.environment(self._config, service.title),
        )

    def _start_nginx(self) -> None:
        port = self._config.api_port
        self._nginx = Nginx(
            self._environment.home / "nginx",
            port=port,
            web_ports=list(self._config.web_ports.values()),
            environment=self._environment.variables,
        )
        self._supervisor.start(self._nginx)
        self._environment.wait_for([(self._nginx, lambda: None if listens(port) else "does not listen")])
