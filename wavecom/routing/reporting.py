"""How the gates tell operators: one log line and one count for each change, never for each call."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge

from wavecom.routing.breaker import BreakerState

log = structlog.get_logger()

REFUSALS = Counter("wavecom_gate_refusals_total", "Calls that were not allowed to start.", ["provider", "reason"])
BREAKER_CHANGES = Counter(
    "wavecom_breaker_changes_total",
    "Changes of a breaker, counted once in the fleet.",
    ["provider", "state"],
)
BREAKER_STATE = Gauge(
    "wavecom_breaker_state",
    "A provider's breaker as this process sees it: 0 closed, 1 half open, 2 open.",
    ["provider"],
    multiprocess_mode="livemax",
)
THROTTLED = Counter("wavecom_throttled_total", "Answers with which a provider closed its tap.", ["provider"])
DEGRADED = Gauge(
    "wavecom_gate_degraded",
    "1 while this process limits on its own: Redis is away.",
    multiprocess_mode="livemax",
)
DEGRADATIONS = Counter("wavecom_gate_degradations_total", "Times that this process lost Redis.")

_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def breaker_seen(provider: str, state: BreakerState) -> None:
    """This process learned of a state."""
    BREAKER_STATE.labels(provider).set(_NUMBERS[state])


def breaker_changed(provider: str, state: BreakerState, *, open_for_seconds: float, is_shared: bool) -> None:
    """This process changed the state (of the fleet's breaker if ``is_shared``)."""
    BREAKER_CHANGES.labels(provider, state.value).inc()
    level = log.warning if state is BreakerState.OPEN else log.info
    level(
        f"breaker_{state.value}",
        provider=provider,
        open_for_seconds=round(open_for_seconds, 1),
        is_shared=is_shared,
    )


def throttled(provider: str, seconds: float, *, is_news: bool) -> None:
    """A provider asked not to be called for a while; ``is_news`` when it was not known to be throttled."""
    THROTTLED.labels(provider).inc()
    if is_news:
        log.info("provider_throttled", provider=provider, seconds=round(seconds, 1))


def degraded(workers: int, reason: str) -> None:
    """Redis went away."""
    DEGRADED.set(1)
    DEGRADATIONS.inc()
    log.warning("gate_degraded", divided_by_workers=workers, reason=reason)


def recovered(after_seconds: float) -> None:
    """Redis is back."""
    DEGRADED.set(0)
    log.warning("gate_recovered", after_seconds=round(after_seconds, 1))
