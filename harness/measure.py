"""What a stretch of load came to: reconciled with the provider, timed from end to end, and priced."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.deployment import Deployment
from harness.load import RequestOutcome
from harness.processes import NOTHING, Sample
from harness.recorded import recorded_after
from harness.speed import CoreSpeed, SpeedProbe

_POLL_SECONDS = 0.5
#: Nothing received for so long although something is missing: it will not come.
STILL_SECONDS = 45.0
#: A backlog that is larger at the end than in the middle by more than this many seconds of load is growing.
GROWTH_SECONDS = 0.25

#: What is being done; begun, accepted and received until now.
Watch = Callable[[str, int, int, int], None]


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


class Meter:
    """Runs phases of load on ``deployment`` and measures them, with an eye on ``probe``.

    ``watch`` is told how far it is, twice a second.
    """

    def __init__(self, deployment: Deployment, watch: Watch, probe: SpeedProbe) -> None:
        self._deployment = deployment
        self._watch = watch
        self._probe = probe
        self._label = "load"
        self._phases: list[str] = []
        #: Phase -> notifications in each of its requests.
        self._batches: dict[str, int] = {}
        self._began: dict[str, tuple[float, Sample]] = {}
        #: Of phases whose account has been closed.
        self._ended: dict[str, tuple[float, Sample]] = {}
        #: Notifications accepted in phases that are over, and what their clients saw, once it has been asked for.
        self._accepted: dict[str, int] = {}
        self._requests: dict[str, list[RequestRecord]] = {}
        # The deployment may have served another meter before.
        self._since = time.monotonic()
        self._received_before: int = deployment.provider.ask("progress")["received"]

    def paced(self, rate: float, seconds: float, *, name: str, **mix: object) -> str:
        """Begin open-loop load; the name by which the other methods know it."""
        return self._start("pace", name, mix, rate=rate, seconds=seconds)

    def flood(self, notifications: int, *, name: str, connections: int = 256, **mix: object) -> str:
        """Begin closed-loop load of so many notifications; the name by which the other methods know it."""
        batch = int(str(mix.get("batch", 1)))
        return self._start("flood", name, mix, count=-(-notifications // batch), connections=connections)

    def _start(self, command: str, name: str, mix: Mapping[str, object], **how: float) -> str:
        name = f"{name}-{len(self._phases)}"
        self._batches[name] = int(str(mix.get("batch", 1)))
        self._phases.append(name)
        self._began[name] = (time.monotonic(), self._deployment.sample())
        self._deployment.load.ask(command, name=name, mix=mix, **how)
        return name

    def label(self, text: str) -> None:
        """What is shown from now on as being done."""
        self._label = text

    def wait_answered(self, name: str) -> None:
        """Until every request of the phase has ended."""
        while not self.is_answered(name):
            time.sleep(_POLL_SECONDS)

    def wait(self, name: str, seconds: float) -> None:
        """So long, with the phase going on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._progress(name)
            time.sleep(min(_POLL_SECONDS, left))

    def is_answered(self, name: str) -> bool:
        """Whether every request of the phase has ended. Raises ``DeploymentError`` when a process has died."""
        progress = self._progress(name)
        if progress["is_over"] and name not in self._accepted:
            self._accepted[name] = progress["accepted"]
            # Idle connections of phases gone by would only be ballast to the web app.
            self._deployment.load.ask("close", name=name)
        return bool(progress["is_over"])

    def accepted(self, name: str) -> int:
        """Notifications of the phase accepted until now."""
        return self._progress(name)["accepted"]

    def backlog(self) -> int:
        """Accepted, in all phases, and not received yet."""
        accepted = sum(
            self._accepted[name] if name in self._accepted else self._progress(name)["accepted"]
            for name in self._phases
        )
        return max(0, accepted - self._received())

    def _received(self) -> int:
        received: int = self._deployment.provider.ask("progress")["received"]
        return received - self._received_before

    def wait_drained(self, still_seconds: float = STILL_SECONDS) -> bool:
        """Whether the provider has received all that was accepted; False when nothing came for ``still_seconds``."""
        for name in self._phases:
            if name not in self._accepted:
                self.wait_answered(name)
        before, since = -1, time.monotonic()
        while (left := self.backlog()) > 0:
            self._progress(self._phases[-1])
            if left != before:
                before, since = left, time.monotonic()
            elif time.monotonic() - since > still_seconds:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _progress(self, name: str) -> dict[str, int]:
        self._deployment.check()
        load = self._deployment.load.ask("progress", name=name)
        self._watch(self._label, load["begun"], load["accepted"], self._received())
        return dict(load)

    def caught_up(self, name: str, moment: float) -> float:
        """Seconds after ``moment`` (monotonic) at which all that was accepted before had arrived; 0: it had by then."""
        arrivals = self.arrivals()
        accepted = (job_id for each in self.requests(name) if each.answered < moment for job_id in each.job_ids)
        latest = max((arrivals[job_id].at for job_id in accepted if job_id in arrivals), default=moment)
        return max(0.0, latest - moment)

    def close(self, name: str) -> None:
        """The phase is over and drained; what the deployment uses from now on is not its own."""
        self._ended[name] = (time.monotonic(), self._deployment.sample())

    def measure(self, name: str, *more: str) -> Figures:
        """Measure a phase that is over, and drained if its end-to-end figures are to be whole.

        ``more``: later phases of the same kind, measured together with it; all of them closed.
        """
        now = time.monotonic(), self._deployment.sample()
        stretches = []
        arrivals = self.arrivals()
        requests = {each: self.requests(each) for each in self._phases}
        for each in (name, *more):
            (began_at, before), (ended_at, after) = self._began[each], self._ended.get(each, now)
            stretches.append(LoadInterval(requests[each], (began_at, ended_at), (before, after)))
        known = {job_id for each in requests.values() for request in each for job_id in request.job_ids}
        unknown = sum(job_id not in known for job_id in arrivals)
        unanswered = sum(
            request.status in (RequestOutcome.TIMED_OUT, RequestOutcome.BROKEN) or request.status >= 500
            for each in requests.values()
            for request in each
        )
        batch = self._batches[name]
        began_at = min(stretch.span[0] for stretch in stretches)
        return figures_of(
            stretches,
            arrivals,
            recorded_after(self._deployment.config.mongodb_uri, seconds_ago=time.monotonic() - began_at),
            batch=batch,
            unexpected=max(0, unknown - unanswered * batch),
            pace=self._probe.during([stretch.span for stretch in stretches]),
        )

    def cost_so_far(self, name: str) -> float:
        """Milliseconds of processor time per notification accepted in the phase until now, all groups together."""
        before, now = self._began[name][1], self._deployment.sample()
        used = sum(spent_between(before, now).values())
        accepted = self.accepted(name)
        return round(1000 * used / max(1, accepted), 3)

    def requests(self, name: str) -> list[RequestRecord]:
        """All of the phase, as its clients saw them."""
        if name in self._requests:
            return self._requests[name]
        path = self._deployment.config.home / f"{name}.requests"
        self._deployment.load.ask("write", name=name, path=str(path), timeout_seconds=120)
        found = read_requests(path)
        if name in self._accepted:
            self._requests[name] = found
        return found

    def arrivals(self) -> dict[str, ArrivalRecord]:
        """All that the provider has received since this meter was made."""
        path = self._deployment.config.home / "arrivals"
        self._deployment.provider.ask("write", path=str(path), timeout_seconds=120)
        return {key: arrival for key, arrival in read_arrivals(path).items() if arrival.at >= self._since}


def cost_ratio_at_full_speed(one: Figures, other: Figures) -> float:
    """What a notification of ``one`` would have cost, to one of ``other``, had the cores been as fast in both."""
    return round(one.cpu_ms_total * one.pace.mean / (other.cpu_ms_total * other.pace.mean), 3)


def read_requests(path: Path) -> list[RequestRecord]:
    """What ``Load.write`` wrote."""
    found = []
    with path.open(encoding="ascii") as file:
        for line in file:
            intended, sent, answered, status, retry_after, job_ids = line.rstrip("\n").split(" ")
            ids = tuple(job_ids.split(",")) if job_ids else ()
            moments = float(intended), float(sent), float(answered)
            found.append(RequestRecord(*moments, int(status), ids, has_retry_after=retry_after == "1"))
    return found


def read_arrivals(path: Path) -> dict[str, ArrivalRecord]:
    """What ``Providers.write`` wrote."""
    found = {}
    with path.open(encoding="ascii") as file:
        for line in file:
            key, at, times, provider = line.split()
            found[key] = ArrivalRecord(float(at), int(times), provider)
    return found


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
