"""What clients' endpoints were sent, held against what became of the jobs. Pure, as ``reconcile``."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.faults.notes import Trouble

#: So much longer than at other times may an event take to its endpoint while another is down. Who waited for a call of
#: that one would wait 15 s. What the machine is too slow for is the same at all times.
OTHERS_LIMIT_SECONDS = 10.0
#: Calls of one endpoint at once: each thread of a killed worker may have had so many taken and not noted.
CALLS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the client that submits. ``statuses``: of which it wants events; none: of all."""

    name: str
    channel: str
    statuses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackEvidence:
    """What is known of callbacks, read from outside. ``calls``: each as ``receiver.ReceivedCall``."""

    endpoints: Sequence[Endpoint] = ()
    calls: Sequence[Mapping[str, Any]] = ()
    #: The endpoint that was down on purpose.
    down: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFindings:
    """What became of the events that endpoints wanted."""

    #: Pairs of endpoint and event that were taken, and how many of them more than once.
    taken: int
    repeated: int
    #: What an endpoint wanted and never took; what it was told that is not so.
    lost: Sequence[str]
    wrong: Sequence[str]
    #: The longest way of an event to any other endpoint while one was down, and at other times; None: nobody was down.
    longest_seconds: tuple[float, float] | None
    late: Sequence[str]

    def violations(self, repetitions_allowed: int) -> list[tuple[str, Sequence[str]]]:
        """Each broken promise in words, with examples."""
        found: list[tuple[str, Sequence[str]]] = []
        if self.lost:
            found.append((f"{len(self.lost)} events never came to an endpoint that wants them", self.lost))
        if self.wrong:
            found.append((f"{len(self.wrong)} events were wrong", self.wrong))
        if self.repeated > repetitions_allowed:
            found.append((f"{self.repeated} events were taken more than once, {repetitions_allowed} may be", ()))
        if self.late:
            found.append((f"{len(self.late)} events waited because of another endpoint", self.late))
        return found


def reconcile_callbacks(
    evidence: CallbackEvidence, jobs: Mapping[str, Mapping[str, Any]], troubles: Sequence[Trouble]
) -> CallbackFindings:
    """``jobs``: job id -> document of the store. ``troubles``: when the endpoint was down."""
    taken: defaultdict[tuple[str, str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for call in evidence.calls:
        if call["is_taken"]:
            taken[call["endpoint"], call["job_id"], call["version"]].append(call)
    lost = [
        f"{endpoint.name} {job_id} {missing}"
        for endpoint in evidence.endpoints
        for job_id, job in jobs.items()
        if job["type"] == endpoint.channel
        for missing in _missing(endpoint, job, taken)
    ]
    longest, late = _longest_ways(evidence.down, taken, troubles)
    return CallbackFindings(
        taken=len(taken),
        repeated=sum(len(calls) > 1 for calls in taken.values()),
        lost=lost,
        wrong=[*_wrong(evidence.calls), *_untrue(evidence.endpoints, taken, jobs)],
        longest_seconds=longest,
        late=late,
    )


def _missing(
    endpoint: Endpoint, job: Mapping[str, Any], taken: Mapping[tuple[str, str, int], Sequence[Mapping[str, Any]]]
) -> Iterator[str]:
    versions = range(1, job.get("eventVersion", 0) + 1)
    got = {version: taken.get((endpoint.name, job["jobId"], version)) for version in versions}
    if not versions:
        yield "records no events"
    elif not endpoint.statuses:
        yield from (f"version {version}" for version, calls in got.items() if not calls)
    elif job["status"] in endpoint.statuses and not any(_tells(calls, job["status"]) for calls in got.values()):
        yield job["status"]


def _wrong(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """Calls that no client can make anything of, and events that have another id when they come again."""
    unreadable = [
        f"{call['endpoint']} {call['event_id']} (not genuine)"
        for call in calls
        if not call["is_genuine"] and call["answer"] != "early_reset"
    ]
    ids: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for call in calls:
        if call["is_genuine"]:
            ids[call["job_id"], call["version"]].add(call["event_id"])
    uses = Counter(event_id for found in ids.values() for event_id in found)
    return [
        *unreadable,
        *(f"{job_id} version {version} (several ids)" for (job_id, version), found in ids.items() if len(found) > 1),
        *(f"{event_id} (of several events)" for event_id, count in uses.items() if count > 1),
    ]


def _untrue(
    endpoints: Sequence[Endpoint],
    taken: Mapping[tuple[str, str, int], Sequence[Mapping[str, Any]]],
    jobs: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Events of no job, and last events that say something else than the job does."""
    wanted = {endpoint.name: endpoint.statuses for endpoint in endpoints}
    found = []
    for (name, job_id, version), calls in taken.items():
        job = jobs.get(job_id)
        if job is None:
            found.append(f"{name} {job_id} (no such job)")
        elif version == job.get("eventVersion") and not wanted[name] and not _tells(calls, job["status"]):
            found.append(f"{name} {job_id} {calls[0]['type']} (it is {job['status']})")
    return found


def _tells(calls: Sequence[Mapping[str, Any]] | None, status: str) -> bool:
    return any(call["type"] == f"notification.{status}" for call in calls or ())


def _longest_ways(
    down: str, taken: Mapping[tuple[str, str, int], Sequence[Mapping[str, Any]]], troubles: Sequence[Trouble]
) -> tuple[tuple[float, float] | None, list[str]]:
    if not down:
        return None, []
    meanwhile: list[tuple[float, str]] = []
    usual = 0.0
    for (name, job_id, version), calls in taken.items():
        if name == down:
            continue
        happened_at = datetime.fromisoformat(calls[0]["happened_at"]).timestamp()
        way = min(call["at"] for call in calls) - happened_at
        if any(each.since <= happened_at < (each.until or math.inf) for each in troubles):
            meanwhile.append((way, f"{name} {job_id} version {version}"))
        else:
            usual = max(usual, way)
    late = [f"{which} {way:.1f} s" for way, which in meanwhile if way > usual + OTHERS_LIMIT_SECONDS]
    longest = max((way for way, _ in meanwhile), default=0.0)
    return (round(longest, 1), round(usual, 1)), late
