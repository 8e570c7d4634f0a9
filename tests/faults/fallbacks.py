"""Fallbacks of a drill: sent while a provider is down and workers die; and what must be so then."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import requests
from pymongo.database import Database

from harness.provider_server import Behaviour, Fault, FaultKind
from tests.faults.deployment import Deployment
from tests.faults.plan import FIRST

#: How many a drill sends, half of them while its provider is down.
FALLBACKS: Final = 200
_TIMEOUT_SECONDS: Final = 30
_GIVE_UP_SECONDS: Final = 120
_DOWN: Final = Behaviour(0.02, [Fault(FaultKind.STATUS, status=503)])
_ENDS: Final = frozenset({"delivered", "failed", "expired", "unconfirmed"})


@dataclass(frozen=True, slots=True)
class FallbackEvidence:
    """What is known of one fallback at the end. ``job_steps``: the step of each of its jobs."""

    status: str
    job_steps: Sequence[int]
    #: Steps of which the provider really sent a message.
    sent_steps: Collection[int]


def fallbacks_in(database: Database[dict[str, Any]], records: Sequence[Mapping[str, Any]]) -> list[FallbackEvidence]:
    """All fallbacks of a drill; ``records`` are the provider's calls."""
    sent = {record["job_id"] for record in records if record["is_sent"]}
    steps: dict[str, list[tuple[int, bool]]] = {}
    for job in database["jobs"].find({"parent": {"$exists": True}}, {"jobId": 1, "parent": 1}):
        steps.setdefault(job["parent"]["id"], []).append((job["parent"]["step"], job["jobId"] in sent))
    return [
        FallbackEvidence(
            each["status"],
            [number for number, _ in steps.get(each["_id"], ())],
            {number for number, is_sent in steps.get(each["_id"], ()) if is_sent},
        )
        for each in database["fallbacks"].find({}, {"status": 1})
    ]


def fallback_jobs_in(database: Database[dict[str, Any]]) -> Collection[str]:
    """The ids of all jobs that are steps: no client was told of them one by one."""
    return {job["jobId"] for job in database["jobs"].find({"parent": {"$exists": True}}, {"jobId": 1})}


def reconcile_fallbacks(found: Sequence[FallbackEvidence], wanted: int) -> list[str]:
    """Every broken promise: each that was accepted has ended, with one job a step and no message by two channels."""
    violations = [] if len(found) == wanted else [f"{len(found)} fallbacks are stored, and {wanted} were accepted"]
    for each in found:
        if each.status not in _ENDS:
            violations.append(f"a fallback is {each.status} at the end")
        if max(Counter(each.job_steps).values(), default=0) > 1:
            violations.append(f"the steps of a fallback have the jobs {sorted(each.job_steps)}")
        if len(each.sent_steps) > 1:
            violations.append(f"steps {sorted(each.sent_steps)} of a fallback were sent, under stop")
        if each.status == "delivered" and not each.sent_steps:
            violations.append("a fallback is delivered of which nothing was sent")
        if each.status in {"failed", "expired"} and each.sent_steps:
            violations.append(f"a fallback is {each.status} of which something was sent")
    return violations


class DrillFallbacks:
    """Fallbacks at the API, by a client that repeats what was not answered."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url}/api/notifications"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._count = 0

    def send(self, count: int) -> None:
        """Have so many accepted."""
        for _ in range(count):
            self._count += 1
            steps = [
                {"type": "sms", "to": {"phone": f"+4477{number:08d}"}, "payload": {"text": "Your code is 493817."}}
                for number in (self._count, 50_000_000 + self._count)
            ]
            steps[0]["wait"] = "5s"
            body = {"fallback": steps, "onUnknownOutcome": "stop", "ttlSeconds": 90}
            self._until_told(body, f"drill-fallback-{self._count}")

    def _until_told(self, body: Mapping[str, Any], key: str) -> None:
        ends_at = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            try:
                headers = self._headers | {"Idempotency-Key": key}
                if requests.post(self._url, json=body, headers=headers, timeout=_TIMEOUT_SECONDS).status_code == 202:
                    return
            except requests.RequestException:
                pass
            if time.monotonic() > ends_at:
                raise TimeoutError("a fallback was not accepted")
            time.sleep(0.5)


def kill_workers_between_steps(deployment: Deployment) -> None:
    """Send fallbacks while the provider is down and workers are killed."""
    fallbacks = DrillFallbacks(deployment.config.url, deployment.config.api_key)
    dice = random.Random(f"{deployment.plan.seed}/fallback-worker-killed")
    with deployment.ailing(FIRST, "down (503)", _DOWN):
        # Their first steps wait, and are cancelled before the second ones begin.
        fallbacks.send(FALLBACKS // 2)
        for title in ("worker1", "worker2"):
            deployment.pause(dice.uniform(1, 3))
            deployment.kill_program(title)
    fallbacks.send(FALLBACKS - FALLBACKS // 2)
    for title in ("worker1", "worker2", "ops"):
        deployment.kill_program(title)
        deployment.pause(dice.uniform(1, 4))
    stored = deployment.jobs.database["fallbacks"]
    deployment.wait_until(lambda: stored.count_documents({"status": "waiting"}) == 0, 180)
