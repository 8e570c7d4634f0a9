"""A fallback among workers that are slow and act on what is long past, receipts and people: its promises hold."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.core.stateful.fallback_environment import FallbackEnvironment, Look, make_fallback
from tests.unit.core.stateful.fallback_oracle import Script, expected
from wavecom.core.engine import CancelRequested
from wavecom.core.fallback import FallbackStatus
from wavecom.core.job import Outcome, UnknownOutcomePolicy
from wavecom.core.states import Status

policies = st.sampled_from([UnknownOutcomePolicy.STOP, UnknownOutcomePolicy.STOP, UnknownOutcomePolicy.RETRY])
waits = st.lists(st.sampled_from([5, 30, 120]), min_size=1, max_size=2)
pauses = st.sampled_from([timedelta(seconds=each) for each in (1, 4, 6, 31, 31, 121, 700)])
lives = st.sampled_from([timedelta(seconds=each) for each in (60, 600, 600, 100_000)])
picks = st.integers(0, 3)
rarely = st.sampled_from([False, False, False, True])
outcomes = st.sampled_from([Outcome.UNKNOWN, Outcome.UNAVAILABLE, Outcome.ACCEPTED, Outcome.REJECTED])


class FallbackLifecycle(RuleBasedStateMachine):
    environment: FallbackEnvironment

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[Look] = []
        self.has_settled = False

    @initialize(policy=policies, waits=waits, life=lives, has_job=st.booleans())
    def accept(self, policy: UnknownOutcomePolicy, waits: list[int], life: timedelta, has_job: bool) -> None:
        self.environment = FallbackEnvironment(make_fallback(waits, policy, life))
        if has_job:
            self.environment.make_job(1)

    def picked(self, pick: int, *statuses: Status) -> int | None:
        numbers = [number for number, job in sorted(self.environment.jobs.items()) if job.status in statuses]
        return numbers[-1 - pick % len(numbers)] if numbers else None

    # --- those who follow ---------------------------------------------------------------------------------------------

    @rule()
    def follow(self) -> None:
        self.environment.follow()

    @rule()
    def look(self) -> None:
        """Somebody reads, and takes his time."""
        self.looks.append(self.environment.look())

    @precondition(lambda self: self.looks)
    @rule(pick=picks)
    def act_late(self, pick: int) -> None:
        look = self.looks.pop(pick % len(self.looks))
        self.environment.act(self.environment.decide(look))

    @rule(is_lost=rarely)
    def wake(self, is_lost: bool) -> None:
        if not is_lost:
            self.environment.wake()

    # --- workers ------------------------------------------------------------------------------------------------------

    @rule(pick=picks, outcome=outcomes, arrives=st.booleans(), expects_receipt=st.booleans(), dies=rarely)
    def deliver(self, pick: int, outcome: Outcome, arrives: bool, expects_receipt: bool, dies: bool) -> None:
        number = self.picked(pick, Status.QUEUED, Status.RETRYING)
        if number is None or not self.environment.claim(number):
            return
        if outcome is Outcome.ACCEPTED and not expects_receipt:
            # Who reports nothing afterwards has delivered it.
            arrives = True
        if outcome is Outcome.ACCEPTED or (outcome is Outcome.UNKNOWN and arrives):
            self.environment.call(number, arrives=arrives)
        if not dies:
            self.environment.record(number, outcome, expects_receipt=expects_receipt)

    @rule(pick=picks)
    def begin_to_deliver(self, pick: int) -> None:
        number = self.picked(pick, Status.QUEUED, Status.RETRYING)
        if number is not None:
            self.environment.claim(number)

    @rule(pick=picks, outcome=outcomes, arrives=st.booleans())
    def end_a_delivery(self, pick: int, outcome: Outcome, arrives: bool) -> None:
        number = self.picked(pick, Status.PROCESSING)
        if number is not None and not self.environment.has_called(number):
            if outcome is Outcome.ACCEPTED or (outcome is Outcome.UNKNOWN and arrives):
                self.environment.call(number, arrives=arrives)
            self.environment.record(number, outcome)

    @rule(pick=picks)
    def report(self, pick: int) -> None:
        number = self.picked(pick, *Status)
        if number is not None:
            self.environment.report(number)

    @rule()
    def sweep(self) -> None:
        self.environment.sweep()

    @rule(pause=pauses)
    def wait(self, pause: timedelta) -> None:
        self.environment.now += pause

    # --- people -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.environment.fallback.is_over)
    @rule(is_meant=rarely)
    def cancel(self, is_meant: bool) -> None:
        if is_meant:
            fallback, now = self.environment.fallback, self.environment.now
            self.environment.fallback = fallback.changed(now, cancelled_by="key 1", due_at=now)

    @rule(pick=picks, is_meant=rarely)
    def cancel_a_step(self, pick: int, is_meant: bool) -> None:
        number = self.picked(pick, Status.QUEUED, Status.RETRYING)
        if number is not None and is_meant:
            self.environment.move(number, CancelRequested("key 1"))

    @rule(pick=picks)
    def replay_a_step(self, pick: int) -> None:
        number = self.picked(pick, Status.FAILED, Status.UNCONFIRMED)
        if number is not None:
            self.environment.replay(number)

    # --- the promises -------------------------------------------------------------------------------------------------

    @invariant()
    def keeps_its_promises(self) -> None:
        if hasattr(self, "environment"):
            self.environment.watch()

    def teardown(self) -> None:
        if hasattr(self, "environment"):
            self.environment.settle(takes_all=len(self.looks) % 2 == 0)


TestFallbackLives = pytest.mark.timeout(1800)(FallbackLifecycle.TestCase)

scripts = st.builds(
    Script,
    handed_over_after=st.sampled_from([None, 0, 2, 20, 40]),
    fails_after=st.sampled_from([None, 1, 10, 35]),
    confirmed_after=st.sampled_from([None, 1, 15, 50, 300]),
)


@given(
    policy=policies, waits=waits, life=st.sampled_from([20, 45, 400]), steps=st.lists(scripts, min_size=3, max_size=3)
)
def test_a_fallback_goes_as_plain_words_say(
    policy: UnknownOutcomePolicy, waits: list[int], life: int, steps: list[Script]
) -> None:
    environment = FallbackEnvironment(make_fallback(waits, policy, timedelta(seconds=life)))
    environment.follow()
    for second in range(life + 400):
        for number, script in enumerate(steps, 1):
            if number in environment.jobs:
                script.play(environment, number, second)
        environment.sweep()
        environment.follow()
        environment.now += timedelta(seconds=1)

    status, begun = expected(policy, waits, life, steps)
    assert (environment.fallback.status, environment.fallback.begun) == (FallbackStatus(status), begun)
