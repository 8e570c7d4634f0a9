"""One suite for every outbox of the sandbox."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, PAYLOADS, RECIPIENTS, later
from tests.memory_storage import MemoryOutbox
from wavecom.core.lanes import Channel
from wavecom.errors import InvalidRequestError
from wavecom.storage.mongo.outbox import MongoOutbox, OutboxCursor, OutboxPage


@pytest.fixture(params=["memory", "mongo"])
def outbox(request: pytest.FixtureRequest) -> MemoryOutbox | MongoOutbox:
    if request.param == "memory":
        return MemoryOutbox()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoOutbox(database, system_now=lambda: NOW)


def _entry(key: str = "job-1", **overrides: Any) -> dict[str, Any]:
    entry = {
        "jobId": key,
        "deliveryKey": key,
        "provider": "sandbox",
        "type": "push",
        "to": RECIPIENTS[Channel.PUSH],
        "payload": PAYLOADS[Channel.PUSH],
        "metadata": {},
        "attempt": 1,
        "at": NOW,
    }
    return entry | overrides


def test_an_entry_comes_back_as_it_was(outbox: MemoryOutbox | MongoOutbox) -> None:
    odd = {"$ref": "x", "$id": 1, "a.b": {"$set": 1}, "text": "مرحبا 👋"}
    entry = _entry(payload={"title": "x", "data": odd}, metadata=odd)

    outbox.append(entry)

    page = outbox.page(10)
    assert page == OutboxPage((entry | {"times": 1},), None)
    assert list(page.entries[0]["metadata"]) == list(odd)


def test_a_repeated_delivery_is_one_entry_that_counts(outbox: MemoryOutbox | MongoOutbox) -> None:
    outbox.append(_entry())

    outbox.append(_entry(attempt=2, at=later(5)))
    outbox.append(_entry("job-1:1", jobId="job-1", at=later(9)))

    entries = outbox.page(10).entries
    assert [(entry["deliveryKey"], entry["attempt"], entry["times"]) for entry in entries] == [
        ("job-1:1", 1, 1),
        ("job-1", 1, 2),
    ]


def test_pages_hold_every_entry_once_newest_first(outbox: MemoryOutbox | MongoOutbox) -> None:
    ages = [0, 0, 0, 0, 1, 1, 90, 4_000, 90_000, 90_000, 500_000]
    entries = [_entry(f"job-{number}", at=later(-age)) for number, age in enumerate(ages)]
    for entry in random.Random(5).sample(entries, len(entries)):
        outbox.append(entry)

    pages: list[OutboxPage] = []
    after: OutboxCursor | None = None
    while not pages or after is not None:
        pages.append(outbox.page(3, after))
        after = pages[-1].next

    found = [entry["deliveryKey"] for page in pages for entry in page.entries]
    newest_first = sorted(entries, key=lambda entry: (entry["at"], entry["deliveryKey"]), reverse=True)
    assert found == [entry["deliveryKey"] for entry in newest_first]
    assert [len(page.entries) for page in pages] == [3, 3, 3, 2]


def test_an_empty_outbox_is_an_empty_page(outbox: MemoryOutbox | MongoOutbox) -> None:
    assert outbox.page(10) == OutboxPage((), None)


def test_what_cannot_be_stored_is_refused(outbox: MemoryOutbox | MongoOutbox) -> None:
    with pytest.raises(InvalidRequestError):
        outbox.append(_entry(metadata={"n": 2**70}))

    assert outbox.page(10) == OutboxPage((), None)
