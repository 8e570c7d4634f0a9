"""A provider that rests is a preflight: nobody calls it, no job loses an attempt by it, and it costs no permit."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.factories import make_answer, make_job
from tests.fakes import FakeClock, ScriptedProvider
from tests.unit.core.delivery.environment import AsyncScriptedProvider, DeliveryEnvironment, begin
from wavecom.core.job import Outcome
from wavecom.core.lanes import Channel, Priority
from wavecom.core.pauses import LONGEST_PAUSE_SECONDS, ProviderPauses
from wavecom.core.ports import AFTER_CLAIM, Permit, Refusal
from wavecom.core.routes import ChannelRoutes
from wavecom.core.states import Status
from wavecom.routing.gate import THROTTLED, GateSettings
from wavecom.routing.local_gate import LocalGate
from wavecom.routing.router import Router


@pytest.mark.parametrize(("pause_seconds", "rest_seconds"), [(20, 20), (7200, LONGEST_PAUSE_SECONDS)])
def test_a_job_whose_only_provider_rests_waits_without_an_attempt_and_not_beyond_a_minute(
    pause_seconds: float, rest_seconds: float
) -> None:
    environment = DeliveryEnvironment()
    job = environment.job()
    environment.route.pauses = {"first": pause_seconds}

    after = environment.deliver(job)

    assert environment.providers["first"].messages == []
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert after.due_at == environment.clock.now() + timedelta(seconds=rest_seconds)
    assert environment.route.released == [None], "what it was admitted with comes back unused"


def test_a_job_goes_by_the_next_provider_while_the_first_rests() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first"), ScriptedProvider("second"))
    environment.route.pauses = {"first": 600}

    after = environment.deliver(environment.job())

    assert (after.status, after.provider) == (Status.DELIVERED, "second")
    assert environment.providers["first"].messages == []


def test_no_permit_is_asked_of_a_provider_that_rests_once_the_route_is_known() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first"), ScriptedProvider("second"))
    environment.route.pauses = {"first": 600}
    job = environment.job()

    environment.delivery.deliver(job.job_id, Permit(AFTER_CLAIM))

    assert environment.read(job).provider == "second"
    assert len(environment.route.released) == 1, "that of the second alone"


def test_a_call_without_a_thread_is_not_begun_with_a_provider_that_rests() -> None:
    provider = AsyncScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    environment.route.pauses = {"first": 600}

    is_begun, heard = begin(environment, environment.job(type=Channel.SMS))

    assert (is_begun, heard, provider.started) == (False, [], [])


def test_a_provider_that_begins_to_rest_during_the_first_call_is_not_the_next_one() -> None:
    first = AsyncScriptedProvider("first", make_answer(Outcome.UNAVAILABLE, "http_503"))
    environment = DeliveryEnvironment(first, ScriptedProvider("second"))
    job = environment.job(type=Channel.SMS)
    _, heard = begin(environment, job)
    environment.route.pauses = {"second": 20}
    first.answer()
    [partial] = heard

    result = environment.delivery.attempts.finish(partial)  # type: ignore[arg-type]

    assert environment.providers["second"].messages == []
    assert (len(result.calls), result.is_route_used_up, result.retry_after_seconds) == (1, False, 20)


def test_a_provider_that_was_called_and_rests_since_does_not_keep_a_route_from_being_used_up() -> None:
    first = AsyncScriptedProvider("first", make_answer(Outcome.UNAVAILABLE, "http_503"))
    environment = DeliveryEnvironment(first)
    _, heard = begin(environment, environment.job(type=Channel.SMS))
    environment.route.pauses = {"first": 20}
    first.answer()
    [partial] = heard

    result = environment.delivery.attempts.finish(partial)  # type: ignore[arg-type]

    assert result.is_route_used_up


class TestRouter:
    """With a gate: what the preflight is told, and what asking costs."""

    def setup_method(self) -> None:
        self.clock = FakeClock()
        names = ("a", "b", "mail")
        self.gate = LocalGate(
            {name: GateSettings(rate_per_second=1, burst=1) for name in names},
            threads=8,
            monotonic=self.clock.monotonic,
        )
        self.router = Router(
            {Channel.SMS: ChannelRoutes.of("a", "b"), Channel.EMAIL: ChannelRoutes.of("mail")},
            self.gate,
            threads=8,
            stopping=threading.Event(),
            monotonic=self.clock.monotonic,
            draw=lambda: 0.0,
        )

    def test_only_providers_of_the_jobs_route_are_held(self) -> None:
        self.gate.set_pause("a", 30, "paused by ada: maintenance")
        self.gate.set_pause("mail", 10, "paused by ada: maintenance")
        pauses = ProviderPauses(self.router)

        held = pauses.check(make_job(type=Channel.SMS))

        assert held is not None
        assert held.waits == {"a": 30}
        assert pauses.check(make_job(type=Channel.SMS, client="acme:test")) is None

    def test_a_pause_that_is_over_holds_nobody(self) -> None:
        self.gate.set_pause("a", 30, "paused by ada: maintenance")
        self.clock.advance(30)

        assert ProviderPauses(self.router).check(make_job(type=Channel.SMS)) is None

    def test_a_paused_provider_costs_no_permit(self) -> None:
        self.gate.set_pause("a", 30, "paused by ada: maintenance")
        pauses = ProviderPauses(self.router)

        for _ in range(100):
            assert pauses.check(make_job(type=Channel.SMS)) is not None
            refused = self.gate.acquire("a", Priority.NORMAL)
            assert isinstance(refused, Refusal)
            assert refused.reason == THROTTLED

        # The one permit of its rate is there as soon as the pause is over, and none of its places is taken.
        self.clock.advance(30)
        assert isinstance(self.gate.acquire("a", Priority.HIGH), Permit)
        assert [health.in_flight for health in self.gate.snapshot() if health.provider == "a"] == [1]
