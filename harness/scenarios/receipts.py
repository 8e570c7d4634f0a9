"""Receipts: two for each message while messages are sent, and a hundred thousand at once in large batches."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection

from harness.deployment import Deployment, DeploymentError
from harness.figures import Figures, Latencies, spent_between
from harness.measure import STILL_SECONDS, Meter
from harness.processes import Sample
from harness.receipts import PER_MESSAGE
from harness.scenarios.peaks import OTP_RATE
from harness.scenarios.rates import LONGEST_P95_MS, TARGET_RATE, hold
from harness.subject import LOAD, MAIN, PROVIDER, ApplicationSetup, ProviderPlan
from harness.trial import Goal, Trial
from wavecom.core.job import Job, JobId, Outcome
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import Status
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.jobs import MongoJobRepository

_QUICK_RATE = 60.0
#: Of the batches in which SendGrid reports a busy minute, and how many of them are under way at once.
_BATCH, _BATCHES_AT_ONCE = 1000, 4
_BURST = 100_000
_LEAST_BURST_RATE = 5000.0
#: Processor time that a receipt may cost, WaveCom and its servers together.
_MOST_CPU_MS = 0.4
_MOST_OTP_MS = 1000.0
#: The sweep tries them again after 2 s, then ever less often.
_PENDING_SECONDS = 120.0
_POLL_SECONDS = 0.5
_READ_AT_ONCE = 1000
#: The provider is busy as well when it is asked for all that it knows.
_ANSWER_SECONDS = 120.0


def receipts(trial: Trial) -> None:
    """The same rate without receipts and with two for each message: the difference is what receipts cost.

    Then what was withheld so far in large batches, while one-time passwords are sent.
    """
    options, outcome = trial.options, trial.outcome
    rate = options.rate or (_QUICK_RATE if options.is_quick else TARGET_RATE)
    seconds = 5.0 if options.is_quick else 60 * options.minutes
    plan = ProviderPlan(options.latency_seconds, options.failing, has_receipts=True)
    with trial.deployment(ApplicationSetup({MAIN: plan})) as deployment:
        meter = trial.meter(deployment)
        reporting = _Reporting(deployment)
        reporting.withhold()
        trial.warm_up(meter)
        without = hold(trial, meter, rate, seconds)
        reporting.report()
        meter.label(f"{rate:,.0f}/s and two receipts for each, for {seconds:g} s")
        name = meter.paced(rate, seconds, name="receipts", keys=options.keys)
        meter.wait_answered(name)
        meter.wait_drained()
        reporting.withhold()
        reporting.wait_confirmed(trial)
        with_receipts = meter.measure(name)
        latencies = reporting.latencies()
        one_by_one = reporting.progress()["confirmed"]
        burst = _burst(trial, deployment, meter, reporting)
        trial.progress("receipts: those that overtook the record of their call are tried again")
        with connect(deployment.config.mongodb_uri) as client:
            database = default_database(client)
            pending = wait_applied(database["receipts"])
            trial.progress("receipts: reading what became of each message")
            wrong = wrongly_applied(MongoJobRepository(database["jobs"]), reporting.reported())
    outcome.phases |= {
        "without receipts": without,
        "with receipts": with_receipts,
        "one-time passwords": burst.passwords,
    }
    # Their processor time holds that of the receipts that came meanwhile.
    outcome.costless.append("one-time passwords")
    cost = {
        group: round((used - without.cpu_ms.get(group, 0.0)) / PER_MESSAGE, 3)
        for group, used in with_receipts.cpu_ms.items()
        if group not in {LOAD, PROVIDER}
    }
    outcome.values |= {
        "offered, messages per second": round(rate, 1),
        "receipts, one by one": one_by_one,
        "receipts answered p50, ms": latencies.p50,
        "receipts answered p95, ms": latencies.p95,
        **{f"CPU of a receipt, {group}, ms": used for group, used in cost.items()},
        "receipts that were still to be tried again in the end": pending,
        "burst, receipts": burst.receipts,
        "burst, taken per second": burst.per_second,
        **{f"burst, CPU of a receipt, {group}, ms": used for group, used in burst.cpu_ms.items()},
        "burst, accepting a password at most, ms": burst.passwords.accept.most,
        "burst, accept to provider of a password at most, ms": burst.passwords.end_to_end.most,
    }
    outcome.goals += [
        Goal("messages carried end to end", with_receipts.end_to_end_per_second, 0.95 * rate, "/s", is_floor=True),
        Goal("end-to-end p95", with_receipts.end_to_end.p95, LONGEST_P95_MS, "ms"),
        Goal("receipts answered p95", latencies.p95, LONGEST_P95_MS, "ms"),
        Goal("messages without their receipts, each once", wrong, 0),
        Goal("CPU of a receipt", round(sum(cost.values()), 3), _MOST_CPU_MS, "ms"),
        Goal("burst, taken", burst.per_second, _LEAST_BURST_RATE, "/s", is_floor=True),
        Goal("burst, a password is accepted within", burst.passwords.accept.most, _MOST_OTP_MS, "ms"),
        Goal("burst, an accepted password is sent within", burst.passwords.end_to_end.most, _MOST_OTP_MS, "ms"),
    ]


def wait_applied(kept: Collection[dict[str, Any]]) -> int:
    """Until none of the receipts in this collection is to be tried again, or for two minutes; how many still are."""
    deadline = time.monotonic() + _PENDING_SECONDS
    while (pending := kept.count_documents({"nextTryAt": {"$exists": True}})) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return pending


def wrongly_applied(jobs: MongoJobRepository, job_ids: Sequence[JobId]) -> int:
    """How many of these messages, whose receipts were all answered 200, have not had them as ``is_rightly_applied``."""
    wrong = 0
    for start in range(0, len(job_ids), _READ_AT_ONCE):
        part = job_ids[start : start + _READ_AT_ONCE]
        found = jobs.by_ids(part)
        wrong += sum(not is_rightly_applied(found.get(job_id)) for job_id in part)
    return wrong


def is_rightly_applied(job: Job | None) -> bool:
    """Whether it is delivered, and its log has that receipt once, and that it was passed on at most once.

    That must not be noted once the log says that the message was taken. That it should have been noted can't be told
    afterwards: a receipt that came before the record of its call is kept, and says nothing new when it is tried again.
    """
    if job is None or job.status is not Status.DELIVERED:
        return False
    noted: Counter[str | None] = Counter()
    is_taken = False
    for entry in job.logs:
        if entry.event == "receipt":
            noted[entry.outcome] += 1
            if entry.outcome == ReceiptKind.PROGRESS and is_taken:
                return False
        is_taken = is_taken or entry.outcome == Outcome.ACCEPTED
    return noted[ReceiptKind.DELIVERED] == 1 and noted[ReceiptKind.PROGRESS] <= 1


class _Reporting:
    """The receipts of the provider, as the scenario commands and counts them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._url = f"{deployment.config.url}/receipts/{MAIN}"

    def report(self) -> None:
        """From now on the provider reports each message."""
        self._ask("report_to", url=self._url)

    def withhold(self) -> None:
        """From now on it keeps the receipts of messages for the burst."""
        self._ask("withhold", url=self._url)

    def burst(self, messages: int) -> int:
        """It reports so many messages at once; how many receipts that is."""
        return int(self._ask("burst", batch=_BATCH, messages=messages, connections=_BATCHES_AT_ONCE))

    def progress(self) -> dict[str, int]:
        """See ``receipt_commands``."""
        return dict(self._ask("receipts"))

    def wait_confirmed(self, trial: Trial) -> None:
        """Until every receipt has been answered 200. Raises ``DeploymentError`` when no more are for too long."""
        before, since = -1, time.monotonic()
        while (progress := self.progress())["confirmed"] < progress["due"]:
            self._deployment.check()
            trial.progress(f"receipts: {progress['confirmed']:,} of {progress['due']:,} answered")
            if progress["confirmed"] != before:
                before, since = progress["confirmed"], time.monotonic()
            elif time.monotonic() - since > 2 * STILL_SECONDS:
                raise DeploymentError(f"{progress['due'] - before} receipts are not answered with 200")
            time.sleep(_POLL_SECONDS)

    def latencies(self) -> Latencies:
        """From the moment at which a receipt was to be posted until it was answered 200."""
        return Latencies.of([answered - due for due, answered in self._answers()])

    def last_answer_at(self) -> float:
        """When (monotonic) the last receipt was answered 200."""
        return max(answered for _, answered in self._answers())

    def reported(self) -> list[JobId]:
        """The jobs of all messages of which a receipt was answered 200."""
        return list(dict.fromkeys(JobId(job_id) for _, job_id in self._ask("confirmed")))

    def _answers(self) -> Sequence[tuple[float, float]]:
        found: Sequence[tuple[float, float]] = self._ask("receipt_answers")
        return found

    def _ask(self, command: str, **arguments: object) -> Any:
        return self._deployment.provider.ask(command, provider=MAIN, timeout_seconds=_ANSWER_SECONDS, **arguments)


@dataclass(frozen=True, slots=True)
class _Burst:
    """A burst of receipts, and the one-time passwords that were sent meanwhile."""

    receipts: int
    per_second: float
    cpu_ms: dict[str, float]
    passwords: Figures


def _burst(trial: Trial, deployment: Deployment, meter: Meter, reporting: _Reporting) -> _Burst:
    messages = trial.options.size(_BURST, 2_000) // PER_MESSAGE
    missing = messages - reporting.progress()["withheld"]
    if missing > 0:
        meter.label("messages whose receipts will come at once")
        more = meter.flood(missing, name="reported-later", batch=min(100, missing), connections=8, keys=0)
        meter.wait_answered(more)
        meter.wait_drained()
    before, began_at = deployment.sample(), time.monotonic()
    meter.label(f"{messages * PER_MESSAGE:,} receipts in batches of {_BATCH:,}, one-time passwords beside them")
    count = reporting.burst(messages)
    passwords = meter.paced(
        OTP_RATE, max(3.0, count / _LEAST_BURST_RATE), name="otp", priority="high", channels=["sms"], keys=1
    )
    reporting.wait_confirmed(trial)
    after = deployment.sample()
    meter.wait_answered(passwords)
    meter.wait_drained()
    return _Burst(
        receipts=count,
        per_second=round(count / (reporting.last_answer_at() - began_at), 1),
        cpu_ms=_cost(before, after, count),
        passwords=meter.measure(passwords),
    )


def _cost(before: Sample, after: Sample, receipts: int) -> dict[str, float]:
    """Group -> milliseconds of processor time for each receipt; what the passwords beside them cost is in it."""
    return {
        group: round(1000 * used / receipts, 3)
        for group, used in spent_between(before, after).items()
        if group not in {LOAD, PROVIDER}
    }
