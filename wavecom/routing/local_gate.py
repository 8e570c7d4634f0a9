"""The gate of one process alone: for a machine without Redis, and for the time that Redis is away."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from wavecom.core.job import ProviderResult
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit, Refusal
from wavecom.routing import gate, reporting
from wavecom.routing.breaker import (
    PROBES_TAKEN_SECONDS,
    Breaker,
    BreakerState,
    ProviderHealth,
)
from wavecom.routing.bulkhead import RETRY_AFTER_SECONDS, Bulkhead
from wavecom.routing.evidence import (
    SLOW,
    CallCounts,
    HealthSignal,
    account_trouble,
    health_signal,
    key_of,
    probe_outcome,
)
from wavecom.routing.gate import GateSettings, IssuedPermit, bulkhead_of, issued
from wavecom.routing.pause import Pause, PauseRequest
from wavecom.routing.ramp import WAIT_SECONDS
from wavecom.routing.ratelimit import Limiter


@dataclass(slots=True)
class _Provider:
    name: str
    settings: GateSettings
    breaker: Breaker
    limiter: Limiter | None
    pause: Pause
    #: When somebody said last that it may be called again.
    reopened_at: datetime | None = None
    lock: Lock = field(default_factory=Lock)


class LocalGate:
    """``RoutingGate`` in memory. ``threads`` is how many of this process call providers."""

    def __init__(
        self,
        providers: Mapping[str, GateSettings],
        *,
        threads: int,
        monotonic: Callable[[], float],
        bulkhead: Bulkhead | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._bulkhead = bulkhead or bulkhead_of(providers, threads)
        self._providers = {
            name: _Provider(
                name,
                settings,
                Breaker(settings.breaker),
                Limiter(settings.rate) if settings.rate else None,
                _pause(settings),
            )
            for name, settings in providers.items()
        }
        self._probe_names = itertools.count(1)

    def acquire(self, provider: str, priority: Priority, cost: int = 1) -> IssuedPermit | Refusal:
        """See ``core.ports.Gate``."""
        if not self._bulkhead.enter(provider):
            return _refuse(provider, gate.BULKHEAD, RETRY_AFTER_SECONDS)
        state = self._providers[provider]
        with state.lock:
            answer = self._admit(state, priority, cost)
        if isinstance(answer, Refusal):
            self._bulkhead.leave(provider)
        return answer

    def release(self, permit: Permit, answer: ProviderResult | None, latency_ms: float, recipient: str = "") -> None:
        """See ``core.ports.Gate``."""
        ticket = issued(permit)
        self._bulkhead.leave(ticket.provider)
        state = self._providers[ticket.provider]
        now = self._monotonic()
        with state.lock:
            if answer is None:
                self._return_unused(state, ticket, now)
            else:
                self._record_result(state, ticket, answer, latency_ms, recipient)

    def charge(self, permit: Permit, extra_cost: int) -> None:
        """See ``RoutingGate``."""
        state = self._providers[permit.provider]
        with state.lock:
            if state.limiter is not None:
                state.limiter.charge(extra_cost, self._monotonic())

    def wait_seconds(self, provider: str, priority: Priority) -> float:
        """See ``RoutingGate``."""
        state = self._providers[provider]
        now = self._monotonic()
        with state.lock:
            return max(
                0.0,
                state.pause.until - now,
                state.breaker.open_until - now if state.breaker.state is BreakerState.OPEN else 0.0,
                state.limiter.retry_after(priority, now) if state.limiter else 0.0,
                RETRY_AFTER_SECONDS if self._bulkhead.is_full(provider) else 0.0,
            )

    def paused(self) -> Mapping[str, float]:
        """See ``RoutingGate``."""
        now = self._monotonic()
        return {name: until - now for name, state in self._providers.items() if (until := state.pause.until) > now}

    def snapshot(self) -> list[ProviderHealth]:
        """See ``RoutingGate``."""
        return [self._health(state) for state in self._providers.values()]

    def set_pause(self, provider: str, seconds: float, reason: str) -> None:
        """Let nobody call it for ``seconds``, whatever was said before."""
        state = self._providers[provider]
        now = self._monotonic()
        with state.lock:
            state.pause.take_over(seconds, reason, now)
            state.breaker.ramp.begin(state.pause.until)
        reporting.paused_seen(provider, is_paused=True)
        reporting.changed(provider, reporting.PAUSED, reason, seconds=seconds, is_shared=False)

    def reopen(self, provider: str, reason: str, at: datetime) -> None:
        """End a pause, and close the breaker, as somebody said ``at`` this moment; calls begin slowly. The same one
        again changes nothing.
        """
        state = self._providers[provider]
        now = self._monotonic()
        with state.lock:
            if state.reopened_at is not None and at <= state.reopened_at:
                return
            state.reopened_at = at
            was_paused = state.pause.is_on(now)
            state.pause = _pause(state.settings)
            changed = state.breaker.close(reason, now)
            state.breaker.ramp.begin(now)
            if changed:
                self._announce(state, changed, now)
        if was_paused:
            reporting.paused_seen(provider, is_paused=False)
            reporting.changed(provider, reporting.RESUMED, reason, seconds=0, is_shared=False)

    def close(self) -> None:
        """Nothing to let go of; here because every gate has it."""

    def take_over(self, healths: Iterable[ProviderHealth], workers: int) -> None:
        """Start from what a shared gate knew last, with one of ``workers`` equal shares of every rate limit."""
        now = self._monotonic()
        for health in healths:
            state = self._providers[health.provider]
            rate = state.settings.rate
            with state.lock:
                state.breaker = Breaker(state.settings.breaker)
                state.breaker.take_over(health.state, health.open_for_seconds, now, health.reason, health.account)
                if health.is_ramping:
                    state.breaker.ramp.begin(now)
                state.pause = _pause(state.settings)
                if health.throttled_for_seconds > 0:
                    state.pause.take_over(health.throttled_for_seconds, health.throttled_reason, now)
                    state.breaker.ramp.begin(state.pause.until)
                state.limiter = Limiter(rate.divided(workers)) if rate else None

    def _admit(self, state: _Provider, priority: Priority, cost: int) -> IssuedPermit | Refusal:
        now = self._monotonic()
        breaker = state.breaker
        if state.pause.is_on(now):
            return _refuse(state.name, gate.THROTTLED, state.pause.until - now)
        if reason := state.pause.take_ended_reason(now):
            reporting.paused_seen(state.name, is_paused=False)
            reporting.changed(state.name, reporting.RESUMED, reason, seconds=0, is_shared=False)
        if changed := breaker.wake(now):
            self._announce(state, changed, now)
        if breaker.state is BreakerState.OPEN:
            return _refuse(state.name, gate.BREAKER_OPEN, breaker.open_until - now)
        is_probe = breaker.state is BreakerState.HALF_OPEN
        if is_probe and not breaker.has_probe(now):
            return _refuse(state.name, gate.PROBES_TAKEN, PROBES_TAKEN_SECONDS)
        wait = state.limiter.retry_after(priority, now) if state.limiter else 0
        if wait > 0:
            return _refuse(state.name, gate.RATE_LIMIT, wait)
        if not is_probe and breaker.ramp.is_active(now) and not breaker.ramp.take(now):
            return _refuse(state.name, gate.SLOW_START, WAIT_SECONDS)
        if state.limiter:
            state.limiter.charge(cost, now)
        probe = ""
        if is_probe:
            probe = str(next(self._probe_names))
            breaker.lease_probe(probe, now)
        return IssuedPermit(state.name, is_probe, priority, cost, breaker.epoch, probe)

    def _return_unused(self, state: _Provider, ticket: IssuedPermit, now: float) -> None:
        if state.limiter is not None:
            state.limiter.refund(ticket.cost)
        if ticket.is_probe:
            state.breaker.return_probe(ticket.probe, None, now)

    def _record_result(
        self, state: _Provider, ticket: IssuedPermit, answer: ProviderResult, latency_ms: float, recipient: str
    ) -> None:
        now = self._monotonic()
        breaker = state.breaker
        if PauseRequest.of(answer, recipient):
            reporting.THROTTLED.labels(state.name).inc()
        if state.pause.record(answer, recipient, now):
            reporting.paused_seen(state.name, is_paused=True)
            seconds = state.pause.until - now
            reporting.changed(state.name, reporting.PAUSED, state.pause.reason, seconds=seconds, is_shared=False)
        if state.pause.is_on(now):
            breaker.ramp.begin(state.pause.until)
        found = health_signal(answer)
        is_slow = latency_ms >= breaker.settings.slow_seconds * 1000
        key = key_of(answer, recipient)
        if ticket.is_probe:
            result = probe_outcome(found, is_slow=is_slow)
            is_success = None if result == "unused" else result == "success"
            code = answer.code if found is HealthSignal.FAILS else SLOW
            changed = breaker.return_probe(
                ticket.probe, is_success, now, recipient=key, code=code, account=account_trouble(answer)
            )
        else:
            tally = CallCounts()
            tally.count(found, is_slow=is_slow, recipient=key, code=answer.code, account=account_trouble(answer))
            changed = breaker.report(tally, ticket.epoch, now)
        if changed:
            self._announce(state, changed, now)

    def _announce(self, state: _Provider, changed: BreakerState, now: float) -> None:
        breaker = state.breaker
        seconds = max(0.0, breaker.open_until - now) if changed is BreakerState.OPEN else 0.0
        reporting.breaker_seen(state.name, changed)
        reporting.account_seen(state.name, breaker.account)
        reporting.changed(
            state.name,
            changed.value,
            breaker.reason,
            seconds=seconds,
            is_shared=False,
            account=breaker.account,
            is_repeated=breaker.is_repeated,
        )

    def _health(self, state: _Provider) -> ProviderHealth:
        now = self._monotonic()
        with state.lock:
            calls, failures, slow = state.breaker.rates(now)
            is_open = state.breaker.state is BreakerState.OPEN
            return ProviderHealth(
                provider=state.name,
                state=state.breaker.state,
                epoch=state.breaker.epoch,
                open_for_seconds=max(0.0, state.breaker.open_until - now) if is_open else 0,
                throttled_for_seconds=max(0.0, state.pause.until - now),
                calls=calls,
                failures=failures,
                slow_calls=slow,
                in_flight=self._bulkhead.in_flight(state.name),
                reason=state.breaker.reason,
                throttled_reason=state.pause.reason if state.pause.is_on(now) else "",
                since_seconds=now - state.breaker.changed_at if state.breaker.reason else 0,
                throttled_since_seconds=now - state.pause.began_at if state.pause.is_on(now) else 0,
                is_ramping=state.breaker.ramp.is_active(now),
                account=state.breaker.account,
            )


def _refuse(provider: str, reason: str, retry_after_seconds: float) -> Refusal:
    reporting.REFUSALS.labels(provider, reason).inc()
    return Refusal(provider, reason, retry_after_seconds)


def _pause(settings: GateSettings) -> Pause:
    return Pause(settings.breaker.recipients_to_pause, settings.breaker.pause_cap_seconds)
