"""Picks the provider for a job: the first on its route that may be called now, after a short wait if need be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from threading import Event, Lock
from typing import Any

import structlog

from wavecom.core.job import CallResult, Job
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.ports import AFTER_CLAIM, TEST_SANDBOX, Permit, Refusal
from wavecom.core.recipients import destination_of
from wavecom.core.routes import ChannelRoutes
from wavecom.routing.bulkhead import RETRY_AFTER_SECONDS, Bulkhead
from wavecom.routing.destinations import Destinations
from wavecom.routing.gate import BULKHEAD, RoutingGate
from wavecom.routing.refusal_backoff import RefusalBackoff

log = structlog.get_logger()

#: No thread waits for a permit for longer, whatever its caller asks for.
LONGEST_WAIT_SECONDS = 1.0
#: A pause that is shorter costs more in switching threads than it wins.
SHORTEST_PAUSE_SECONDS = 0.001
#: What each priority may use of the waiting places, so that a thread for a one-time password always finds one.
WAITING_SHARES = {Priority.HIGH: 1.0, Priority.NORMAL: 0.75, Priority.BULK: 0.5}

#: Of a process's threads, what the sandbox of the test accounts may hold: tests never take what live traffic needs.
SANDBOX_SHARE = 0.25

NO_ROUTE = "no_route"
#: No provider of the channel may be called now, whichever route a job has.
ALL_WAIT = "all_wait"
NO_ROUTE_RETRY_SECONDS = 60.0
#: How often the log says that messages wait for a route, which only people can add.
_NO_ROUTE_REPORT_SECONDS = 60.0


class Router:
    """Who is called for a channel, and when. Thread-safe.

    Where every notification of a channel goes by one route, a message is admitted with a permit for a provider. Where
    routes have conditions, only the job says which is its own: the message is admitted (``AFTER_CLAIM``) when some
    provider of the channel may be called, and ``reserve_for`` asks for the permit when the job is known (ADR 28).

    ``threads`` is how many of this process call providers; at most a quarter of them wait for permits at any time.
    ``stopping`` ends every wait. ``draw`` gives random numbers in [0, 1).
    ``bound``: the regions for whose jobs a provider may be called, of those that may not for all.
    """

    def __init__(
        self,
        routes: Mapping[Channel, ChannelRoutes],
        gate: RoutingGate,
        *,
        threads: int,
        stopping: Event,
        monotonic: Callable[[], float],
        draw: Callable[[], float],
        bound: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._declared = dict(routes)
        self._set_routes(self._declared)
        self._gate = gate
        self._bound = dict(bound or {})
        self._stopping = stopping
        self._monotonic = monotonic
        self._draw = draw
        self._places = {priority: max(1, int(threads / 4 * share)) for priority, share in WAITING_SHARES.items()}
        # In this process alone and without a breaker: there is nothing to protect but our own threads, and what a magic
        # recipient brings to one test must not close the sandbox to the others.
        self._sandbox = Bulkhead({TEST_SANDBOX: max(1, int(threads * SANDBOX_SHARE))}, threads)
        self._destinations = Destinations(monotonic)
        self._waiting = 0
        #: One for each priority, so that a higher one is not held up by those of a lower one who wait.
        self._backoffs = {
            (name, priority): RefusalBackoff(monotonic)
            for each in routes.values()
            for name in each.providers
            for priority in Priority
        }
        self._lock = Lock()
        #: Channels without a route for which there are messages all the same: when that was last logged.
        self._no_route_reported_at: dict[Channel, float] = {}

    def reserve(
        self,
        lane: Lane,
        *,
        wait_seconds: float = 0.0,
        prefer: str | None = None,
        cost: int = 1,
    ) -> Permit | Refusal:
        """A permit for the first provider of the lane's route that may be called now, ``prefer`` before all.

        For a test lane a place in the sandbox instead, without waiting and without asking any gate.

        When none may, waits up to ``wait_seconds`` (never more than a second) if one is expected to become free in that
        time and not too many threads wait already. Else the refusal with the shortest ``retry_after_seconds``.
        Every permit must be given back with ``release``.
        """
        if lane.is_test:
            return self._reserve_sandbox()
        if lane.channel in self._conditional:
            return self._admit_unrouted(lane)
        answer = self._reserve(self._order(lane.channel, lane.region, prefer), lane.priority, cost, wait_seconds)
        if isinstance(answer, Permit):
            self._backoffs[answer.provider, lane.priority].add_admitted()
        return answer

    def parking_seconds(self, lane: Lane, refusal: Refusal) -> float:
        """For how long a job of ``lane`` that ``reserve`` refused should rest, where its message can't be held: each
        behind those that were turned away before it.
        """
        backoff = self._backoffs.get((refusal.provider, lane.priority))
        return refusal.retry_after_seconds if backoff is None else backoff.add_refused(refusal.retry_after_seconds)

    def reserve_for(
        self, job: Job, *, besides: Collection[str] = (), wait_seconds: float = 0.0
    ) -> Permit | Refusal | None:
        """The same for the route of a job that is known, without the providers in ``besides``; None when it has no
        others.
        """
        order = self._order_for(job, None)
        if besides and order:
            order = tuple(provider for provider in order if provider not in besides)
            if not order:
                return None
        answer = self._reserve(order, job.priority, 1, wait_seconds)
        if isinstance(answer, Permit):
            self._backoffs[answer.provider, job.priority].add_admitted()
        return answer

    def _admit_unrouted(self, lane: Lane) -> Permit | Refusal:
        """Leave to claim a job whose route is not known yet, where one of its channel's providers may be called."""
        waits = [
            max(self._gate.wait_seconds(name, lane.priority), self._backoffs[name, lane.priority].refused_seconds())
            for name in self._in_region(self._conditional[lane.channel].providers, lane.region)
        ]
        shortest = min(waits, default=NO_ROUTE_RETRY_SECONDS)
        return Permit(AFTER_CLAIM) if shortest <= 0 else Refusal("", ALL_WAIT, shortest)

    def _reserve(self, order: tuple[str, ...], priority: Priority, cost: int, wait_seconds: float) -> Permit | Refusal:
        answer = self._first(order, priority, cost)
        if isinstance(answer, Permit):
            return answer
        deadline = self._monotonic() + min(wait_seconds, LONGEST_WAIT_SECONDS)
        if self._monotonic() + answer.retry_after_seconds > deadline or not self._start_waiting(priority):
            return answer
        try:
            return self._wait_for(order, priority, cost, answer, deadline)
        finally:
            self._stop_waiting()

    def _reserve_sandbox(self) -> Permit | Refusal:
        """Leave to call the sandbox of the test accounts. Asks no gate, so no live provider can stand in the way."""
        if self._sandbox.enter(TEST_SANDBOX):
            return Permit(TEST_SANDBOX)
        return Refusal(TEST_SANDBOX, BULKHEAD, RETRY_AFTER_SECONDS)

    def reserve_next(
        self,
        job: Job,
        tried: Collection[str],
        *,
        prefer: str | None = None,
        cost: int = 1,
    ) -> Permit | Refusal | None:
        """The same for the providers of the job's route that are not in ``tried``, without waiting; None when it has no
        more.
        """
        if job.lane.is_test:
            return None if TEST_SANDBOX in tried else self._reserve_sandbox()
        order = [provider for provider in self._order_for(job, prefer) if provider not in tried]
        return self._first(order, job.priority, cost) if order else None

    def payload_of(self, job: Job) -> Mapping[str, Any]:
        """The job's payload, with the sender of its route where it names none itself."""
        if job.type not in self._conditional or job.lane.is_test:
            return job.payload
        route = self._conditional[job.type].route_of(job)
        return job.payload if route is None else route.with_sender(job.type, job.payload)

    def sandbox_of(self, job: Job) -> str | None:
        """The sandbox of the providers file that a test account's job goes to; None: the worker's own."""
        if job.type not in self._conditional or not job.lane.is_test:
            return None
        route = self._conditional[job.type].route_of(job)
        return None if route is None else next(iter(route.providers), None)

    def set_weights(self, weights: Mapping[str, float], factors: Mapping[str, float]) -> None:
        """Have these weights (by provider) take the place of the file's, from the next choice on; ``factors`` are what
        is left of the file's, of providers that have no other.
        """
        self._set_routes({channel: each.with_weights(weights, factors) for channel, each in self._declared.items()})

    def _set_routes(self, routes: Mapping[Channel, ChannelRoutes]) -> None:
        only = {channel: each.only for channel, each in routes.items()}
        self._plain = {channel: route for channel, route in only.items() if route is not None}
        self._conditional = {channel: each for channel, each in routes.items() if only[channel] is None}

    def release(self, permit: Permit, outcome: CallResult | None) -> None:
        """Give a permit back; ``outcome`` is None when the provider was not called. Once for each permit."""
        if permit.provider == AFTER_CLAIM:
            return
        if permit.provider == TEST_SANDBOX:
            self._sandbox.leave(TEST_SANDBOX)
        elif outcome is None:
            self._gate.release(permit, None, 0)
        else:
            latency_ms = outcome.latency_ms - outcome.lag_ms
            self._gate.release(permit, outcome.answer, latency_ms, outcome.recipient)
            self._destinations.record(permit.provider, outcome.destination, outcome.answer, outcome.recipient)

    def paused_providers(self, job: Job) -> Mapping[str, float]:
        """See ``core.pauses.PausingRoute``."""
        paused = self._gate.paused()
        if not paused or job.lane.is_test:
            return {}
        return {provider: paused[provider] for provider in self._providers_of(job) if provider in paused}

    def destination_waits(self, job: Job) -> Mapping[str, float]:
        """See ``core.pauses.PausingRoute``. Destinations are mail domains."""
        if not self._destinations.known or job.lane.is_test:
            return {}
        destination = destination_of(job)
        waits = {
            provider: self._destinations.wait_seconds(provider, destination) for provider in self._providers_of(job)
        }
        return {provider: seconds for provider, seconds in waits.items() if seconds > 0}

    def charge(self, permit: Permit, extra_cost: int) -> None:
        """The message weighs ``extra_cost`` more than was reserved (SMS: segments), known only after the claim."""
        if extra_cost > 0 and permit.provider != TEST_SANDBOX:
            self._gate.charge(permit, extra_cost)

    def _in_region(self, providers: tuple[str, ...], region: str) -> tuple[str, ...]:
        if not self._bound:
            return providers
        return tuple(name for name in providers if region in self._bound.get(name, (region,)))

    def _providers_of(self, job: Job) -> tuple[str, ...]:
        """All of the job's route, in no order."""
        routes = self._conditional.get(job.type)
        route = self._plain.get(job.type) if routes is None else routes.route_of(job)
        return () if route is None else self._in_region(route.providers, job.region)

    def _order(self, channel: Channel, region: str, prefer: str | None) -> tuple[str, ...]:
        route = self._plain.get(channel)
        if route is None:
            self._report_no_route(channel)
            return ()
        return self._in_region(route.order(self._draw(), prefer), region)

    def _order_for(self, job: Job, prefer: str | None) -> tuple[str, ...]:
        if job.type not in self._conditional:
            return self._order(job.type, job.region, prefer)
        route = self._conditional[job.type].route_of(job)
        if route is None:
            self._report_no_route(job.type)
            return ()
        return self._in_region(route.order(self._draw(), prefer), job.region)

    def _report_no_route(self, channel: Channel) -> None:
        now = self._monotonic()
        with self._lock:
            is_due = now - self._no_route_reported_at.get(channel, float("-inf")) >= _NO_ROUTE_REPORT_SECONDS
            if is_due:
                self._no_route_reported_at[channel] = now
        if is_due:
            log.error(
                "channel_without_route",
                channel=channel,
                check=f"accepted messages wait until they expire: have a route for all {channel} in the providers file",
            )

    def _first(self, order: Collection[str], priority: Priority, cost: int) -> Permit | Refusal:
        best = Refusal("", NO_ROUTE, NO_ROUTE_RETRY_SECONDS)
        for provider in order:
            answer = self._gate.acquire(provider, priority, cost)
            if isinstance(answer, Permit):
                return answer
            if best.reason == NO_ROUTE or answer.retry_after_seconds < best.retry_after_seconds:
                best = answer
        return best

    def _wait_for(
        self, order: tuple[str, ...], priority: Priority, cost: int, refusal: Refusal, deadline: float
    ) -> Permit | Refusal:
        while True:
            pause = max(refusal.retry_after_seconds, SHORTEST_PAUSE_SECONDS)
            if self._monotonic() + pause > deadline or self._stopping.wait(pause):
                return refusal
            answer = self._first(order, priority, cost)
            if isinstance(answer, Permit):
                return answer
            refusal = answer

    def _start_waiting(self, priority: Priority) -> bool:
        with self._lock:
            if self._waiting >= self._places[priority]:
                return False
            self._waiting += 1
            return True

    def _stop_waiting(self) -> None:
        with self._lock:
            self._waiting -= 1
