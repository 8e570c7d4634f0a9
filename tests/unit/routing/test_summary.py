from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wavecom.routing.breaker import BreakerState, ProviderHealth
from wavecom.routing.summary import ProviderSummary

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (ProviderHealth("sms", BreakerState.CLOSED), ("in use", None, None, "")),
        (
            ProviderHealth("sms", BreakerState.CLOSED, reason="3 probes succeeded", since_seconds=9, is_ramping=True),
            ("starting slowly", ago(9), None, "3 probes succeeded"),
        ),
        (
            ProviderHealth("sms", BreakerState.OPEN, open_for_seconds=4, reason="9 failures", since_seconds=1),
            ("left alone", ago(1), ago(-4), "9 failures"),
        ),
        (
            ProviderHealth("sms", BreakerState.HALF_OPEN, reason="its pause is over", since_seconds=1),
            ("being tried", ago(1), None, "its pause is over"),
        ),
        (
            ProviderHealth(
                "sms",
                BreakerState.OPEN,
                open_for_seconds=4,
                reason="9 failures",
                throttled_for_seconds=60,
                throttled_since_seconds=5,
                throttled_reason="paused by ada: maintenance",
            ),
            ("paused", ago(5), ago(-60), "paused by ada: maintenance"),
        ),
    ],
)
def test_how_a_provider_stands_in_one_line(
    health: ProviderHealth, expected: tuple[str, datetime | None, datetime | None, str]
) -> None:
    summary = ProviderSummary.of(health, NOW)

    assert (summary.state, summary.since, summary.until, summary.reason) == expected
