"""The gate of a fleet: breakers, limits and pauses shared by all workers through Redis, and what happens without it.

A call costs a trip to Redis only when a batch of permits is used up; results are reported five times a second, failures
at once. When Redis is away each process goes on with a ``LocalGate``: breakers of its own and
its share of every limit; when Redis is back, so is the fleet's view.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Event, Lock, Thread

import structlog

from wavecom.core.job import ProviderResult
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit, Refusal
from wavecom.errors import UnavailableError
from wavecom.routing import gate, reporting
from wavecom.routing.breaker import ProviderHealth
from wavecom.routing.bulkhead import RETRY_AFTER_SECONDS
from wavecom.routing.gate import GateSettings, IssuedPermit, bulkhead_of, issued
from wavecom.routing.local_gate import LocalGate
from wavecom.routing.provider_state import ProviderState
from wavecom.routing.shared import Scripts, sync

log = structlog.get_logger()

#: How often a process reports and reads the shared state: the longest until it knows of a breaker that another opened.
SYNC_SECONDS = 0.2
#: How often it looks whether Redis is back.
AWAY_SECONDS = 0.5
#: How long ``close`` waits for the thread: longer than Redis may take.
CLOSE_SECONDS = 3.0


class RedisGate:
    """``RoutingGate`` shared through ``scripts``. Thread-safe.

    ``threads`` is how many of this process call providers. ``worker`` is unique in the fleet; ``expected_workers`` is
    what a limit is divided by as long as Redis has never said how many there are. The first ``acquire`` starts a
    background thread and makes the process count as a worker; who only looks (``snapshot``) has neither.
    """

    def __init__(
        self,
        providers: Mapping[str, GateSettings],
        scripts: Scripts,
        *,
        threads: int,
        monotonic: Callable[[], float],
        worker: str,
        expected_workers: int = 1,
    ) -> None:
        self._scripts = scripts
        self._monotonic = monotonic
        self._worker = worker
        self._workers = expected_workers
        self._bulkhead = bulkhead_of(providers, threads)
        self._fallback = LocalGate(providers, threads=threads, monotonic=monotonic, bulkhead=self._bulkhead)
        self._states = {name: ProviderState(name, settings, monotonic) for name, settings in providers.items()}
        self._probe_numbers = itertools.count(1)
        #: Reopenings of the time without Redis, which has still to hear of them: provider → why, and since when.
        self._pending_reopenings: dict[str, tuple[str, datetime]] = {}
        self._mode_lock = Lock()
        self._is_degraded = False
        self._degraded_at = 0.0
        self._thread: Thread | None = None
        self._wake = Event()
        self._closing = Event()

    def acquire(self, provider: str, priority: Priority, cost: int = 1) -> IssuedPermit | Refusal:
        """See ``core.ports.Gate``. Takes a trip to Redis at most, bounded by the client's timeout."""
        if self._thread is None:
            self._start()
        if self._is_degraded:
            return self._fallback.acquire(provider, priority, cost)
        if not self._bulkhead.enter(provider):
            answer: IssuedPermit | Refusal = Refusal(provider, gate.BULKHEAD, RETRY_AFTER_SECONDS)
        else:
            try:
                answer = self._admit(self._states[provider], priority, cost)
            except UnavailableError as error:
                self._bulkhead.leave(provider)
                self._degrade(error)
                return self._fallback.acquire(provider, priority, cost)
            if isinstance(answer, Refusal):
                self._bulkhead.leave(provider)
        if isinstance(answer, Refusal):
            reporting.REFUSALS.labels(provider, answer.reason).inc()
        return answer

    def release(self, permit: Permit, answer: ProviderResult | None, latency_ms: float, recipient: str = "") -> None:
        """See ``core.ports.Gate``. Never talks to Redis."""
        ticket = issued(permit)
        if not ticket.is_shared:
            self._fallback.release(ticket, answer, latency_ms, recipient)
            return
        self._bulkhead.leave(ticket.provider)
        if self._states[ticket.provider].record_result(ticket, answer, latency_ms, recipient):
            self._wake.set()

    def charge(self, permit: Permit, extra_cost: int) -> None:
        """See ``RoutingGate``."""
        ticket = issued(permit)
        if ticket.is_shared:
            self._states[ticket.provider].charge(ticket, extra_cost)
        else:
            self._fallback.charge(ticket, extra_cost)

    def wait_seconds(self, provider: str, priority: Priority) -> float:
        """See ``RoutingGate``."""
        if self._is_degraded:
            return self._fallback.wait_seconds(provider, priority)
        full = RETRY_AFTER_SECONDS if self._bulkhead.is_full(provider) else 0.0
        return max(full, self._states[provider].wait_seconds(priority))

    def paused(self) -> Mapping[str, float]:
        """See ``RoutingGate``."""
        if self._is_degraded:
            return self._fallback.paused()
        now = self._monotonic()
        return {name: until - now for name, state in self._states.items() if (until := state.paused_until) > now}

    def set_pause(self, provider: str, seconds: float, reason: str) -> None:
        """Let nobody of the fleet call it for ``seconds``; of this process alone, while Redis is away."""
        if self._is_degraded:
            self._fallback.set_pause(provider, seconds, reason)
            return
        state = self._states[provider]
        state.apply_view(state.shared.pause(self._scripts, seconds, reason, is_followed=True))

    def reopen(self, provider: str, reason: str, at: datetime) -> None:
        """End a pause, and close the breaker, as somebody said ``at`` this moment; while Redis is away for this process
        alone, and for all as soon as it is back.
        """
        if self._is_degraded:
            self._fallback.reopen(provider, reason, at)
            self._pending_reopenings[provider] = reason, at
        else:
            self._reopen_for_all(provider, reason, at)

    def _reopen_for_all(self, provider: str, reason: str, at: datetime) -> None:
        state = self._states[provider]
        state.apply_view(state.shared.reopen(self._scripts, reason, at))

    @property
    def workers(self) -> int:
        """How many processes called providers in the last seconds, as far as is known here."""
        return self._workers

    def snapshot(self) -> list[ProviderHealth]:
        """See ``RoutingGate``. Asks Redis when no thread keeps the answer fresh."""
        if self._thread is None:
            self._sync()
        if self._is_degraded:
            return self._fallback.snapshot()
        return [state.health(self._bulkhead.in_flight(name)) for name, state in self._states.items()]

    def close(self) -> None:
        """Report the rest, stop counting as a worker, end the thread. May be called twice."""
        self._closing.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(CLOSE_SECONDS)
            if not self._is_degraded:
                self._sync(is_leaving=True)

    # --- permits --------------------------------------------------------------------------------------------------

    def _admit(self, state: ProviderState, priority: Priority, cost: int) -> IssuedPermit | Refusal:
        answer = state.admit(priority, cost)
        if answer is not None:
            return answer
        with state.asking[priority]:
            # While this thread waited for its turn, another may have fetched for both, or found Redis away.
            answer = state.admit(priority, cost)
            if answer is not None:
                return answer
            if self._is_degraded:
                raise UnavailableError("Redis is away")
            ahead = state.plan(priority)
            probe = f"{self._worker}#{next(self._probe_numbers)}"
            reply = state.shared.acquire(self._scripts, priority, cost, ahead, probe)
            return state.apply_reply(reply, priority, cost, probe)

    # --- reports --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._mode_lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = Thread(target=self._run, name="wavecom-gate", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._is_degraded:
                self._closing.wait(AWAY_SECONDS)
            else:
                self._wake.wait(SYNC_SECONDS)
            self._wake.clear()
            try:
                self._sync()
            except Exception:
                # The thread's border: one answer that makes no sense must not end it, or no breaker moves any more.
                log.exception("gate_sync_failed")
                self._closing.wait(AWAY_SECONDS)

    def _sync(self, *, is_leaving: bool = False) -> None:
        if self._is_degraded:
            for health in self._fallback.snapshot():
                self._states[health.provider].request_pause(health.throttled_for_seconds)
        deltas = [(state.shared, state.take_delta()) for state in self._states.values()]
        worker = self._worker if self._thread is not None or is_leaving else None
        try:
            workers, views = sync(self._scripts, deltas, worker=worker, is_leaving=is_leaving)
        except UnavailableError as error:
            self._degrade(error)
            return
        self._workers = max(1, workers)
        for state, view in zip(self._states.values(), views, strict=True):
            state.apply_view(view)
        try:
            for provider, (reason, at) in list(self._pending_reopenings.items()):
                self._reopen_for_all(provider, reason, at)
                del self._pending_reopenings[provider]
        except UnavailableError as error:
            self._degrade(error)
            return
        self._recover()

    # --- Redis away ---------------------------------------------------------------------------------------------------

    def _degrade(self, error: UnavailableError) -> None:
        with self._mode_lock:
            if self._is_degraded:
                return
            healths = [state.health(0) for state in self._states.values()]
            self._fallback.take_over(healths, self._workers)
            self._degraded_at = self._monotonic()
            self._is_degraded = True
        reporting.degraded(self._workers, str(error))

    def _recover(self) -> None:
        with self._mode_lock:
            if not self._is_degraded:
                return
            self._is_degraded = False
        reporting.recovered(self._monotonic() - self._degraded_at)
