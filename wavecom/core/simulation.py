"""A discrete-event simulation of a deployment: clients, web processes, servers, workers, providers. Pure.

Its events are round trips of groups, as in the code: a web process validates what has come, the store commits it, the
broker takes its delivery messages; a worker claims, calls, records and acknowledges. Every step takes processor time
of a machine (``core.cpu``) as ``core.costs`` has it. So it shows queues and limits, which no arithmetic over means
does. Requests arrive evenly; nothing is left to chance, and the same question has the same answer.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final, NamedTuple

from wavecom.core.costs import FULL_DELIVERY_GROUP, FULL_GROUP, MeasuredCosts, opened_window
from wavecom.core.cpu import SimulatedMachine

#: Requests that are new since the last look come together so often.
_TICK_SECONDS: Final = 0.004
#: What a worker that steps back (``WAVECOM_WORKER_NICENESS``) weighs beside others: more than Linux has for 15, because
#: it works in short pieces, and whoever has slept goes first.
_NICE_WEIGHT: Final = 0.22
_MOMENT: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLoad:
    """``rate`` requests a second for ``seconds``, one after the other. ``connections``: so many can wait for an
    answer at once, and a request that finds none free waits ``patience_seconds`` and is then never sent."""

    rate: float
    seconds: float
    connections: int = 256
    patience_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOutage:
    """Nothing of the store is answered from ``at`` on for ``seconds``."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDeployment:
    """What is simulated: a machine, its processes, and the providers behind it."""

    cores: float = 2
    #: How fast they are: 1 is as fast as the fastest that the report has seen.
    core_speed: float = 1.0
    web_processes: int = 1
    workers: int = 1
    calls_at_once: int = 384
    latency_seconds: float = 0.05
    #: Calls a second that the providers take; None: as many as come.
    provider_rate: float | None = None
    #: Of the load and the provider, where they run on the same machine.
    load_ms: float = 0.0
    provider_ms: float = 0.0
    outages: Sequence[StoreOutage] = ()


@dataclass(slots=True)
class SimulationResult:
    """What came of it. Times in seconds from the start."""

    offered: int = 0
    accepted: int = 0
    never_sent: int = 0
    delivered: int = 0
    last_accepted_at: float = 0.0
    last_delivered_at: float = 0.0
    longest_queue: int = 0
    #: When the queue was empty for the first time after it was longest.
    emptied_at: float = 0.0
    cpu_seconds: float = 0.0
    #: When each was accepted, how long that took, and how long after it its provider was called.
    accepted_at: list[float] = field(default_factory=list)
    accept_seconds: list[float] = field(default_factory=list)
    deliver_seconds: list[float] = field(default_factory=list)

    @property
    def accepted_per_second(self) -> float:
        """From the start to the last acceptance."""
        return self.accepted / self.last_accepted_at if self.last_accepted_at else 0.0

    @property
    def delivered_per_second(self) -> float:
        """From the start to the last delivery."""
        return self.delivered / self.last_delivered_at if self.last_delivered_at else 0.0

    @property
    def cpu_ms(self) -> float:
        """Processor time for each notification that was accepted."""
        return 1_000 * self.cpu_seconds / self.accepted if self.accepted else 0.0

    def percentile(self, values: Sequence[float], percent: int) -> float:
        """Of one of the two lists; 0 where there are fewer than two values."""
        return quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


def simulate(deployment: SimulatedDeployment, costs: MeasuredCosts, loads: Sequence[SimulatedLoad]) -> SimulationResult:
    """Play ``loads`` one after the other, until all that was accepted is delivered."""
    return _Simulation(deployment, costs, loads).run()


class _Simulation:
    def __init__(self, deployment: SimulatedDeployment, costs: MeasuredCosts, loads: Sequence[SimulatedLoad]) -> None:
        self._deployment = deployment
        self._costs = costs
        self._loads = [*loads]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._now = 0.0
        self._machine = SimulatedMachine(deployment.cores)
        self._outcome = SimulationResult()
        self._ends_at = sum(load.seconds for load in loads)
        #: When requests were meant to be sent that no connection is free for.
        self._unsent: deque[float] = deque()
        self._busy_connections = 0
        self._web = [_Web() for _ in range(deployment.web_processes)]
        self._workers = [_Worker() for _ in range(deployment.workers)]
        self._queue: deque[_Messages] = deque()
        rate = max(load.rate for load in loads)
        self._claim_window = opened_window(rate / max(1, deployment.workers), costs.windows.claim)
        self._waiting = 0
        self._permits = 0.0
        self._permits_at = 0.0

    def run(self) -> SimulationResult:
        self._schedule(0.0, lambda: self._arrive(0, 0.0, 0.0))
        while self._events or self._machine.is_busy:
            done_at = self._machine.next_end(self._now)
            if self._events and (done_at is None or self._events[0][0] <= done_at):
                at, _, act = heapq.heappop(self._events)
                self._machine.advance(at - self._now)
                self._now = at
                act()
            elif done_at is not None:
                self._machine.advance(done_at - self._now)
                self._now = done_at
                for act in self._machine.take_done():
                    act()
        idle_ms = sum(cost.per_second_ms for cost in self._costs.groups.values())
        self._outcome.cpu_seconds = (
            self._machine.used_seconds + idle_ms / 1_000 / self._deployment.core_speed * self._now
        )
        return self._outcome

    def _schedule(self, at: float, act: Callable[[], None]) -> None:
        # An outage of the store is a time in which nothing new begins.
        self._number += 1
        heapq.heappush(self._events, (at, self._number, act))

    def _burst(self, milliseconds: float, then: Callable[[], None], *, weight: float = 1.0) -> None:
        self._machine.begin(milliseconds / 1_000 / self._deployment.core_speed, weight, then)

    def _store(self, milliseconds: float, then: Callable[[], None]) -> None:
        """A round trip to the store."""
        for outage in self._deployment.outages:
            if outage.at <= self._now < outage.at + outage.seconds:
                self._schedule(outage.at + outage.seconds, lambda: self._burst(milliseconds, then))
                return
        self._burst(milliseconds, then)

    # Clients

    def _arrive(self, index: int, began: float, owed: float) -> None:
        """Requests that were meant to be sent since the last look; ``owed`` is what is left of one."""
        load = self._loads[index]
        owed += load.rate * min(_TICK_SECONDS, began + load.seconds - self._now)
        count = int(owed)
        self._outcome.offered += count
        self._unsent += [self._now] * count
        self._send(load)
        if self._now + _TICK_SECONDS < began + load.seconds:
            self._schedule(self._now + _TICK_SECONDS, lambda: self._arrive(index, began, owed - count))
        elif index + 1 < len(self._loads):
            self._schedule(began + load.seconds, lambda: self._arrive(index + 1, began + load.seconds, 0.0))

    def _send(self, load: SimulatedLoad) -> None:
        while self._unsent and self._now - self._unsent[0] > load.patience_seconds:
            self._outcome.never_sent += 1
            self._unsent.popleft()
        free = min(load.connections - self._busy_connections, len(self._unsent))
        sent = [self._unsent.popleft() for _ in range(free)]
        self._busy_connections += len(sent)
        for number, intended in enumerate(sent):
            self._web[number % len(self._web)].waiting.append(_Request(intended, self._now))
        for web in self._web:
            self._validate(web, load)

    # Accepting

    def _validate(self, web: _Web, load: SimulatedLoad) -> None:
        """A web process takes what has come, once the window of the first is over and it has time for it."""
        if web.is_validating or not web.waiting:
            return
        opens_at = web.waiting[0].came_at + opened_window(load.rate / len(self._web), self._costs.windows.accept)
        if len(web.waiting) < FULL_GROUP and self._now < opens_at - _MOMENT:
            self._schedule(opens_at, lambda: self._validate(web, load))
            return
        batch, web.waiting = web.waiting[:FULL_GROUP], web.waiting[FULL_GROUP:]
        web.is_validating = True
        cost = self._costs.groups["web"].of_group(len(batch)) + len(batch) * self._deployment.load_ms
        self._burst(cost, lambda: self._validated(web, batch, load))

    def _validated(self, web: _Web, batch: list[_Request], load: SimulatedLoad) -> None:
        web.is_validating = False
        web.commits.append(batch)
        self._commit(web, load)
        self._validate(web, load)

    def _commit(self, web: _Web, load: SimulatedLoad) -> None:
        """One batch at a time, as the web process does it."""
        if web.is_committing or not web.commits:
            return
        web.is_committing = True
        batch = web.commits.pop(0)
        cost = self._share("MongoDB", len(batch)) + self._costs.groups["Redis"].of_group(len(batch))
        self._store(cost, lambda: self._committed(web, batch, load))

    def _committed(self, web: _Web, batch: list[_Request], load: SimulatedLoad) -> None:
        web.is_committing = False
        outcome = self._outcome
        outcome.accepted += len(batch)
        outcome.last_accepted_at = self._now
        outcome.accepted_at += [self._now] * len(batch)
        outcome.accept_seconds += [self._now - each.intended_at for each in batch]
        self._busy_connections -= len(batch)
        accepted_at = self._now
        self._burst(self._share("RabbitMQ", len(batch)), lambda: self._published(accepted_at, len(batch)))
        self._commit(web, load)
        self._send(load)

    # Delivering

    def _published(self, accepted_at: float, count: int) -> None:
        self._queue.append(_Messages(accepted_at, self._now, count))
        self._waiting += count
        if self._waiting > self._outcome.longest_queue:
            self._outcome.longest_queue, self._outcome.emptied_at = self._waiting, 0.0
        for worker in self._workers:
            self._claim(worker)

    def _claim(self, worker: _Worker) -> None:
        free = self._deployment.calls_at_once - worker.in_hand
        if worker.is_claiming or self._waiting == 0 or free <= 0:
            return
        worker.is_claiming = True
        self._gather(worker)

    def _gather(self, worker: _Worker) -> None:
        """Claim when the window, counted from when the first of them came, is over, or nothing has come for its gap."""
        ends_at = self._now
        if self._queue:
            first, last = self._queue[0].came_at, self._queue[-1].came_at
            ends_at = min(first + self._claim_window, last + self._costs.windows.claim_gap)
        if ends_at > self._now + _MOMENT:
            self._schedule(ends_at, lambda: self._gather(worker))
        else:
            self._claim_now(worker)

    def _claim_now(self, worker: _Worker) -> None:
        free = self._deployment.calls_at_once - worker.in_hand
        taken = self._take(min(free, FULL_DELIVERY_GROUP, self._permitted()))
        if not taken:
            worker.is_claiming = False
            if self._waiting:
                self._schedule(self._now + self._costs.windows.claim, lambda: self._claim(worker))
            return
        count = sum(each.number for each in taken)
        worker.in_hand += count
        half = self._costs.groups["worker"].of_group(count) / 2
        deliver = self._share("MongoDB", count, accepting=False) / 2

        def claimed() -> None:
            worker.is_claiming = False
            provider = count * self._deployment.provider_ms
            self._burst(provider, lambda: None)
            for each in taken:
                self._outcome.deliver_seconds += [self._now - each.accepted_at] * each.number
            self._outcome.delivered += count
            self._outcome.last_delivered_at = self._now + self._deployment.latency_seconds
            self._schedule(self._now + self._deployment.latency_seconds, lambda: self._answered(worker, count))
            self._claim(worker)

        self._burst(half, lambda: self._store(deliver, claimed), weight=_NICE_WEIGHT)

    def _permitted(self) -> int:
        """Calls that the providers' limit lets begin now."""
        rate = self._deployment.provider_rate
        if rate is None:
            return FULL_DELIVERY_GROUP
        self._permits = min(self._permits + rate * (self._now - self._permits_at), max(1.0, rate / 10))
        self._permits_at = self._now
        return int(self._permits)

    def _take(self, most: int) -> list[_Messages]:
        taken = []
        while most > 0 and self._queue:
            first = self._queue.popleft()
            number = min(most, first.number)
            taken.append(first._replace(number=number))
            most -= number
            if number < first.number:
                self._queue.appendleft(first._replace(number=first.number - number))
        count = sum(each.number for each in taken)
        self._waiting -= count
        if self._waiting == 0 and not self._outcome.emptied_at:
            self._outcome.emptied_at = self._now
        self._permits -= count if self._deployment.provider_rate is not None else 0
        return taken

    def _answered(self, worker: _Worker, count: int) -> None:
        worker.answered += count
        if not worker.is_recording:
            worker.is_recording = True
            self._schedule(self._now + self._claim_window, lambda: self._record(worker))

    def _record(self, worker: _Worker) -> None:
        count, worker.answered = (
            min(worker.answered, FULL_DELIVERY_GROUP),
            max(0, worker.answered - FULL_DELIVERY_GROUP),
        )
        half = self._costs.groups["worker"].of_group(count) / 2
        deliver = self._share("MongoDB", count, accepting=False) / 2

        def recorded() -> None:
            worker.in_hand -= count
            self._burst(self._share("RabbitMQ", count, accepting=False), lambda: None)
            if worker.answered:
                self._schedule(self._now + self._claim_window, lambda: self._record(worker))
            else:
                worker.is_recording = False
            self._claim(worker)

        self._burst(half, lambda: self._store(deliver, recorded), weight=_NICE_WEIGHT)

    def _share(self, name: str, count: int, *, accepting: bool = True) -> float:
        share = self._costs.accept_shares[name]
        return self._costs.groups[name].of_group(count) * (share if accepting else 1 - share)


class _Request(NamedTuple):
    intended_at: float
    came_at: float


@dataclass(slots=True)
class _Web:
    waiting: list[_Request] = field(default_factory=list)
    is_validating: bool = False
    commits: list[list[_Request]] = field(default_factory=list)
    is_committing: bool = False


class _Messages(NamedTuple):
    """Delivery messages that were published together."""

    accepted_at: float
    came_at: float
    number: int


@dataclass(slots=True)
class _Worker:
    in_hand: int = 0
    is_claiming: bool = False
    answered: int = 0
    is_recording: bool = False
