"""What a stretch of load came to, as figures: counts, latencies, processor time. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.load import RequestOutcome
from harness.processes import NOTHING, Sample
from harness.speed import CoreSpeed

#: A backlog that is larger at the end than in the middle by more than this many seconds of load is growing.
GROWTH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Latencies:
    """Quantiles of a set of durations, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """Of these measurements; all 0 when there are none."""
        if not seconds:
            return cls(0, 0, 0, 0, 0)
        ordered = sorted(seconds)
        return cls(len(ordered), *(round(1000 * _quantile(ordered, share), 2) for share in (0.5, 0.95, 0.99, 1)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Figures:
    """One phase of load, measured. Times in seconds, rates per second, latencies in milliseconds."""

    #: Notifications that were to be submitted, those answered 202 and those of them that arrived at the provider.
    offered: int
    accepted: int
    received: int
    #: Accepted and never received; accepted and received more than once; never accepted and received all the same.
    lost: int
    repeated: int
    unexpected: int
    #: Status, or what became of it -> requests.
    answers: Mapping[str, int]
    #: From the first request until the last answer, and until the last was received; pauses left out.
    accept_seconds: float
    seconds: float
    accepted_per_second: float
    end_to_end_per_second: float
    #: From the moment a request was meant to be sent (corrected for coordinated omission), and from when it was sent.
    accept: Latencies
    accept_from_sending: Latencies
    #: From the answer to the arrival at the provider; below 0 when that was first, which counts as 0.
    end_to_end: Latencies
    #: From the moment a request was meant to be sent to the arrival at the provider.
    due_to_provider: Latencies
    #: From a job's creation to its end, as the store has both: the provider's time is in it. None of the reference.
    created_to_recorded: Latencies
    #: The backlog grew: more was waiting at the end than in the middle.
    is_growing: bool
    #: Group -> milliseconds of processor time per accepted notification.
    cpu_ms: Mapping[str, float]
    cpu_ms_total: float
    #: Group -> MiB at the end.
    memory_mib: Mapping[str, float]
    #: Group -> MiB of the largest process at the end.
    process_mib: Mapping[str, float]
    #: Cores that programs other than the deployment kept busy meanwhile.
    noise_cores: float
    #: Cores that the deployment kept busy.
    used_cores: float
    #: How fast the cores were meanwhile.
    pace: CoreSpeed
    #: Name of a curve -> second since the beginning -> count.
    curves: Mapping[str, Mapping[int, int]] = field(default_factory=dict, repr=False)

    @property
    def is_whole(self) -> bool:
        """Whatever was accepted was received exactly once."""
        return not (self.lost or self.repeated or self.unexpected)

    @property
    def cpu_ms_at_full_speed(self) -> float:
        """What a notification would have cost on cores that nobody slows down."""
        return round(self.cpu_ms_total * self.pace.speed, 4)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What the load generator remembers of a request."""

    intended: float
    sent: float
    answered: float
    status: int
    job_ids: tuple[str, ...]
    #: The answer said when to come again.
    has_retry_after: bool = False


@dataclass(frozen=True, slots=True)
class ArrivalRecord:
    """What the provider remembers of a delivery key."""

    at: float
    times: int
    provider: str


def cost_ratio_at_full_speed(one: Figures, other: Figures) -> float:
    """What a notification of ``one`` would have cost, to one of ``other``, had the cores been as fast in both."""
    return round(one.cpu_ms_total * one.pace.mean / (other.cpu_ms_total * other.pace.mean), 3)


@dataclass(frozen=True, slots=True)
class LoadInterval:
    """Load without a pause: its requests, and when (monotonic) and what everybody had used before and after it."""

    requests: Sequence[RequestRecord]
    span: tuple[float, float]
    samples: tuple[Sample, Sample]


def figures_of(
    stretches: Sequence[LoadInterval],
    arrivals: Mapping[str, ArrivalRecord],
    recorded: Mapping[str, float],
    *,
    batch: int,
    unexpected: int,
    pace: CoreSpeed,
) -> Figures:
    """What requests of ``batch`` notifications each came to; pauses between one stretch and the next don't count.

    ``recorded``: see ``harness.recorded.recorded_after``.
    """
    parts = [_timed(stretch, arrivals) for stretch in stretches]
    requests = [request for stretch in stretches for request in stretch.requests]
    accepted = [each for part in parts for each in part.accepted]
    arrived = [(at, arrivals[job_id]) for at, job_id in accepted if job_id in arrivals]
    answered = [request for request in requests if request.job_ids]
    accept_seconds, seconds = sum(part.accept_seconds for part in parts), sum(part.seconds for part in parts)
    first = min(part.first for part in parts)
    count = max(1, len(accepted))
    groups = dict.fromkeys(group for part in parts for group in part.cpu)
    cpu = {group: sum(part.cpu.get(group, 0.0) for part in parts) for group in groups}
    used, elapsed = sum(cpu.values()), sum(until - since for since, until in (each.span for each in stretches))
    others = sum(after.others_seconds - before.others_seconds for before, after in (each.samples for each in stretches))
    last = stretches[-1].samples[1]
    return Figures(
        offered=len(requests) * batch,
        accepted=len(accepted),
        received=len(arrived),
        lost=len(accepted) - len(arrived),
        repeated=sum(arrival.times > 1 for _, arrival in arrived),
        unexpected=unexpected,
        answers=dict(Counter(_word(request) for request in requests)),
        accept_seconds=round(accept_seconds, 3),
        seconds=round(seconds, 3),
        accepted_per_second=_per_second(len(accepted), accept_seconds),
        end_to_end_per_second=_per_second(len(arrived), seconds),
        accept=Latencies.of([request.answered - request.intended for request in answered]),
        accept_from_sending=Latencies.of([request.answered - request.sent for request in answered]),
        end_to_end=Latencies.of([max(0.0, arrival.at - at) for at, arrival in arrived]),
        due_to_provider=Latencies.of(
            [
                arrivals[job_id].at - request.intended
                for request in requests
                for job_id in request.job_ids
                if job_id in arrivals
            ]
        ),
        created_to_recorded=Latencies.of([recorded[job_id] for _, job_id in accepted if job_id in recorded]),
        is_growing=any(part.is_growing for part in parts),
        cpu_ms={group: round(1000 * spent / count, 4) for group, spent in cpu.items()},
        cpu_ms_total=round(1000 * used / count, 4),
        memory_mib={group: round(usage.memory_mib, 1) for group, usage in last.groups.items()},
        process_mib={group: round(max(usage.processes, default=0), 1) for group, usage in last.groups.items()},
        noise_cores=round(max(0.0, others - used) / elapsed, 3),
        used_cores=round(used / elapsed, 3),
        pace=pace,
        curves={
            "accepted": per_second([at for at, _ in accepted], first),
            "received": per_second([arrival.at for _, arrival in arrived], first),
        },
    )


@dataclass(frozen=True, slots=True)
class _Timed:
    """A stretch: what was accepted, with the moment of the answer; how long that took and what it cost."""

    accepted: Sequence[tuple[float, str]]
    first: float
    accept_seconds: float
    seconds: float
    is_growing: bool
    cpu: Mapping[str, float]


def _timed(stretch: LoadInterval, arrivals: Mapping[str, ArrivalRecord]) -> _Timed:
    requests = stretch.requests
    accepted = [(request.answered, job_id) for request in requests for job_id in request.job_ids]
    answers = sorted(at for at, _ in accepted)
    moments = sorted(arrivals[job_id].at for _, job_id in accepted if job_id in arrivals)
    first = min((request.intended for request in requests), default=stretch.span[0])
    last_answer = max(answers, default=first)
    return _Timed(
        accepted,
        first,
        accept_seconds=last_answer - first,
        seconds=max(moments, default=last_answer) - first,
        is_growing=is_growing(answers, moments, first, last_answer),
        cpu=spent_between(*stretch.samples),
    )


def spent_between(before: Sample, after: Sample) -> dict[str, float]:
    """Group -> seconds of processor time; of one that was started in between, all that it has used."""
    return {
        group: usage.cpu_seconds - before.groups.get(group, NOTHING).cpu_seconds
        for group, usage in after.groups.items()
    }


def _word(request: RequestRecord) -> str:
    if request.status > 0:
        return str(request.status)
    return RequestOutcome(request.status).name.lower()


def _per_second(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


def per_second(moments: Sequence[float], since: float) -> dict[int, int]:
    """Second since ``since`` -> how many of ``moments`` fell into it."""
    return dict(sorted(Counter(int(moment - since) for moment in moments).items()))


def is_growing(accepted: Sequence[float], received: Sequence[float], since: float, until: float) -> bool:
    """Whether what waits between the two (ordered moments) was more in the last quarter than in the second.

    By more, that is, than chance and a hiccup explain: a quarter of a second's load.
    """

    def waiting(share_from: float, share_to: float) -> float:
        span = until - since
        steps = [since + span * (share_from + (share_to - share_from) * step / 20) for step in range(21)]
        return sum(bisect_left(accepted, at) - bisect_left(received, at) for at in steps) / len(steps)

    if until <= since:
        return False
    rate = len(accepted) / (until - since)
    return waiting(0.75, 1) - waiting(0.25, 0.5) > max(5.0, GROWTH_SECONDS * rate)
