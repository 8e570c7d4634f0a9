"""The reconciliation: what clients were told, what the store holds, what the recorder saw and what lies in the
dead-letter queue, held against each other. Pure, and ignorant of the code under test: it reads documents, not objects.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.faults.callbacks import CALLS_AT_ONCE, reconcile_callbacks
from tests.faults.doubts import call_of, is_injected_doubt, is_labelled, is_late, is_lost_lease, is_put_aside
from tests.faults.evidence import Evidence
from tests.faults.failover import reconcile_failover
from tests.faults.moments import Pause, busiest_second, longest_pause
from tests.faults.plan import CONCURRENCY, PROVIDER_RATE
from tests.faults.receipts import reconcile_receipts
from tests.faults.restores import is_of_lost_time, reconcile_restore
from tests.faults.scenarios import Failover, Scenario

Document = Mapping[str, Any]

WAITING = ("scheduled", "queued", "processing", "retrying")
STATUSES = ("delivered", "sent", "failed", "expired", "cancelled", "unconfirmed")

ORPHAN_LIMIT_SECONDS = 60.0
#: How much more than its limit a provider may get in any second.
RATE_TOLERANCE = 1.2
#: No time in the store may be off by more: a moved clock must not get there.
CLOCK_LIMIT_SECONDS = 5.0
_EXAMPLES = 5


@dataclass(slots=True)
class Reconciliation:
    """What came of it: figures, and every broken promise in words."""

    accepted: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    #: Accepted, but not in the store, or called delivered without having been sent.
    lost: int = 0
    #: Accepted after the copy that the store was put back to, and lost with what was there before.
    lost_with_store: int = 0
    #: Jobs of that copy that were put aside, because they may have been sent since.
    put_aside: int = 0
    failed_as_asked: int = 0
    #: Jobs sent more than once.
    sent_twice_explained: int = 0
    sent_twice_unexplained: int = 0
    labelled_unknown: int = 0
    doubts_allowed: int = 0
    #: Of these allowed: calls that took the caller's whole time, though the provider answered well before or was not
    #: asked to be slow. Who waited had no processor, as on a machine with too much to do.
    late_calls: int = 0
    #: Jobs of unknown outcome because a claim's lease ran out.
    lost_leases: int = 0
    #: Requests answered "may have been accepted", and of those without a key how many were.
    maybe_answers: int = 0
    unanswered: int = 0
    stored_unconfirmed_to_client: int = 0
    gave_up: int = 0
    refusals: int = 0
    #: Answered 200; of these neither in their job's log nor kept to be tried again; in it more than once.
    receipts: int = 0
    receipts_lost: int = 0
    receipts_twice: int = 0
    #: Events that endpoints took; of these those that were taken more than once, and how many that may be; never taken.
    callbacks: int = 0
    callbacks_repeated: int = 0
    callback_repetitions_allowed: int = 0
    callbacks_lost: int = 0
    #: The longest way of an event to any other endpoint while one was down, and at other times.
    longest_callback_seconds: tuple[float, float] | None = None
    dead_letters: int = 0
    dead_letters_twice: int = 0
    kills: int = 0
    restarts: int = 0
    orphans: int = 0
    longest_orphan_seconds: float = 0
    #: From the last healing until everything accepted before it was settled.
    recovery_seconds: float | None = None
    #: From the end of the load until everything was settled.
    drain_seconds: float | None = None
    accepted_per_second: float = 0
    latency_p50_ms: float = 0
    latency_p99_ms: float = 0
    latency_max_ms: float = 0
    busiest_second: int = 0
    takeover_seconds: float | None = None
    failed_calls_before_takeover: int | None = None
    delivered_share: float | None = None
    #: Lane -> the longest time in which nothing of it was delivered, from the first fault to the end of the load.
    pauses: dict[str, Pause] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def reconcile(scenario: Scenario, evidence: Evidence) -> Reconciliation:
    """Add up, and note every promise that was not kept in ``violations``."""
    return _Reconciler(scenario, evidence).reconcile()


class _Reconciler:
    def __init__(self, scenario: Scenario, evidence: Evidence) -> None:
        self._scenario = scenario
        self._evidence = evidence
        self._result = Reconciliation()
        self._jobs: dict[str, Document] = {job["jobId"]: job for job in evidence.jobs}
        self._accepted: dict[str, Document] = {
            job_id: notification for notification in evidence.notifications for job_id in notification["job_ids"]
        }
        self._killed_workers = sum(kill.title.startswith("worker") for kill in evidence.notes.kills)
        self._sent: Counter[str] = Counter(record["delivery_key"] for record in evidence.records if record["is_sent"])

    def reconcile(self) -> Reconciliation:
        self._add_up()
        self._check_clients()
        self._check_losses()
        self._check_restore()
        self._check_duplicates()
        self._check_states()
        self._check_dead_letters()
        self._check_receipts()
        self._check_callbacks()
        self._check_recovery()
        self._check_times()
        self._check_rate()
        self._measure_speed()
        if self._scenario.accepts_within_seconds is not None:
            self._check_acceptance(self._scenario.accepts_within_seconds)
        if self._scenario.failover is not None:
            self._check_failover(self._scenario.failover)
        if self._scenario.delivers_within_seconds is not None:
            self._check_pauses(self._scenario.delivers_within_seconds)
        return self._result

    def _violation(self, text: str, examples: Sequence[str] = ()) -> None:
        shown = ", ".join(list(examples)[:_EXAMPLES])
        self._result.violations.append(f"{text}: {shown}" if shown else text)

    # --- what clients were told ------------------------------------------------------------------------------------

    def _add_up(self) -> None:
        result, evidence = self._result, self._evidence
        known = [self._jobs[job_id] for job_id in self._accepted if job_id in self._jobs]
        counts = Counter(job["status"] for job in known)
        result.accepted = len(self._accepted)
        result.statuses = {status: counts.pop(status, 0) for status in STATUSES}
        result.waiting = sum(counts.values())
        result.kills = len(evidence.notes.kills)
        result.restarts = evidence.notes.restarts
        result.memory_mib = {title: round(used) for title, used in sorted(evidence.notes.memory.items())}
        if result.waiting:
            open_jobs = [f"{job['jobId']} {job['status']}" for job in known if job["status"] not in STATUSES]
            self._violation(f"{result.waiting} accepted notifications are still waiting", open_jobs)
        missing = len(self._accepted) - len(known)
        if result.accepted != sum(result.statuses.values()) + result.waiting + missing:
            self._violation("the sums don't agree")
        others = [job for job_id, job in self._jobs.items() if job_id not in self._accepted]
        result.stored_unconfirmed_to_client = len(others)
        stuck = [f"{job['jobId']} {job['status']}" for job in others if job["status"] not in STATUSES]
        if stuck:
            self._violation(f"{len(stuck)} stored but never confirmed notifications are still waiting", stuck)

    def _check_clients(self) -> None:
        result, notifications = self._result, self._evidence.notifications
        outcomes = Counter(notification["outcome"] for notification in notifications)
        result.maybe_answers = sum(notification["was_told_maybe"] for notification in notifications)
        result.unanswered = outcomes["unanswered"]
        result.gave_up = outcomes["gave_up"]
        result.refusals = sum(notification["answers"].get("503", 0) for notification in notifications)
        if outcomes["waiting"]:
            self._violation(f"{outcomes['waiting']} clients still wait for an answer")
        unexpected = [notification["unexpected"] for notification in notifications if notification["unexpected"]]
        if unexpected:
            self._violation(f"{len(unexpected)} requests got an answer that nobody should get", unexpected)
        split = [
            f"{notification['key']} {notification['job_ids']}"
            for notification in notifications
            if len(set(notification["job_ids"])) > 1
        ]
        if split:
            self._violation(f"{len(split)} idempotency keys were answered with different jobs", split)
        per_number = Counter(job["metadata"]["number"] for job in self._evidence.jobs)
        doubled = [number for number, count in per_number.items() if count > 1]
        if doubled:
            self._violation(f"{len(doubled)} notifications are stored more than once", doubled)

    # --- what was sent --------------------------------------------------------------------------------------------

    def _check_losses(self) -> None:
        restore = self._evidence.notes.restore
        missing = [job_id for job_id in self._accepted if job_id not in self._jobs]
        vanished = [job_id for job_id in missing if not is_of_lost_time(job_id, restore)]
        phantom = [
            job_id
            for job_id, job in self._jobs.items()
            if job["status"] in ("delivered", "sent") and not self._sent[_delivery_key(job)]
        ]
        self._result.lost = len(vanished) + len(phantom)
        if vanished:
            self._violation(f"{len(vanished)} accepted notifications are not in the store", vanished)
        if phantom:
            self._violation(f"{len(phantom)} jobs are called delivered but were never sent", phantom)
        sent = {record["job_id"] for record in self._evidence.records}
        strangers = sorted(each for each in sent - set(self._jobs) if not is_of_lost_time(each, restore))
        if strangers:
            self._violation(f"{len(strangers)} messages were sent that no job knows", strangers)
        broken = [
            f"{job_id} {job['status']}"
            for job_id, job in self._jobs.items()
            if job["status"] in ("expired", "cancelled") and self._sent[_delivery_key(job)]
        ]
        if broken:
            self._violation(f"{len(broken)} jobs promise that nothing was sent, but something was", broken)

    def _check_restore(self) -> None:
        notes, result = self._evidence.notes, self._result
        found = reconcile_restore(notes.restore, self._accepted, self._jobs, self._evidence.records)
        result.lost_with_store, result.put_aside = found.lost, found.put_aside
        for text, job_ids in [*((text, ()) for text in notes.broken), *found.violations()]:
            self._violation(text, job_ids)

    def _check_duplicates(self) -> None:
        result, evidence = self._result, self._evidence
        result.doubts_allowed = self._killed_workers * CONCURRENCY + sum(map(is_injected_doubt, evidence.records))
        # A 500 says nothing certain about a message that must not go out twice.
        stop = {job_id for job_id, job in self._jobs.items() if job["onUnknownOutcome"] == "stop"}
        result.doubts_allowed += sum(
            record["answer"] == "500" and record["job_id"] in stop for record in evidence.records
        )
        injected = {call_of(record) for record in evidence.records if is_injected_doubt(record)}
        result.late_calls = sum(
            is_late(entry) and (job_id, entry.get("attempt")) not in injected
            for job_id, job in self._jobs.items()
            for entry in job["logs"]
        )
        result.doubts_allowed += result.late_calls
        result.lost_leases = sum(any(is_lost_lease(entry) for entry in job["logs"]) for job in self._jobs.values())
        result.doubts_allowed += sum(map(is_put_aside, self._jobs.values()))
        labelled = {job_id for job_id, job in self._jobs.items() if is_labelled(job)}
        result.labelled_unknown = len(labelled)
        twice = {key.partition(":")[0] for key, count in self._sent.items() if count > 1}
        twice -= {job_id for job_id in twice - set(self._jobs) if is_of_lost_time(job_id, evidence.notes.restore)}
        explained = twice & labelled - stop
        result.sent_twice_explained = len(explained)
        result.sent_twice_unexplained = len(twice - explained)
        if twice & stop:
            self._violation(
                f"{len(twice & stop)} jobs of policy stop were sent more than once", [*sorted(twice & stop)]
            )
        if unexplained := sorted(twice - explained - stop):
            self._violation(f"{len(unexplained)} jobs were sent more than once without saying so", unexplained)
        if len(labelled) > result.doubts_allowed:
            told = f"{len(labelled)} jobs of unknown outcome, but only {result.doubts_allowed} are explained"
            self._violation(f"{told}; {result.lost_leases} lost a lease, with {self._killed_workers} workers killed")

    # --- what jobs say of themselves --------------------------------------------------------------------------------

    def _check_states(self) -> None:
        result = self._result
        unconfirmed = [job for job in self._jobs.values() if job["status"] == "unconfirmed"]
        asked = [job for job in unconfirmed if not is_put_aside(job)]
        wrong = [job["jobId"] for job in asked if job["onUnknownOutcome"] != "stop" or not is_labelled(job)]
        if wrong:
            self._violation(f"{len(wrong)} jobs are unconfirmed without reason", wrong)
        too_many = [job["jobId"] for job in self._jobs.values() if job["attempts"] > job["maxAttempts"]]
        if too_many:
            self._violation(f"{len(too_many)} jobs had more attempts than allowed", too_many)
        kinds = {notification["number"]: notification["kind"] for notification in self._evidence.notifications}
        unasked = []
        for job in self._jobs.values():
            kind = kinds.get(int(job["metadata"]["number"]), "plain")
            if job["status"] == "failed" and kind in ("reject", "unavailable"):
                result.failed_as_asked += 1
            elif job["status"] == "failed" and not (kind == "short_lived" and is_labelled(job)):
                # A short-lived one whose time ran out in doubt is rightly called failed: "expired" would promise
                # that nothing was sent.
                unasked.append(f"{job['jobId']} {job.get('error', {}).get('code')} ({job['attempts']} attempts)")
            elif job["status"] == "delivered" and kind in ("reject", "unavailable"):
                self._violation("a job is called delivered that the provider refused", [job["jobId"]])
            elif job["status"] == "expired" and kind != "short_lived":
                self._violation("a job expired before its time", [job["jobId"]])
        if unasked and not self._scenario.may_exhaust_attempts:
            self._violation(f"{len(unasked)} jobs failed although the provider was well", unasked)

    def _check_dead_letters(self) -> None:
        letters = Counter(self._evidence.dead_letters)
        failed = {job_id for job_id, job in self._jobs.items() if job["status"] == "failed"}
        self._result.dead_letters = len(letters)
        self._result.dead_letters_twice = sum(count > 1 for count in letters.values())
        if missing := sorted(failed - set(letters)):
            self._violation(f"{len(missing)} failed jobs have no dead letter", missing)
        if foreign := sorted(set(letters) - failed):
            described = [f"{job_id or '(unreadable)'} {self._jobs.get(job_id, {}).get('status')}" for job_id in foreign]
            self._violation(f"{len(foreign)} dead letters belong to no failed job", described)
        unnoted = [job_id for job_id in failed if "deadLetteredAt" not in self._jobs[job_id]]
        if unnoted:
            self._violation(f"{len(unnoted)} failed jobs don't know of their dead letter", unnoted)

    def _check_receipts(self) -> None:
        result, receipts = self._result, self._evidence.receipts
        findings = reconcile_receipts(receipts, self._jobs)
        result.receipts = len(receipts.confirmed)
        result.receipts_lost, result.receipts_twice = len(findings.lost), len(findings.twice)
        if result.receipts < receipts.due:
            self._violation(f"{receipts.due - result.receipts} receipts were not answered 200")
        if findings.lost:
            self._violation(f"{len(findings.lost)} receipts are neither applied nor kept", findings.lost)
        if findings.twice:
            self._violation(f"{len(findings.twice)} receipts were applied more than once", findings.twice)

    def _check_callbacks(self) -> None:
        result, evidence = self._result, self._evidence
        findings = reconcile_callbacks(evidence.callbacks, self._jobs, evidence.notes.troubles)
        result.callbacks, result.callbacks_repeated = findings.taken, findings.repeated
        result.callbacks_lost, result.longest_callback_seconds = len(findings.lost), findings.longest_seconds
        result.callback_repetitions_allowed = self._killed_workers * CONCURRENCY * CALLS_AT_ONCE
        for text, examples in findings.violations(result.callback_repetitions_allowed):
            self._violation(text, examples)

    # --- time -----------------------------------------------------------------------------------------------------

    def _check_recovery(self) -> None:
        result, evidence = self._result, self._evidence
        healed_at = evidence.notes.healed_at
        ends = [_settled_at(job) for job in self._jobs.values() if job["createdAt"].timestamp() < healed_at]
        if all(end is not None for end in ends):
            result.recovery_seconds = round(max([0.0, *(end - healed_at for end in ends if end is not None)]), 1)
        if evidence.settled_at is None:
            self._violation("not everything was settled in time")
        else:
            result.drain_seconds = round(evidence.settled_at - evidence.load_ended_at, 1)
        orphans = evidence.notes.orphans.values()
        result.orphans = len(orphans)
        result.longest_orphan_seconds = round(
            max((orphan.last_seen_at - orphan.killed_at for orphan in orphans), default=0), 1
        )
        if result.longest_orphan_seconds > ORPHAN_LIMIT_SECONDS:
            late = [o.job_id for o in orphans if o.last_seen_at - o.killed_at > ORPHAN_LIMIT_SECONDS]
            self._violation(f"{len(late)} orphans waited more than {ORPHAN_LIMIT_SECONDS:.0f} s", late)
        if evidence.stuck_workers:
            self._violation(
                f"{len(evidence.stuck_workers)} workers made no progress within 60 s of recovery",
                evidence.stuck_workers,
            )

    def _check_times(self) -> None:
        earliest = self._evidence.began_at - CLOCK_LIMIT_SECONDS
        latest = (self._evidence.settled_at or self._evidence.load_ended_at + 3600) + CLOCK_LIMIT_SECONDS
        wrong = []
        for job in self._jobs.values():
            times = [job["createdAt"], job.get("finishedAt"), *(entry["at"] for entry in job["logs"])]
            if any(not earliest <= time.timestamp() <= latest for time in times if time is not None):
                wrong.append(job["jobId"])
        if wrong:
            self._violation(f"{len(wrong)} jobs bear times at which nothing happened", wrong)

    def _check_rate(self) -> None:
        for provider in self._scenario.providers:
            times = sorted(record["at"] for record in self._evidence.records if record["provider"] == provider)
            busiest = busiest_second(times)
            self._result.busiest_second = max(self._result.busiest_second, busiest)
            if busiest > RATE_TOLERANCE * PROVIDER_RATE:
                self._violation(f"provider {provider} got {busiest} requests in a second; its limit is {PROVIDER_RATE}")

    def _measure_speed(self) -> None:
        result, evidence = self._result, self._evidence
        seconds = max(evidence.load_ended_at - evidence.began_at, 0.001)
        result.accepted_per_second = round(result.accepted / seconds, 1)
        latencies = sorted(n["latency_seconds"] * 1000 for n in evidence.notifications if n["latency_seconds"])
        if len(latencies) > 1:
            percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
            result.latency_p50_ms, result.latency_p99_ms = round(percentiles[49]), round(percentiles[98])
            result.latency_max_ms = round(latencies[-1])

    def _check_acceptance(self, seconds: float) -> None:
        notifications = self._evidence.notifications
        others = [f"{n['number']} {dict(n['answers'])}" for n in notifications if set(n["answers"]) != {"202"}]
        if others:
            self._violation(f"{len(others)} requests were not answered 202 at once", others)
        late = [
            f"{n['number']} {n['latency_seconds']:.2f} s"
            for n in notifications
            if (n["latency_seconds"] or 0) > seconds
        ]
        if late:
            self._violation(f"{len(late)} requests were accepted after more than {seconds:g} s", late)

    def _check_pauses(self, seconds: float) -> None:
        evidence = self._evidence
        # Of every lane that was used: one that delivers nothing at all stands still longest.
        delivered: dict[str, list[float]] = {_lane_of(notification): [] for notification in self._accepted.values()}
        for record in evidence.records:
            notification = self._accepted.get(record["job_id"])
            if record["answer"] == "200" and notification is not None:
                delivered[_lane_of(notification)].append(record["at"])
        since = evidence.notes.troubles[0].since
        pauses = {lane: longest_pause(times, since, evidence.load_ended_at) for lane, times in delivered.items()}
        self._result.pauses = dict(sorted(pauses.items()))
        late = [f"{lane} {pause.seconds:g} s" for lane, pause in pauses.items() if pause.seconds > seconds]
        if late:
            self._violation(f"{len(late)} lanes delivered nothing for more than {seconds:g} s", late)

    # --- two providers --------------------------------------------------------------------------------------------

    def _check_failover(self, failover: Failover) -> None:
        result, evidence = self._result, self._evidence
        asked = [self._jobs[job_id] for job_id, n in self._accepted.items() if n["kind"] in ("plain", "scheduled")]
        accepted_at = [n["accepted_at"] for n in evidence.notifications if n["accepted_at"]]
        findings = reconcile_failover(
            evidence.records, evidence.notes.troubles[0], accepted_at, asked, evidence.load_ended_at
        )
        result.takeover_seconds = findings.takeover_seconds
        result.failed_calls_before_takeover = findings.failed_calls
        result.delivered_share = findings.delivered_share
        is_quick = findings.takeover_seconds is not None and (
            findings.takeover_seconds <= failover.within_seconds
            or findings.failed_calls <= failover.within_failed_calls
        )
        if not is_quick:
            self._violation(
                f"the second provider took over after {findings.takeover_seconds} s"
                f" and {findings.failed_calls} failed calls"
            )
        if findings.delivered_share < failover.least_delivered:
            self._violation(f"only {findings.delivered_share:.2%} were delivered")
        if not findings.came_back:
            self._violation("the first provider did not come back by itself")


def _lane_of(notification: Document) -> str:
    return f"{notification['channel']}.{notification['priority']}"


def _delivery_key(job: Document) -> str:
    return job["jobId"] if not job["replays"] else f"{job['jobId']}:{job['replays']}"


def _settled_at(job: Document) -> float | None:
    """When nothing more was owed for it, dead letter included; None while it waits."""
    if job["status"] == "unconfirmed":
        entries: list[datetime] = [entry["at"] for entry in job["logs"]]
        return max(entries).timestamp()
    end = job.get("deadLetteredAt") if job["status"] == "failed" else job.get("finishedAt")
    return None if end is None else float(end.timestamp())
