"""What becomes of a fallback, said in the plainest words there are, a second at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tests.factories import NOW
from tests.unit.core.stateful.fallback_environment import FallbackEnvironment
from wavecom.core.job import Outcome, UnknownOutcomePolicy
from wavecom.core.states import Status


@dataclass(frozen=True)
class Script:
    """What happens to a step, in seconds from its beginning; None: it never does."""

    #: Its provider takes it; before that it waits in a queue.
    handed_over_after: int | None
    #: Its provider rejects it, which does not happen to one that was taken.
    fails_after: int | None
    #: Its receipt says that it was delivered, where it was taken.
    confirmed_after: int | None

    def taken_at(self) -> int | None:
        taken, failed = self.handed_over_after, self.fails_after
        return None if taken is None or (failed is not None and failed <= taken) else taken

    def failed_at(self) -> int | None:
        return None if self.taken_at() is not None else self.fails_after

    def confirmed_at(self) -> int | None:
        taken = self.taken_at()
        return None if taken is None or self.confirmed_after is None else taken + self.confirmed_after

    def play(self, environment: FallbackEnvironment, number: int, second: int) -> None:
        """What happens in this second from the beginning of the fallback, with real jobs."""
        begun_at = environment.fallback.steps[number - 1].begun_at
        assert begun_at is not None
        age = int((NOW + timedelta(seconds=second) - begun_at).total_seconds())
        if age == self.taken_at() and environment.jobs[number].status is Status.QUEUED and environment.claim(number):
            environment.call(number, arrives=self.confirmed_after is not None)
            environment.record(number, Outcome.ACCEPTED)
        if age == self.failed_at() and environment.jobs[number].status is Status.QUEUED and environment.claim(number):
            environment.record(number, Outcome.REJECTED)
        if age == self.confirmed_at():
            environment.report(number)


class _Told:
    """A fallback as it is told: ``scripts`` for its steps, which have ``waits`` but the last."""

    def __init__(self, policy: UnknownOutcomePolicy, waits: list[int], life: int, scripts: list[Script]) -> None:
        self.policy = policy
        self.waits = waits
        self.life = life
        self.scripts = scripts
        self.begun_at = [0]
        #: By step, what was seen of it: nothing, "taken", "failed" or "cancelled".
        self.seen = [""] * (len(waits) + 1)

    def pass_second(self, second: int) -> bool:
        """What happens to the steps; whether one of them was confirmed."""
        for number, began in enumerate(self.begun_at):
            script, age = self.scripts[number], second - began
            if not self.seen[number] and second < self.life:
                if age == script.taken_at():
                    self.seen[number] = "taken"
                if age == script.failed_at():
                    self.seen[number] = "failed"
            if age == script.confirmed_at() and self.seen[number] == "taken":
                return True
        return False

    def end(self, second: int) -> str:
        """Begin what is to begin; what it ends as, if it does."""
        while True:
            current = len(self.begun_at) - 1
            is_last = current == len(self.waits)
            is_waited = not is_last and second - self.begun_at[current] >= self.waits[current]
            if is_last and self.seen[current] == "failed" and "taken" not in self.seen:
                return "failed"
            if second >= self.life:
                return "unconfirmed" if "taken" in self.seen else "expired"
            if is_waited and not self.seen[current]:
                self.seen[current] = "cancelled"
            is_overtaken = is_waited and self.seen[current] == "taken" and self.policy is UnknownOutcomePolicy.RETRY
            if is_last or not (is_overtaken or self.seen[current] in {"failed", "cancelled"}):
                return ""
            self.begun_at.append(second)


def expected(policy: UnknownOutcomePolicy, waits: list[int], life: int, scripts: list[Script]) -> tuple[str, int]:
    """The status that it ends in, and how many steps have begun."""
    told = _Told(policy, waits, life, scripts)
    end = ""
    for second in range(life + 400):
        if told.pass_second(second):
            return "delivered", len(told.begun_at)
        end = end or told.end(second)
        if end not in {"", "unconfirmed"}:
            break
    return end, len(told.begun_at)
