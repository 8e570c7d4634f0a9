"""A long suppression list as CSV from a real web process and a real store: one stream, no faster than it is read."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo import MongoClient
from pymongo.database import Database

from tests.factories import NOW
from tests.waiting import wait_until
from tests.web_process import WebProcess
from wavecom.core.lanes import Channel
from wavecom.core.suppressions import NewSuppression, SuppressionScope, SuppressionSource
from wavecom.storage.mongo.suppressions import MongoSuppressionStore

#: Some 30 MB of CSV in pages of a thousand: more than sockets on the way hold. Few rows, and long ones: each costs the
#: store as much as it would with a short reason.
ROWS = 4_000
REASON = "r" * 8_000


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[Database[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb_uri, tz_aware=True)
    yield client.get_default_database()
    client.close()


@pytest.fixture
def web(tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str) -> Iterator[WebProcess]:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as process:
        yield process


def fill(database: Database[dict[str, Any]]) -> None:
    """A list of ``ROWS`` entries, each as the store writes one."""
    new = NewSuppression(
        account="default",
        channel=Channel.PUSH,
        recipient="first",
        source=SuppressionSource.MANUAL,
        scope=SuppressionScope.ALL,
        by="key k-1",
        reason=REASON,
    )
    MongoSuppressionStore(database, lambda: "00000000-0000-7000-8000-000000000000").add([new], NOW)
    model = database["suppressions"].find_one({}) or {}
    database["suppressions"].delete_many({})
    database["suppressions"].insert_many(
        {
            **model,
            "_id": f"{number:08}-0000-7000-8000-000000000000",
            "recipient": f"token-{number}",
            "digest": number.to_bytes(32, "big"),
        }
        for number in range(ROWS)
    )


def export(web: WebProcess) -> requests.Response:
    return requests.get(f"{web.url}/api/suppressions/export", headers=web.authorization, stream=True, timeout=60)


def begins_and_leaves(web: WebProcess) -> bool:
    """Whether there was a place; its client has read a little of the list and has gone."""
    with export(web) as left:
        if left.status_code == 200:
            next(left.iter_content(100))
        return left.status_code == 200


def is_read(session: requests.Session, web: WebProcess, lines: list[int]) -> bool:
    """Whether there was a place; how many lines the whole list has is in ``lines`` then."""
    answer = session.get(f"{web.url}/api/suppressions/export", headers=web.authorization, timeout=60)
    if answer.status_code == 200:
        lines.append(len(answer.content.splitlines()))
    return answer.status_code == 200


@pytest.mark.timeout(180)
def test_a_long_list_is_one_stream_and_what_nobody_reads_is_not_made(
    web: WebProcess, database: Database[dict[str, Any]]
) -> None:
    fill(database)

    with export(web) as answer:
        assert "Link" not in answer.headers
        chunks = answer.iter_content(65_536)
        begin = next(chunks)
        # Long enough to make all of it, if anybody did without being asked.
        time.sleep(3)
        oldest = {"_id": {"$lt": f"{1000:08}"}}
        database["suppressions"].update_many(oldest, {"$set": {"reason": "changed meanwhile"}})
        text = (begin + b"".join(chunks)).decode()

    rows = list(csv.DictReader(text.splitlines()))
    assert [row["recipient"] for row in rows] == [f"token-{number}" for number in reversed(range(ROWS))]
    assert {row["reason"] for row in rows[-1000:]} == {"changed meanwhile"}

    # A key has two at once: clients that left, and one that keeps its connection, take no place any more.
    for _ in range(4):
        wait_until(lambda: begins_and_leaves(web), "a place for an export")
    with requests.Session() as session:
        lines: list[int] = []
        for _ in range(3):
            wait_until(lambda: is_read(session, web, lines), "a place for an export")
        assert lines == [ROWS + 1] * 3

    # A process that dies in the middle ends no answer: what came of it does not pass for the whole list.
    with export(web) as cut:
        chunks = cut.iter_content(65_536)
        next(chunks)
        web.kill()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(chunks)
