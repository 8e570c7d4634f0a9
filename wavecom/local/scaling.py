"""``WAVECOM_WORKERS=auto``: starts and ends copies of the workers of this machine, as the autoscaler decides.

For one machine: it knows nothing of copies that run elsewhere, and of two machines each starts the whole number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from wavecom.core.autoscaling import LANE_GROUPS, ScalingDecision
from wavecom.errors import BrokerError, ConfigurationError
from wavecom.local.programs import PROGRAMS, Program, ProgramService
from wavecom.local.supervisor import Supervisor
from wavecom.periodic import Periodic

#: How often is looked and decided. A worker takes some seconds to start; together it is there within 15.
LOOK_SECONDS: Final = 3.0
#: The programs whose number follows the load.
SCALED: Final = frozenset(group.name for group in LANE_GROUPS)


def title_of(program: Program, number: int) -> str:
    """What the copy ``number``, from 1 on, of a program is called."""
    if program.name == "worker":
        return f"worker{number}"
    return program.name if number == 1 else f"{program.name}{number}"


class WorkerScaling:
    """Decides on a thread of its own, from the start to ``close``; ``adjust`` does what was decided.

    ``decide`` gives the decision for each lane group (``Autoscaler.decide``) and raises ``BrokerError``.
    ``start`` launches a copy of a program, by its number, and has ``supervisor`` watch it. ``say`` takes lines for the
    user, who is told of each change and its reason.
    """

    def __init__(
        self,
        decide: Callable[[], Mapping[str, ScalingDecision]],
        supervisor: Supervisor,
        start: Callable[[Program, int], None],
        say: Callable[[str], None],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._decide = decide
        self._supervisor = supervisor
        self._start = start
        self._say = say
        self._decisions: Mapping[str, ScalingDecision] = {}
        self._problem: str | None = None
        self._reported_problem: str | None = None
        self._periodic = Periodic(self._decide_once, seconds=look_seconds, name="autoscaling").start()

    def adjust(self) -> None:
        """Start and end what the last decision asks for; to be called often, from the supervisor's thread."""
        decisions, self._decisions = self._decisions, {}
        for program in PROGRAMS:
            if program.name in decisions:
                self._bring_to(program, decisions[program.name])
        if (problem := self._problem) != self._reported_problem:
            self._reported_problem = problem
            self._say(
                f"The number of workers stays as it is: {problem}" if problem else "Workers follow the load again."
            )

    def close(self) -> None:
        """Make no further decision. Returns when the thread has ended."""
        self._periodic.close()

    def _decide_once(self) -> None:
        try:
            self._decisions = self._decide()
        except BrokerError as error:
            self._problem = str(error)
        else:
            self._problem = None

    def _bring_to(self, program: Program, decision: ScalingDecision) -> None:
        services = {
            service.title: service
            for service in self._supervisor.services
            if isinstance(service, ProgramService) and service.program is program
        }
        running = [title for title, service in services.items() if not self._supervisor.is_retired(service)]
        missing = decision.desired - len(running)
        if missing:
            self._say(f"{program.name}: {decision.desired} in place of {len(running)}, for {decision.reason}.")
        numbers = iter(range(1, len(services) + missing + 1))
        for number in (number for number in numbers if title_of(program, number) not in services):
            if missing <= 0:
                break
            missing -= 1
            try:
                self._start(program, number)
            except (ConfigurationError, OSError) as error:
                # No memory for a process, no file descriptor left: tried again with the next decision.
                self._say(f"{title_of(program, number)} can't be started ({error}).")
        for title in running[missing:] if missing < 0 else []:
            self._supervisor.retire(services[title])
