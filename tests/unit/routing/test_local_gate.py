from __future__ import annotations

from wavecom.core.lanes import Priority
from wavecom.core.ports import Refusal
from wavecom.routing.breaker import BreakerState, ProviderHealth
from wavecom.routing.gate import THROTTLED, GateSettings
from wavecom.routing.local_gate import LocalGate


def test_an_operators_pause_of_hours_holds_when_redis_goes_away() -> None:
    clock = [100.0]
    gate = LocalGate({"sms": GateSettings()}, threads=4, monotonic=lambda: clock[0])
    paused = ProviderHealth("sms", BreakerState.CLOSED, throttled_for_seconds=7200, throttled_reason="paused by ops")

    gate.take_over([paused], workers=1)
    clock[0] += 7100
    refusal = gate.acquire("sms", Priority.HIGH)

    assert refusal == Refusal("sms", THROTTLED, 100)
    assert gate.snapshot()[0].throttled_reason == "paused by ops"
