"""One scenario from beginning to end: build, load, break, let it heal, wait, and read all the evidence."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import amqp
from pymongo.errors import PyMongoError

from harness.release import Release
from tests.faults.campaigns import campaign_jobs_in, campaigns_in, reconcile_campaigns
from tests.faults.deployment import Deployment
from tests.faults.evidence import Evidence
from tests.faults.fallbacks import FALLBACKS, fallback_jobs_in, fallbacks_in, reconcile_fallbacks
from tests.faults.moments import per_second
from tests.faults.plan import Plan
from tests.faults.reconcile import WAITING, Reconciliation, reconcile
from tests.faults.scenarios import Scenario
from wavecom.broker import topology
from wavecom.local.ports import LOOPBACK

#: Before anything is broken, things must flow.
WARM_UP_SECONDS = 3.0
#: New notifications go on for so long after the last healing.
TAIL_SECONDS = 10.0
#: A worker must have taken one of them by then.
PROGRESS_SECONDS = 60.0
SETTLE_SECONDS = 240.0
CLIENTS_SECONDS = 300.0
#: So long a walk through the dead-letter queue that is under way may take to put it back.
LETTERS_SECONDS = 60.0

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much load a scenario gets."""

    notifications: int = 2000
    rate: float = 110.0
    #: Multiplies the durations of scenarios.
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What a scenario came to, with what its plot is drawn from."""

    scenario: Scenario
    result: Reconciliation
    seconds: float
    #: Name of a curve -> second since the beginning -> count.
    curves: Mapping[str, Mapping[int, int]]
    #: What was broken: words, from and until, in seconds since the beginning.
    troubles: tuple[tuple[str, float, float], ...]
    marks: tuple[tuple[float, str], ...]

    @property
    def is_good(self) -> bool:
        """No promise was broken."""
        return not self.result.violations


def run(
    scenario: Scenario,
    home: Path,
    *,
    size: Size,
    seed: int,
    mongo_program: Path | None,
    faketime_library: Path | None,
    other_release: Release | None,
    say: OnProgress,
    progress: OnProgress,
) -> ScenarioResult:
    """Run ``scenario`` in ``home``. Raises ``DrillError`` when the drill itself fails. Leaves no process behind."""
    plan = Plan(
        providers=scenario.providers,
        rate=size.rate,
        seed=seed,
        pace=size.pace,
        fake_clock_of=scenario.fake_clock_of,
        faketime_library=faketime_library,
        has_receipts=scenario.has_receipts,
        has_callbacks=scenario.has_callbacks,
        has_cluster=scenario.has_cluster,
        webs=scenario.webs,
        other_release=other_release,
        starts_with_other=bool(scenario.starts_with_other),
    )
    began = time.monotonic()
    progress("starting")
    with Deployment(home, plan, mongo_program, say) as deployment:
        evidence = _Drill(deployment, scenario, size, progress).run()
    result = reconcile(scenario, evidence)
    result.violations += reconcile_campaigns(evidence.campaigns, int(scenario.has_campaign))
    result.violations += reconcile_fallbacks(evidence.fallbacks, FALLBACKS if scenario.has_fallbacks else 0)
    _keep(home, evidence)
    return ScenarioResult(
        scenario,
        result,
        round(time.monotonic() - began, 1),
        _curves(evidence),
        tuple(
            (trouble.what, trouble.since - evidence.began_at, (trouble.until or time.time()) - evidence.began_at)
            for trouble in evidence.notes.troubles
        ),
        tuple((round(mark.at - evidence.began_at, 1), mark.text) for mark in evidence.notes.marks),
    )


#: Jobs that a client was told of one by one.
_TOLD = {"campaign": {"$exists": False}, "parent": {"$exists": False}}


class _Drill:
    def __init__(self, deployment: Deployment, scenario: Scenario, size: Size, progress: OnProgress) -> None:
        self._deployment = deployment
        self._scenario = scenario
        self._size = size
        self._progress = progress

    def run(self) -> Evidence:
        deployment, load = self._deployment, self._deployment.load
        began_at = time.time()
        rate = min(self._size.rate, self._scenario.most_per_second)
        load.ask("pace", rate=rate, connects_anew=self._scenario.connects_anew)
        self._progress("warming up")
        self._wait(WARM_UP_SECONDS)
        self._progress("breaking things")
        self._scenario.act(deployment)
        self._progress("healed; load goes on")
        stuck = self._tail()
        load.ask("pace", rate=0)
        load_ended_at = time.time()
        self._progress("waiting for clients")
        deployment.wait_until(lambda: load.ask("progress")["waiting"] == 0, CLIENTS_SECONDS)
        self._progress("waiting until all is settled")
        settled_at = self._settle()
        self._progress("reconciling")
        dead_letters = self._dead_letters()
        told = load.ask("fetch", timeout_seconds=60)
        # Before the jobs: what is answered 200 later may be in none of them yet.
        receipts = deployment.receipts()
        callbacks = deployment.callbacks()
        # Of campaigns' jobs and of fallbacks' steps no client was told one by one: they are looked at by themselves.
        database = deployment.jobs.database
        others = {*campaign_jobs_in(database), *fallback_jobs_in(database)}
        records = deployment.recorder.ask("fetch", timeout_seconds=60)
        return Evidence(
            notifications=told["notifications"],
            jobs=list(deployment.jobs.find(_TOLD, {"payload": 0, "to": 0})),
            records=[each for each in records if each["delivery_key"].partition(":")[0] not in others],
            dead_letters=[job_id for job_id in dead_letters if job_id not in others],
            campaigns=campaigns_in(database),
            fallbacks=fallbacks_in(database, records),
            notes=deployment.notes,
            began_at=began_at,
            load_ended_at=load_ended_at,
            settled_at=settled_at,
            stuck_workers=stuck,
            receipts=receipts,
            callbacks=callbacks,
        )

    def _wait(self, seconds: float) -> None:
        self._deployment.wait_until(lambda: False, seconds)

    def _tail(self) -> list[str]:
        """Load after the healing, until it is enough and every worker has taken some of it; answers who hasn't."""
        deployment = self._deployment
        healed_at = deployment.notes.healed_at
        self._wait(max(0.0, healed_at + TAIL_SECONDS - time.time()))
        idle: list[str] = []

        def all_work() -> bool:
            workers = deployment.delivery_workers
            missing = len([title for title in deployment.programs if title.startswith("worker")]) - len(workers)
            with contextlib.suppress(PyMongoError):
                active = deployment.claimants_since(healed_at)
                idle[:] = [title for title, name in workers.items() if name not in active]
                return not idle and missing == 0
            return False

        deployment.wait_until(all_work, max(1.0, healed_at + PROGRESS_SECONDS - time.time()), 1)
        titles = [title for title in deployment.programs if title.startswith("worker")]
        dead = [title for title in titles if title not in deployment.delivery_workers]
        deployment.wait_until(lambda: deployment.load.ask("progress")["accepted"] >= self._size.notifications, 300)
        return idle + dead

    def _settle(self) -> float | None:
        deployment = self._deployment

        def is_settled() -> bool:
            with contextlib.suppress(PyMongoError):
                waiting = deployment.jobs.count_documents({"status": {"$in": list(WAITING)}})
                owed = deployment.jobs.count_documents({"status": "failed", "deadLetteredAt": {"$exists": False}})
                receipts = deployment.receipts().unsettled
                to_go = waiting + owed + receipts + deployment.unsettled_callbacks()
                self._progress(f"waiting until all is settled: {to_go} to go")
                return to_go == 0
            return False

        return time.time() if deployment.wait_until(is_settled, SETTLE_SECONDS, 1) else None

    def _dead_letters(self) -> list[str]:
        """Take everything out of the dead-letter queue; "" for what names no job.

        Without ticks from beat: a walk of the ops worker through the same queue has some of the letters in its hands
        meanwhile, and begins as soon as it sees that we have taken some.
        """
        deployment = self._deployment
        broker = urlsplit(deployment.rabbitmq.url)
        owed = deployment.jobs.count_documents({"status": "failed", "deadLetteredAt": {"$exists": True}})
        beat = deployment.programs["beat"].pid
        with amqp.Connection(
            f"{LOOPBACK}:{broker.port}",
            broker.username,
            broker.password,
            virtual_host=unquote(broker.path[1:]),
            confirm_publish=False,
        ) as connection:
            channel = connection.channel()
            os.kill(beat, signal.SIGSTOP)
            try:
                # The last tick may have begun a walk, and letters may be owed again after a queue was lost.
                deployment.wait_until(lambda: _depth(channel) >= owed, LETTERS_SECONDS, 1)
                return _taken(channel)
            finally:
                os.kill(beat, signal.SIGCONT)


def _depth(channel: amqp.Channel) -> int:
    return int(channel.queue_declare(topology.DEAD_QUEUE, passive=True).message_count)


def _taken(channel: amqp.Channel) -> list[str]:
    found = []
    while (message := channel.basic_get(topology.DEAD_QUEUE, no_ack=True)) is not None:
        found.append(_named_job(message.body))
    return found


def _named_job(body: bytes | str) -> str:
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    if isinstance(content, dict):
        return str(content.get("jobId", ""))
    # A delivery message that was rejected on its way: Celery's form, [[job_id], {}, {...}].
    with contextlib.suppress(IndexError, KeyError, TypeError):
        return str(content[0][0])
    return ""


def _curves(evidence: Evidence) -> dict[str, dict[int, int]]:
    since = evidence.began_at
    finished = [job["finishedAt"].timestamp() for job in evidence.jobs if job.get("finishedAt")]
    return {
        "accepted": per_second([n["accepted_at"] for n in evidence.notifications if n["accepted_at"]], since),
        "calls": per_second([record["at"] for record in evidence.records], since),
        "settled": per_second(finished, since),
    }


def _keep(home: Path, evidence: Evidence) -> None:
    """The evidence as files beside the logs, for whoever wants to follow a violation up."""
    kept = {name: getattr(evidence, name) for name in ("notifications", "jobs", "records", "dead_letters")}
    for name, entries in (kept | {"calls": evidence.callbacks.calls}).items():
        with (home / f"{name}.ndjson").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry, default=str) + "\n" for entry in entries)
