"""Whether a full store costs more than an empty one."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from bson.objectid import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from wavecom.bench.measure import Figures, Latencies, cost_ratio_at_full_speed
from wavecom.bench.stage import Stage
from wavecom.bench.subject import JUDGED
from wavecom.bench.trial import Goal, Trial
from wavecom.local.ports import LOOPBACK

_CHUNK = 1000
#: Stored jobs are spread over so much of the past.
_DAYS = 7
_SETTLE_SECONDS = 8
_CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')

#: What is asked of the store while it is full: words -> path.
LISTS = {
    "list, first page": "/api/notifications?limit=50",
    "list of one status": "/api/notifications?status=delivered&limit=50",
    "list of failures": "/api/notifications?status=failed&limit=50",
    "page: status": "/status",
    "page: notifications": "/notifications",
}


def growth(trial: Trial) -> None:
    """Fill the store with finished jobs, and measure the same load and the same lists at every size."""
    quick, outcome = trial.options.is_quick, trial.outcome
    sizes: tuple[int, ...] = (500, 5_000) if quick else (1_000, 100_000, 1_000_000)
    if trial.subject.name != JUDGED:
        sizes = sizes[:2]
    rate, seconds = (60.0, 4) if quick else (150.0, 30)
    costs: list[tuple[float, float]] = []
    measured: list[Figures] = []
    with trial.stage() as stage, MongoClient[dict[str, Any]](stage.place.mongodb_uri) as client:
        meter = trial.meter(stage)
        meter.paced(50, 4, name="templates", keys=trial.options.keys)
        meter.wait_drained()
        jobs = client.get_default_database()["jobs"]
        templates = _finished(jobs)
        for size in sizes:
            fill(trial, jobs, templates, size)
            time.sleep(0 if quick else _SETTLE_SECONDS)
            name = meter.paced(rate, seconds, name="load", keys=trial.options.keys)
            meter.wait_answered(name)
            meter.wait_drained()
            figures = outcome.phases[f"{size:,} stored"] = meter.measure(name)
            costs.append((size, figures.cpu_ms_total))
            measured.append(figures)
            outcome.values[f"CPU per notification, {size:,} stored, ms"] = figures.cpu_ms_total
            if trial.subject.has_lists:
                for words, latencies in _look(stage, 10 if quick else 40).items():
                    outcome.values[f"{words}, {size:,} stored, p95 ms"] = latencies.p95
    outcome.pictures["CPU ms per notification, by jobs stored"] = {"CPU": costs}
    most, fewest = measured[-1], measured[0]
    outcome.values["cost with all of them, to that with the fewest, at full speed"] = cost_ratio_at_full_speed(
        most, fewest
    )
    what = f"CPU per notification with {sizes[-1]:,} stored, to that with {sizes[0]:,}"
    outcome.goals.append(Goal(what, round(most.cpu_ms_total / fewest.cpu_ms_total, 3), 1.1))


def fill(trial: Trial, jobs: Collection[dict[str, Any]], templates: list[dict[str, Any]], size: int) -> None:
    """Store finished jobs until there are ``size``: real ones, copied, with ids and times of their own."""
    missing = size - jobs.estimated_document_count()
    for start in range(0, missing, _CHUNK):
        trial.progress(f"storing jobs: {start:,} of {missing:,}")
        jobs.insert_many(list(_copies(templates, start, min(_CHUNK, missing - start))), ordered=False)


def _finished(jobs: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are through with everything."""
    deadline = time.monotonic() + 30
    while True:
        found = list(jobs.find({"status": {"$in": ["delivered", "sent"]}}))
        if len(found) >= 100 or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _copies(templates: list[dict[str, Any]], start: int, count: int) -> Iterator[dict[str, Any]]:
    for number in range(start, start + count):
        template = templates[number % len(templates)]
        age = timedelta(seconds=_DAYS * 86_400 * secrets.randbelow(1_000_000) / 1_000_000)
        copy: dict[str, Any] = _aged(template, age)
        copy["_id"] = ObjectId()
        copy["jobId"] = _id_like(template["jobId"], copy["createdAt"])
        if "idempotencyKey" in copy:
            copy["idempotencyKey"] = f"stored-{number}-{secrets.token_hex(4)}"
        # What the store throws away by itself stays for as long as we measure.
        if "purgeAt" in copy:
            copy["purgeAt"] = datetime.now(UTC) + timedelta(days=30)
        yield copy


def _aged(value: Any, age: timedelta) -> Any:
    if isinstance(value, datetime):
        return value - age
    if isinstance(value, dict):
        return {key: _aged(inner, age) for key, inner in value.items()}
    if isinstance(value, list):
        return [_aged(inner, age) for inner in value]
    return value


def _id_like(job_id: str, at: datetime) -> str:
    """A fresh id of the same kind: version 7 begins with its time, so that the index grows as it would have."""
    fresh = uuid.uuid4()
    if uuid.UUID(job_id).version != 7:
        return str(fresh)
    milliseconds = int(at.replace(tzinfo=UTC).timestamp() * 1000)
    return str(uuid.UUID(int=(milliseconds << 80) | (fresh.int & ((1 << 80) - 1)) & ~(0xF << 76) | (7 << 76)))


def _look(stage: Stage, times: int) -> dict[str, Latencies]:
    """How long lists and pages take, each asked for so often, one after the other."""
    place = stage.place
    root = f"http://{LOOPBACK}:{place.api_port}"
    found = {}
    with requests.Session() as session:
        form = session.get(f"{root}/login", timeout=30)
        token = _CSRF.search(form.text)
        login = {"secret": place.api_key, "csrf_token": token[1] if token else "", "next": "/status"}
        session.post(f"{root}/login", data=login, timeout=30).raise_for_status()
        for words, path in LISTS.items():
            headers = {"Authorization": f"Bearer {place.api_key}"} if path.startswith("/api/") else {}
            seconds = []
            for _ in range(times):
                began = time.monotonic()
                session.get(f"{root}{path}", headers=headers, timeout=60, allow_redirects=False).raise_for_status()
                seconds.append(time.monotonic() - began)
            found[words] = Latencies.of(seconds)
    return found
