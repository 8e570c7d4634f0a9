"""Whether a full store costs more than an empty one."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import requests
from bson.objectid import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from harness.deployment import Deployment
from harness.figures import Figures, Latencies
from harness.subject import WAVECOM
from harness.trial import Goal, Trial

_CHUNK = 1000
#: Stored jobs are spread over so much of the past.
_DAYS = 7
#: What the store still does with jobs that have just been put into it is nobody's cost.
_SETTLE_SECONDS = 8
#: Load in each house, turn after turn: per second, so many seconds.
_RATE, _TURN_SECONDS, _TURNS = 150.0, 5, 8
_QUICK_RATE, _QUICK_TURN_SECONDS, _QUICK_TURNS = 60.0, 2, 2
_AFTERMATH_SECONDS = 1
_MOST_GROWTH = 1.1
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
    """Fill the store with finished jobs, and compare what a notification costs there and where hardly any are stored.

    Both stand beside each other and take turns of a few seconds, so that the machine's moods fall on both alike. On
    servers of the user's own there is room for one only: it is measured before and after it is filled.
    """
    few, *many = (500, 5_000) if trial.options.is_quick else (1_000, 100_000, 1_000_000)
    if trial.subject.name != WAVECOM:
        del many[1:]
    outcome = trial.outcome
    ratios = [(float(few), 1.0)]
    with trial.deployment() as deployment, FilledStore(trial, deployment) as filling:
        alone = None if _has_room_for_two(trial) else filling.with_stored(few)
        if alone is not None:
            outcome.phases[f"{few:,} stored"] = alone
        for size in many:
            if alone is None:
                small, large = _in_turns(trial, few, filling, size)
                outcome.phases[f"{few:,} stored, beside {size:,}"] = small
            else:
                small, large = alone, filling.with_stored(size)
            outcome.phases[f"{size:,} stored"] = large
            ratio = round(large.cpu_ms_total / small.cpu_ms_total, 3)
            ratios.append((size, ratio))
            what = f"CPU per notification with {size:,} stored, to that with {few:,}"
            outcome.goals.append(Goal(what, ratio, _MOST_GROWTH))
    outcome.pictures[f"CPU per notification, to that with {few:,} stored"] = {"ratio": ratios}


def _has_room_for_two(trial: Trial) -> bool:
    """Servers of the user's own hold one store at a time."""
    return not trial.options.addresses


def _in_turns(trial: Trial, few: int, filling: FilledStore, size: int) -> tuple[Figures, Figures]:
    """What the same load costs with ``few`` stored, on a deployment of their own, and with ``size`` in this one."""
    filling.fill(size)
    with trial.deployment(beside=True) as deployment, FilledStore(trial, deployment) as small:
        small.fill(few)
        for turn in range(trial.options.size(_TURNS, _QUICK_TURNS)):
            # Whoever has come last comes first in the next turn: what slows down for long slows down both.
            for store in (small, filling) if turn % 2 else (filling, small):
                store.load()
        figures = small.measured(), filling.measured()
        small.look(few)
    filling.look(size)
    return figures


class FilledStore:
    """A context manager: fills the store of a deployment with copies of jobs that have been delivered there."""

    def __init__(self, trial: Trial, deployment: Deployment) -> None:
        self._trial = trial
        self._deployment = deployment
        self._meter = trial.meter(deployment)
        self._client: MongoClient[dict[str, Any]] = MongoClient(deployment.config.mongodb_uri)
        self._jobs = self._client.get_default_database()["jobs"]
        self._templates: list[dict[str, Any]] = []
        #: Load that has not been measured yet.
        self._phases: list[str] = []

    def __enter__(self) -> Self:
        self.load()
        self._phases.clear()
        self._templates = _finished(self._jobs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def with_stored(self, size: int) -> Figures:
        """What the load costs with ``size`` jobs stored; the lists are looked at as well."""
        self.fill(size)
        for _ in range(self._trial.options.size(_TURNS, _QUICK_TURNS)):
            self.load()
        figures = self.measured()
        self.look(size)
        return figures

    def fill(self, size: int) -> None:
        """Store finished jobs until there are ``size`` jobs: real ones, copied, with ids and times of their own."""
        missing = size - self._jobs.estimated_document_count()
        for start in range(0, missing, _CHUNK):
            self._trial.progress(f"storing jobs: {start:,} of {missing:,}")
            copies = list(_copies(self._templates, start, min(_CHUNK, missing - start)))
            self._jobs.insert_many(copies, ordered=False)
        time.sleep(self._trial.options.size(_SETTLE_SECONDS, 0))

    def load(self) -> None:
        """A few seconds of load, until all of it has arrived."""
        options, meter = self._trial.options, self._meter
        rate, seconds = (_QUICK_RATE, _QUICK_TURN_SECONDS) if options.is_quick else (_RATE, _TURN_SECONDS)
        name = meter.paced(rate, seconds, name="load", keys=options.keys)
        meter.wait_drained()
        # What is written just afterwards is its own as well.
        time.sleep(_AFTERMATH_SECONDS)
        meter.close(name)
        self._phases.append(name)

    def measured(self) -> Figures:
        """All load since the last time, together."""
        figures = self._meter.measure(*self._phases)
        self._phases.clear()
        return figures

    def look(self, size: int) -> None:
        """How long lists and pages take with ``size`` jobs stored, each asked for so often, one after the other."""
        if not self._trial.subject.has_lists:
            return
        config = self._deployment.config
        root = config.url
        with requests.Session() as session:
            form = session.get(f"{root}/login", timeout=30)
            token = _CSRF.search(form.text)
            login = {"secret": config.api_key, "csrf_token": token[1] if token else "", "next": "/status"}
            session.post(f"{root}/login", data=login, timeout=30).raise_for_status()
            for words, path in LISTS.items():
                headers = {"Authorization": f"Bearer {config.api_key}"} if path.startswith("/api/") else {}
                seconds = []
                for _ in range(self._trial.options.size(40, 10)):
                    began = time.monotonic()
                    answer = session.get(f"{root}{path}", headers=headers, timeout=60, allow_redirects=False)
                    answer.raise_for_status()
                    seconds.append(time.monotonic() - began)
                self._trial.outcome.values[f"{words}, {size:,} stored, p95 ms"] = Latencies.of(seconds).p95


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
