"""The gates' log lines and metrics: one of each for every change, never for every call."""

from __future__ import annotations

import structlog
from prometheus_client import Counter, Gauge

from wavecom.core.job import ACCOUNT_REASONS
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
THROTTLED = Counter("wavecom_throttled_total", "Answers that asked to be called later.", ["provider"])
PROVIDER_PAUSED = Gauge(
    "wavecom_provider_paused",
    "1 while nobody may call a provider because it, or an operator, asked for a pause.",
    ["provider"],
    multiprocess_mode="livemax",
)
ACCOUNT_TROUBLE = Gauge(
    "wavecom_provider_account_trouble",
    "1 while a provider refuses our account for this reason: credentials, balance, sender or quota.",
    ["provider", "reason"],
    multiprocess_mode="livemax",
)
DEGRADED = Gauge(
    "wavecom_gate_degraded",
    "1 while this process limits on its own: Redis is away.",
    multiprocess_mode="livemax",
)
DEGRADATIONS = Counter("wavecom_gate_degradations_total", "Times that this process lost Redis.")

#: Kinds of change besides a breaker's states.
PAUSED = "throttled"
RESUMED = "unthrottled"

_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def breaker_seen(provider: str, state: BreakerState) -> None:
    """This process learned of a state."""
    BREAKER_STATE.labels(provider).set(_NUMBERS[state])


def paused_seen(provider: str, *, is_paused: bool) -> None:
    """This process learned whether nobody may call."""
    PROVIDER_PAUSED.labels(provider).set(is_paused)


def account_seen(provider: str, account: str) -> None:
    """This process learned what is wrong with our account, "" for nothing."""
    for reason in sorted(ACCOUNT_REASONS):
        ACCOUNT_TROUBLE.labels(provider, reason.value).set(reason.value == account)


def changed(
    provider: str,
    kind: str,
    reason: str,
    *,
    seconds: float,
    is_shared: bool,
    account: str = "",
    is_repeated: bool = False,
) -> None:
    """This process brought about a breaker's new state, a pause or its end (the fleet's if ``is_shared``).

    Opening and closing are told at the same level: who was called for the one wants to hear of the other. Trouble of
    our account is told of as an error, once until it is over: that probes still meet it (``is_repeated``) calls nobody.
    """
    if is_repeated:
        log.info("account_trouble_goes_on", provider=provider, state=kind, reason=reason, seconds=round(seconds, 1))
        return
    if account and kind == BreakerState.OPEN:
        log.error("provider_refuses_account", provider=provider, account=account, reason=reason, is_shared=is_shared)
    if kind in (PAUSED, RESUMED):
        event = "provider_paused" if kind == PAUSED else "provider_resumed"
    else:
        event = f"breaker_{kind}"
        BREAKER_CHANGES.labels(provider, kind).inc()
    level = log.info if kind == BreakerState.HALF_OPEN else log.warning
    level(event, provider=provider, reason=reason, open_for_seconds=round(seconds, 1), is_shared=is_shared)


def degraded(workers: int, reason: str) -> None:
    """Log and count that Redis is away, so that each of ``workers`` has its share of limits."""
    DEGRADED.set(1)
    DEGRADATIONS.inc()
    log.warning("gate_degraded", divided_by_workers=workers, reason=reason)


def recovered(after_seconds: float) -> None:
    """Log that Redis answers again, ``after_seconds`` without it."""
    DEGRADED.set(0)
    log.warning("gate_recovered", after_seconds=round(after_seconds, 1))
