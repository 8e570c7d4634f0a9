"""Every gate: no provider takes all threads."""

from __future__ import annotations

import pytest

from tests.contract.gate.fleet import GOOD, SLOW, Fleet, granted, health, refusal
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
from wavecom.routing import gate
from wavecom.routing.gate import GateSettings


def test_one_provider_gets_at_most_half_of_the_threads(fleet: Fleet) -> None:
    member = fleet.join({"sms": GateSettings(), "mail": GateSettings()}, threads=8)

    permits = [member.acquire("sms", Priority.NORMAL) for _ in range(4)]

    assert all(isinstance(permit, Permit) for permit in permits)
    assert refusal(member).reason == gate.BULKHEAD
    assert refusal(member).retry_after_seconds < 1
    assert isinstance(member.acquire("mail", Priority.NORMAL), Permit)
    assert health(member).in_flight == 4


def test_who_finds_no_place_uses_up_no_permit(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=SLOW, burst=2, max_concurrency=1))
    first = granted(member)
    for _ in range(10):
        assert refusal(member).reason == gate.BULKHEAD
    member.release(first, GOOD, 5)

    second = member.acquire("sms", Priority.HIGH)

    assert isinstance(second, Permit)
    member.release(second, GOOD, 5)
    assert refusal(member).reason == gate.RATE_LIMIT


def test_who_gets_no_permit_takes_no_place(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=SLOW, burst=1, max_concurrency=5))
    granted(member)

    reasons = {refusal(member).reason for _ in range(10)}

    assert reasons == {gate.RATE_LIMIT}
    assert health(member).in_flight == 1


def test_a_permit_of_somebody_else_is_not_taken_back(fleet: Fleet) -> None:
    member = fleet.join(GateSettings())

    with pytest.raises(TypeError, match="not issued"):
        member.release(Permit("sms"), None, 0)
