"""How many workers a lane group needs: by what waits, what comes and what is carried, not by depth alone.

``decide`` is pure: loads and the memory of earlier decisions in, a decision out. ``wavecom run`` starts and ends
workers by it (``WAVECOM_WORKERS=auto``), ``wavecom autoscale`` tells it to an orchestrator (ADR 31).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wavecom.core.lanes import LANES, Channel, Lane, LaneQueue, Priority

#: A channel that has reached this share of its providers' limits is held up by them, not by too few workers.
_AT_ITS_LIMIT: Final = 0.8
#: What more workers must at least bring, as a share of what they would bring if each carried as much as those before.
_LEAST_GAIN: Final = 0.25
#: Without a measurement: how long a job is in a worker's hand, the provider's answer, claim and record included.
_ASSUMED_SECONDS_IN_HAND: Final = 0.25
#: What one worker process carries at most, whatever it may call at once: its interpreter is busy then.
_MOST_PER_WORKER: Final = 2_500.0


@dataclass(frozen=True, slots=True)
class LaneGroup:
    """The lanes that one kind of worker consumes. ``name`` is the process's in the Procfile."""

    name: str
    lanes: tuple[Lane, ...]

    @property
    def queues(self) -> tuple[LaneQueue, ...]:
        """Their queues, each once."""
        return tuple(dict.fromkeys(lane.queue for lane in self.lanes))


LANE_GROUPS: Final = (
    LaneGroup("worker", tuple(lane for lane in LANES if lane.is_test or lane.priority is not Priority.HIGH)),
    LaneGroup("worker-high", tuple(lane for lane in LANES if not lane.is_test and lane.priority is Priority.HIGH)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """One queue, seen over some seconds. ``channel`` is None for the queue of all test lanes, which no limit bounds."""

    channel: Channel | None
    #: Messages that no worker has taken yet; more workers could take these alone.
    waiting: int
    #: Messages that workers have taken and not yet answered.
    in_hand: int = 0
    arrivals_per_second: float
    acks_per_second: float
    #: Whether messages waited each time that somebody looked: only then do the acks say what workers can carry.
    waited_throughout: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLoad:
    """A lane group at a moment. ``at``: seconds of a clock that never goes back."""

    at: float
    #: Workers that consume.
    workers: int
    queues: Sequence[QueueLoad]
    #: Calls a second that the providers of a channel take at most; a channel that is not named has no limit.
    limits: Mapping[Channel, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Within which bounds a group is scaled, and how fast."""

    least: int = 1
    most: int = 4
    #: A backlog should be gone after so long.
    drain_seconds: float = 60
    #: Workers go when they were not needed for so long; until then the highest need counts.
    quiet_seconds: float = 120
    #: Share that is kept free above what arrives.
    headroom: float = 0.2
    #: What a worker is taken to carry until one was seen that had always something to do.
    assumed_worker_per_second: float = 1_000
    #: So long after workers came or went, acks say nothing about one of them.
    settle_seconds: float = 30
    #: So long nobody tries again what brought nothing.
    useless_seconds: float = 600

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"least is 0 to most, but least is {self.least} and most {self.most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rise:
    """A step up: from how many workers, and what they carried."""

    workers: int
    acks_per_second: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingMemory:
    """What one decision leaves to the next. Empty at the start."""

    #: When how many workers were needed, over the last ``quiet_seconds``.
    needs: tuple[tuple[float, int], ...] = ()
    #: What a worker carried that had always something to do.
    worker_per_second: float | None = None
    #: Since when so many workers have been there.
    workers: int | None = None
    workers_since: float = -math.inf
    rise: _Rise | None = None
    #: More than so many workers carried no more; forgotten at ``ceiling_until``.
    ceiling: int | None = None
    ceiling_until: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """How many workers there should be, why, and the numbers behind it. Rates are per second."""

    desired: int
    #: What this moment alone asks for, without the needs of the last ``quiet_seconds``.
    needed: int
    reason: str
    workers: int
    waiting: int
    in_hand: int
    arrivals_per_second: float
    acks_per_second: float
    #: What should be carried for the backlog to be gone in time, as far as providers' limits let it.
    wanted_per_second: float
    worker_per_second: float
    #: How long the backlog takes as things are; None: it does not shrink.
    drain_seconds: float | None
    memory: ScalingMemory


def assumed_worker_per_second(calls_at_once: int) -> float:
    """What a worker that makes so many calls at once is taken to carry, until it was measured."""
    return min(calls_at_once / _ASSUMED_SECONDS_IN_HAND, _MOST_PER_WORKER)


def channel_limit(rates: Sequence[float | None]) -> float | None:
    """What a channel's providers take together, by the limit of each that may be called freely; None: no limit.

    Without such a provider the limit is 0: all are paused, left alone or being tried, and no worker makes that faster.
    """
    if any(rate is None for rate in rates):
        return None
    return sum(rate for rate in rates if rate is not None)


def left_by_others(limits: Mapping[Channel, float], others: Sequence[QueueLoad]) -> dict[Channel, float]:
    """``limits`` less what the queues of other groups use of them."""
    used: dict[Channel, float] = {}
    for queue in others:
        if queue.channel is not None:
            used[queue.channel] = used.get(queue.channel, 0.0) + queue.acks_per_second
    return {channel: max(0.0, limit - used.get(channel, 0.0)) for channel, limit in limits.items()}


def decide(load: GroupLoad, policy: ScalingPolicy, memory: ScalingMemory) -> ScalingDecision:
    """The number of workers from now on, with the memory for the next call; to be called every few seconds.

    It rises at once to what is needed, and falls to the highest need of the last ``quiet_seconds``: so a fall never
    comes sooner than that after a rise, however the load jumps. A rise that brought nothing is taken back in the same
    way and not tried again for ``useless_seconds``: the machine, the store or a provider is the limit, and no worker
    lifts it.
    """
    memory = _note_workers(load, memory)
    memory = _measure(load, policy, memory)
    demands = [_demand(channel, load, policy) for channel in dict.fromkeys(each.channel for each in load.queues)]
    wanted = sum(demand.wanted for demand in demands)
    per_worker = memory.worker_per_second or policy.assumed_worker_per_second
    # 1e-9: 2.0000000001 workers are two.
    needed = min(max(math.ceil(wanted / per_worker - 1e-9), policy.least), policy.most)
    memory, is_useless = _judge_rise(load, policy, memory)
    allowed = needed if memory.ceiling is None else min(needed, max(memory.ceiling, policy.least))
    memory, desired = _hold(load, policy, memory, allowed)
    if desired > load.workers:
        memory = _note_rise(load, memory)
    return ScalingDecision(
        desired=desired,
        needed=allowed,
        reason=_reason(demands, policy, per_worker, needed, allowed, desired, is_useless=is_useless),
        workers=load.workers,
        waiting=sum(each.waiting for each in load.queues),
        in_hand=sum(each.in_hand for each in load.queues),
        arrivals_per_second=sum(each.arrivals_per_second for each in load.queues),
        acks_per_second=_acks(load),
        wanted_per_second=wanted,
        worker_per_second=per_worker,
        drain_seconds=_drain_seconds(load),
        memory=memory,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demand:
    """What should be carried of one channel a second, and what it would be without limits."""

    channel: Channel | None
    waiting: int
    arrivals: float
    wanted: float
    limit: float | None

    @property
    def is_bounded(self) -> bool:
        return self.limit is not None and self.wanted >= self.limit and (self.waiting > 0 or self.arrivals > 0)


def _demand(channel: Channel | None, load: GroupLoad, policy: ScalingPolicy) -> _Demand:
    queues = [each for each in load.queues if each.channel is channel]
    waiting, arrivals = sum(each.waiting for each in queues), sum(each.arrivals_per_second for each in queues)
    unbounded = arrivals * (1 + policy.headroom) + waiting / policy.drain_seconds
    limit = None if channel is None else load.limits.get(channel)
    wanted = unbounded if limit is None else min(unbounded, limit)
    return _Demand(channel=channel, waiting=waiting, arrivals=arrivals, wanted=wanted, limit=limit)


def _acks(load: GroupLoad) -> float:
    return sum(each.acks_per_second for each in load.queues)


def _note_workers(load: GroupLoad, memory: ScalingMemory) -> ScalingMemory:
    if memory.workers is None:
        # What was there before us was needed, for all that we know.
        return replace(memory, workers=load.workers, workers_since=load.at, needs=((load.at, load.workers),))
    if load.workers != memory.workers:
        return replace(memory, workers=load.workers, workers_since=load.at)
    return memory


def _is_held_up_by_workers(load: GroupLoad) -> bool:
    """Whether messages wait all the time in a channel that its providers' limits do not hold up."""
    for channel in dict.fromkeys(each.channel for each in load.queues):
        queues = [each for each in load.queues if each.channel is channel]
        limit = None if channel is None else load.limits.get(channel)
        acks = sum(each.acks_per_second for each in queues)
        is_free = limit is None or acks < limit * _AT_ITS_LIMIT
        if is_free and any(each.waited_throughout for each in queues):
            return True
    return False


def _is_settled(load: GroupLoad, policy: ScalingPolicy, memory: ScalingMemory) -> bool:
    return load.workers > 0 and load.at - memory.workers_since >= policy.settle_seconds


def _measure(load: GroupLoad, policy: ScalingPolicy, memory: ScalingMemory) -> ScalingMemory:
    acks = _acks(load)
    if acks <= 0 or not _is_settled(load, policy, memory):
        return memory
    each, known = acks / load.workers, memory.worker_per_second
    if _is_held_up_by_workers(load):
        return replace(memory, worker_per_second=each if known is None else (known + each) / 2)
    # A worker that had spare time carries at least what it carried.
    return replace(memory, worker_per_second=each) if known is not None and each > known else memory


def _note_rise(load: GroupLoad, memory: ScalingMemory) -> ScalingMemory:
    acks = _acks(load)
    if memory.rise is not None or acks <= 0 or load.workers == 0 or not _is_held_up_by_workers(load):
        return memory
    return replace(memory, rise=_Rise(workers=load.workers, acks_per_second=acks, at=load.at))


def _judge_rise(load: GroupLoad, policy: ScalingPolicy, memory: ScalingMemory) -> tuple[ScalingMemory, bool]:
    """The ceiling after a rise that brought nothing, and whether there is one."""
    if memory.ceiling is not None and load.at >= memory.ceiling_until:
        memory = replace(memory, ceiling=None)
    rise = memory.rise
    if rise is not None and not _is_held_up_by_workers(load):
        memory = replace(memory, rise=None)
    elif rise is not None and load.workers > rise.workers and _is_settled(load, policy, memory):
        expected = 1 + _LEAST_GAIN * (load.workers / rise.workers - 1)
        memory = replace(memory, rise=None)
        if _acks(load) < rise.acks_per_second * expected:
            memory = replace(memory, ceiling=rise.workers, ceiling_until=load.at + policy.useless_seconds)
    return memory, memory.ceiling is not None


def _hold(load: GroupLoad, policy: ScalingPolicy, memory: ScalingMemory, needed: int) -> tuple[ScalingMemory, int]:
    """The highest need of the last ``quiet_seconds``, and the memory with this one."""
    oldest = load.at - policy.quiet_seconds
    needs = (*((at, need) for at, need in memory.needs if at > oldest), (load.at, needed))
    highest = max(need for _, need in needs)
    return replace(memory, needs=needs), min(max(highest, policy.least), policy.most)


def _drain_seconds(load: GroupLoad) -> float | None:
    waiting = sum(each.waiting for each in load.queues)
    shrinks_by = _acks(load) - sum(each.arrivals_per_second for each in load.queues)
    if waiting == 0:
        return 0.0
    return waiting / shrinks_by if shrinks_by > 0 else None


def _reason(
    demands: Sequence[_Demand],
    policy: ScalingPolicy,
    per_worker: float,
    needed: int,
    allowed: int,
    desired: int,
    *,
    is_useless: bool,
) -> str:
    waiting, arrivals = sum(each.waiting for each in demands), sum(each.arrivals for each in demands)
    wanted = sum(each.wanted for each in demands)
    parts = [
        f"{waiting:,} wait and {arrivals:,.0f}/s come: {wanted:,.0f}/s are wanted to be done with them in "
        f"{policy.drain_seconds:g} s, and a worker carries {per_worker:,.0f}/s, so {needed} needed"
    ]
    parts += [
        f"the providers of {each.channel} take {each.limit:,.0f}/s now, whoever calls them"
        for each in demands
        if each.is_bounded
    ]
    if is_useless and allowed < needed:
        parts.append(f"more than {allowed} carried no more: the limit is elsewhere")
    if needed == policy.most:
        parts.append(f"{policy.most} is the most allowed")
    if desired > allowed:
        parts.append(f"{desired} were needed in the last {policy.quiet_seconds:g} s")
    return "; ".join(parts)
