"""How long lists and details take with few and with many notifications stored.

    python -m benchmarks.listing [--jobs 1000 200000] [--rounds 40] [--campaign 0.5] [--json FILE]
        [--report docs/reports/listing.md]

Starts a MongoDB-wire server of its own (mongod or secantusd-rs; WAVECOM_MONGO_SERVER names another) and a Redis, stores
the jobs and asks the web app for each list in turn, through everything but the socket: key, query, store, JSON.

The jobs are spread over thirty days; with --campaign that share of them came within four minutes, just now: dense and
sparse at once, so that no window suits both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from pymongo.database import Database
from rich.console import Console
from rich.progress import track
from rich.table import Table

from harness.programs import mongo_server
from tests.factories import make_job
from wavecom.core.job import Job, JobError, LogEntry
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status
from wavecom.local.servers import PrivateMongo, PrivateRedis
from wavecom.settings import Settings
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.documents import Document, encode_job
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.web import create_app

_KEY = "wc_live_" + "b" * 43
_CLIENT = "default"
_CHUNK = 1_000
_SPREAD = timedelta(days=30)
_CAMPAIGN = timedelta(minutes=4)
#: What stays the same however many jobs there are.
_OPEN, _RARE = 40, 10

_LISTS = {
    "newest": "",
    "delivered": "status=delivered",
    "failed": "status=failed",
    "open (a few)": "status=queued",
    "failed or expired, SMS": "status=failed,expired&type=sms",
    "type": "type=push",
    "priority": "priority=high",
    "provider": "provider=gateway",
    "provider, rare": "provider=relay",
    "provider, never used": "provider=nobody",
    "error code": "errorCode=rejected",
    "recipient": "recipient=%2B12025550199",
    "metadata, one job": "metadataKey=order&metadataValue=7",
    "metadata, half of them": "metadataKey=campaign&metadataValue=spring",
    "metadata, no job": "metadataKey=order&metadataValue=none",
    "three weeks ago": "createdSince={three_weeks_ago}&createdBefore={twenty_days_ago}",
    "everything at once": "status=delivered&type=sms&priority=normal&provider=gateway&metadataKey=campaign",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """Latencies of one list with so many jobs stored, in milliseconds."""

    jobs: int
    name: str
    items: int
    p50_ms: float
    p95_ms: float


def main() -> None:
    """Measure, by the arguments of the command line, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1_000, 200_000], help="how many are stored")
    parser.add_argument("--rounds", type=int, default=40, help="how often each is asked for")
    parser.add_argument("--campaign", type=float, default=0.0, metavar="SHARE", help="share that came just now, 0 to 1")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--report", type=Path, help="where to write them for people")
    options = parser.parse_args()
    program = mongo_server(print)
    figures: list[Figure] = []
    for count in options.jobs:
        with stored(program, count, options.campaign, api_key=_KEY) as (settings, _):
            client = create_app(settings).test_client()
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {_KEY}"
            figures += measure(client, count, options.rounds)
    _print(figures)
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")
    if options.report:
        options.report.write_text(report(figures, program.name, options.campaign), encoding="utf-8")


# --- jobs -----------------------------------------------------------------------------------------------------------


@contextmanager
def stored(program: Path, count: int, campaign: float, **more: str) -> Iterator[tuple[Settings, Database[Document]]]:
    """Servers of their own with so many jobs; settings of a web process for them, with ``more``, and the database.

    Nobody is there for RabbitMQ.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateMongo(Path(folder) / "mongo", program=program) as mongo,
        PrivateRedis(Path(folder) / "redis") as redis_server,
    ):
        settings = Settings(
            mongodb_uri=mongo.url,
            redis_url=redis_server.url,
            amqp_url="amqp://guest:guest@127.0.0.1:1//",
            secret_key="b" * 32,
            home=Path(folder),
            **more,  # type: ignore[arg-type]  # the names of texts
        )
        database = default_database(connect(mongo.url))
        ensure_indexes(database)
        store(database["jobs"], count, campaign)
        yield settings, database


def store(collection: Any, count: int, campaign: float) -> None:
    """Insert ``count`` jobs as they are some time after they were accepted."""
    now = datetime.now().astimezone().replace(microsecond=0)
    chance = random.Random(5)
    ages = sorted(
        (_CAMPAIGN if number < count * campaign else _SPREAD) * chance.random() for number in range(count)
    )  # as inserts come: in the order of time
    ages.reverse()
    marked = set(chance.sample(range(count), _RARE))
    for start in track(range(0, count, _CHUNK), description=f"storing {count:,}"):
        part = range(start, min(count, start + _CHUNK))
        jobs = [_job(now - ages[number], number, chance, is_open=count - number <= _OPEN) for number in part]
        jobs = [_marked(job) if number in marked else job for number, job in zip(part, jobs, strict=True)]
        collection.insert_many([encode_job(job) for job in jobs], ordered=False)


def _job(at: datetime, number: int, chance: random.Random, *, is_open: bool) -> Job:
    draw = chance.random()
    status = Status.QUEUED if is_open else Status.FAILED if draw < 0.01 else Status.EXPIRED if draw < 0.012 else None
    status = status or Status.DELIVERED
    channel = chance.choice(list(Channel))
    provider = chance.choice(["gateway", "backup"])
    entry = LogEntry(at, status.value, 1, provider, "accepted", "http_202", None, 48.1)
    more: dict[str, Any] = {} if is_open else {"provider": provider, "logs": (LogEntry(at, "accepted"), entry)}
    if status is Status.FAILED:
        code = chance.choice(["rejected", "attempts_exhausted"])
        more |= {"error": JobError(code, "http_400", provider), "dead_lettered_at": at, "due_at": None}
    return make_job(
        client=_CLIENT,
        type=channel,
        status=status,
        created_at=at,
        priority=chance.choice(list(Priority)),
        metadata={"order": number, "campaign": chance.choice(["spring", "summer"])},
        **more,
    )


def _marked(job: Job) -> Job:
    """One of the few that a rare filter finds."""
    to = {"phone": "+12025550199"}
    return make_job(
        client=_CLIENT,
        type=Channel.SMS,
        status=Status.DELIVERED,
        created_at=job.created_at,
        to=to,
        provider="relay",
        metadata={"order": 7, "campaign": "spring"},
    )


# --- figures --------------------------------------------------------------------------------------------------------


def measure(client: FlaskClient, count: int, rounds: int) -> Iterator[Figure]:
    """Each list in turn, the first answers not counted; then the second page, and details."""
    now = datetime.now().astimezone()
    times = {
        "three_weeks_ago": (now - timedelta(days=21)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "twenty_days_ago": (now - timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    paths = {name: f"/api/notifications?{query.format(**times)}" for name, query in _LISTS.items()}
    client.get("/api/notifications")
    first = client.get("/api/notifications").json
    paths["second page"] = first["next"]
    paths["one, with its log"] = f"/api/notifications/{first['items'][7]['jobId']}"
    for name, path in paths.items():
        samples = []
        for _ in range(rounds + 3):
            started = time.perf_counter()
            answer = client.get(path)
            samples.append((time.perf_counter() - started) * 1000)
            if answer.status_code != HTTPStatus.OK:
                raise SystemExit(answer.text)
        samples = samples[3:]
        p95 = statistics.quantiles(samples, n=20)[-1]
        items = len(answer.json.get("items", [1]))
        yield Figure(count, name, items, round(statistics.median(samples), 2), round(p95, 2))


def _rows(figures: list[Figure]) -> tuple[list[int], list[list[str]]]:
    counts = sorted({figure.jobs for figure in figures})
    names = dict.fromkeys(figure.name for figure in figures)
    by_place = {(figure.name, figure.jobs): figure for figure in figures}
    rows = []
    for name in names:
        cells = [by_place[name, count] for count in counts]
        rows.append([name, *(f"{each.items}: {each.p50_ms:.1f} / {each.p95_ms:.1f}" for each in cells)])
    return counts, rows


def _print(figures: list[Figure]) -> None:
    counts, rows = _rows(figures)
    table = Table("list", *(f"{count:,} jobs" for count in counts), caption="items: p50 / p95 in ms")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def report(figures: list[Figure], server: str, campaign: float) -> str:
    """The figures as a page."""
    counts, rows = _rows(figures)
    lines = [
        "# How long lists take",
        "",
        f"`python -m benchmarks.listing`, {os.cpu_count()} cores, {server}. Each cell: items on the page, then the",
        "median and the 95th percentile in milliseconds of a request to the web app, without the socket.",
        f"The jobs are spread over thirty days; {campaign:.0%} of them are a campaign of the last four minutes. A page",
        "of a rare filter may be short: no list reads for much longer than a quarter of a second; `next` goes on.",
        "",
        f"| list | {' | '.join(f'{count:,} jobs' for count in counts)} |",
        f"|---|{'---|' * len(counts)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
