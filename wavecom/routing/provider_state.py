"""One process's copy of one provider's shared state, and the results that it has not reported yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from wavecom.core.job import ProviderResult
from wavecom.core.lanes import Priority
from wavecom.core.ports import Refusal
from wavecom.routing import evidence, gate, reporting
from wavecom.routing.breaker import BreakerState, ProviderHealth
from wavecom.routing.evidence import CallCounts, HealthSignal, health_signal
from wavecom.routing.gate import GateSettings, IssuedPermit
from wavecom.routing.pause import PauseRequest
from wavecom.routing.permit_cache import BATCH_SECONDS, PermitCache
from wavecom.routing.ratelimit import SHARES
from wavecom.routing.shared import Denial, Grant, ReturnedProbe, SharedProvider, SharedState, StateDelta, health_of

#: The lower priorities come back for a few permits at once, not for each one by itself.
LONGEST_BATCH_WAIT_SECONDS = 0.02
#: So many requests for a pause that were not reported yet are kept: the last ones.
MAX_REQUESTS = 16
#: So many failures that were not reported yet are reported at once.
URGENT_FAILURES = 3


class ProviderState:
    """One provider as this process sees it. Thread-safe; never talks to a server itself."""

    def __init__(self, name: str, settings: GateSettings, monotonic: Callable[[], float]) -> None:
        self.name = name
        self.shared = SharedProvider(name, settings)
        #: One thread fetches permits for a priority at a time; the others find what it fetched.
        self.asking = {priority: Lock() for priority in SHARES}
        self._monotonic = monotonic
        self._rate = settings.rate
        self._slow_ms = settings.breaker.slow_seconds * 1000
        self._caches = {priority: PermitCache(self._most_ahead(priority)) for priority in SHARES}
        self._lock = Lock()
        self._view: SharedState | None = None
        self._open_until = float("-inf")
        self._throttled_until = float("-inf")
        self._tally = CallCounts()
        self._debt = 0
        self._probes: list[ReturnedProbe] = []
        self._was_taken = False
        self._pauses: list[PauseRequest] = []

    def admit(self, priority: Priority, cost: int) -> IssuedPermit | Refusal | None:
        """A permit or a refusal by what is known here; None: the shared server must be asked."""
        with self._lock:
            now = self._monotonic()
            if self._throttled_until > now:
                return Refusal(self.name, gate.THROTTLED, self._throttled_until - now)
            view = self._view
            if view is None:
                return None
            if view.state is BreakerState.OPEN and self._open_until > now:
                return Refusal(self.name, gate.BREAKER_OPEN, self._open_until - now)
            cache = self._caches[priority]
            # After a pause every permit counts, until the slow start is over; only the shared server can count them.
            is_unlimited = self._rate is None and not view.is_ramping and view.throttled_for_seconds <= 0
            if view.state is BreakerState.CLOSED and (is_unlimited or cache.take(cost, now)):
                return IssuedPermit(self.name, False, priority, cost, view.epoch, "", True)
            if cache.knows_refusal(now):
                return Refusal(self.name, cache.refusal_reason, cache.wait_seconds(now))
            return None

    def plan(self, priority: Priority) -> int:
        """How many permits to fetch beyond the need."""
        with self._lock:
            cache = self._caches[priority]
            cache.plan(self._monotonic())
            return cache.ahead

    def apply_reply(self, reply: Grant | Denial, priority: Priority, cost: int, probe: str) -> IssuedPermit | Refusal:
        """Take over the shared server's reply to one thread; the permit or the refusal that it means."""
        with self._lock:
            now = self._monotonic()
            self._apply_view(reply.view, now)
            cache = self._caches[priority]
            if isinstance(reply, Denial):
                wait = max(reply.retry_after_seconds, self._batch_wait_seconds(reply.reason, priority))
                cache.refuse(reply.reason, wait, now)
                return Refusal(self.name, reply.reason, wait)
            if reply.is_probe:
                return IssuedPermit(self.name, True, priority, cost, reply.view.epoch, probe, True)
            cache.fill(reply.permits, cost, now)
            return IssuedPermit(self.name, False, priority, cost, reply.view.epoch, "", True)

    def record_result(
        self, ticket: IssuedPermit, answer: ProviderResult | None, latency_ms: float, recipient: str = ""
    ) -> bool:
        """Count the result of a call; True when it should be reported at once."""
        with self._lock:
            now = self._monotonic()
            if answer is None:
                self._caches[ticket.priority].put_back(ticket.cost, now)
                if ticket.is_probe:
                    self._probes.append(ReturnedProbe(ticket.probe, "unused"))
                return ticket.is_probe
            found = health_signal(answer)
            asks_for_pause = self._note_pause(answer, found, recipient)
            is_slow = latency_ms >= self._slow_ms
            key = evidence.key_of(answer, recipient)
            account = evidence.account_trouble(answer)
            if ticket.is_probe:
                result = evidence.probe_outcome(found, is_slow=is_slow)
                code = answer.code if found is HealthSignal.FAILS else evidence.SLOW
                self._probes.append(ReturnedProbe(ticket.probe, result, key, code, account))
                return True
            if self._view is not None and ticket.epoch == self._view.epoch:
                self._tally.count(found, is_slow=is_slow, recipient=key, code=answer.code, account=account)
            return (
                bool(account)
                or asks_for_pause
                or (found is HealthSignal.FAILS and self._tally.failures == URGENT_FAILURES)
            )

    def charge(self, ticket: IssuedPermit, extra_cost: int) -> None:
        """A call weighs more than was asked for: pay from the cache, owe the rest."""
        with self._lock:
            if self._rate is not None:
                self._debt += self._caches[ticket.priority].spend(extra_cost, self._monotonic())

    def take_delta(self) -> StateDelta:
        """What is to be reported, which counts as reported from now on."""
        with self._lock:
            delta = StateDelta(
                tally=self._tally,
                epoch=self._view.epoch if self._view else 0,
                was_taken=self._was_taken,
                pauses=tuple(self._pauses),
                debt=self._debt,
                probes=tuple(self._probes),
            )
            self._tally, self._debt, self._probes = CallCounts(), 0, []
            self._was_taken, self._pauses = False, []
            return delta

    def apply_view(self, view: SharedState) -> None:
        """Take over the shared state."""
        with self._lock:
            self._apply_view(view, self._monotonic())

    def request_pause(self, seconds: float) -> None:
        """Take over a pause that was begun while the shared server was away."""
        if seconds > 0:
            with self._lock:
                self._pauses.append(PauseRequest("", seconds, True, "while Redis was away"))

    def wait_seconds(self, priority: Priority) -> float:
        """About how long until a permit is worth asking for."""
        with self._lock:
            now = self._monotonic()
            return max(
                0.0, self._throttled_until - now, self._open_until - now, self._caches[priority].wait_seconds(now)
            )

    @property
    def paused_until(self) -> float:
        """Nobody may call it before, in seconds of the monotonic clock, as it or an operator wants it."""
        # One value, read at once: no lock, for every job asks.
        return self._throttled_until

    def health(self, in_flight: int) -> ProviderHealth:
        """For pages."""
        with self._lock:
            now = self._monotonic()
            return replace(
                health_of(self.name, self._view or SharedState(), in_flight),
                open_for_seconds=max(0.0, self._open_until - now),
                throttled_for_seconds=max(0.0, self._throttled_until - now),
            )

    def _apply_view(self, view: SharedState, now: float) -> None:
        old = self._view
        self._view = view
        self._open_until = now + view.open_for_seconds
        self._throttled_until = now + view.throttled_for_seconds
        if view.throttled_for_seconds > 0:
            for cache in self._caches.values():
                cache.clear()
        if old is None or old.epoch != view.epoch:
            # What was counted, fetched and refused before says nothing about how the provider stands now.
            self._tally = CallCounts()
            self._caches = {priority: PermitCache(self._most_ahead(priority)) for priority in SHARES}
        # Not only where the shared state has changed: while Redis was away the gauges followed the local gate.
        reporting.breaker_seen(self.name, view.state)
        reporting.account_seen(self.name, view.account)
        for change in view.changes:
            reporting.changed(
                self.name,
                change.kind,
                change.reason,
                seconds=change.seconds,
                is_shared=True,
                account=view.account,
                is_repeated=change.is_repeated,
            )
        reporting.paused_seen(self.name, is_paused=view.throttled_for_seconds > 0)

    def _note_pause(self, answer: ProviderResult, found: HealthSignal, recipient: str) -> bool:
        if found is HealthSignal.WORKS:
            self._was_taken = True
            self._pauses.clear()
            return False
        request = PauseRequest.of(answer, recipient)
        if request is None:
            return False
        reporting.THROTTLED.labels(self.name).inc()
        self._pauses = [*self._pauses, request][-MAX_REQUESTS:]
        # Amid calls that are taken it is hardly the beginning of a row, and not worth a trip of its own each time.
        return request.is_for_all or not self._was_taken

    def _most_ahead(self, priority: Priority) -> int:
        return int(BATCH_SECONDS / self._rate.interval_seconds(priority)) if self._rate else 0

    def _batch_wait_seconds(self, reason: str, priority: Priority) -> float:
        if reason != gate.RATE_LIMIT or priority is Priority.HIGH or self._rate is None:
            return 0
        return min(
            LONGEST_BATCH_WAIT_SECONDS, self._rate.capacity(priority) * self._rate.interval_seconds(priority) / 2
        )
