"""One suite over the store of receipts that are to be tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later, make_job_id, make_receipt
from tests.memory_storage import MemoryOneTimeTokens, MemoryPendingReceipts
from wavecom.core.job import Reason
from wavecom.core.receipt_processing import PendingReceipt, PendingReceipts
from wavecom.core.receipts import ReceiptKind, ReceiptRequest
from wavecom.providers.receipts import TOLERANCE
from wavecom.providers.receipts.mailgun import LONGEST_RETRIES
from wavecom.storage.mongo.receipts import (
    TOKEN_KEPT_FOR,
    UNREADABLE_KEPT_FOR,
    MongoPendingReceipts,
    OneTimeTokens,
    UnreadableRequests,
)


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> PendingReceipts:
    if request.param == "memory":
        return MemoryPendingReceipts()
    return MongoPendingReceipts(request.getfixturevalue("indexed_database"))


def pending(event_id: str = "e-1", *, provider: str = "twilio", due_in: float = 2, **overrides: Any) -> PendingReceipt:
    receipt = make_receipt(event_id=event_id, **overrides)
    return PendingReceipt(provider=provider, receipt=receipt, received_at=NOW, next_try_at=later(due_in))


def test_a_receipt_is_found_as_it_was_kept_when_its_time_has_come(store: PendingReceipts) -> None:
    full = pending(
        kind=ReceiptKind.FAILED,
        job_id=make_job_id(),
        replays=1,
        message_id="$m.1",
        at=later(-5),
        code="30005",
        text="unknown handset",
        reason=Reason.RECIPIENT_GONE,
        recipient="+12025550143",
    )
    bare = pending("e-2", due_in=3, kind=ReceiptKind.PROGRESS, is_routine=True)
    store.keep([full, bare])

    assert store.due(later(1), 10) == []
    assert store.due(later(2), 10) == [full]
    assert store.due(later(3), 10) == [full, bare]
    assert store.due(later(3), 1) == [full]


def test_an_event_is_kept_once_for_each_provider(store: PendingReceipts) -> None:
    store.keep([pending(), pending()])
    store.keep([pending(due_in=1), pending("e-2"), pending(provider="vonage")])

    assert [(each.provider, each.receipt.event_id) for each in store.due(later(2), 10)] == [
        ("twilio", "e-1"),
        ("twilio", "e-2"),
        ("vonage", "e-1"),
    ]


def test_what_is_postponed_is_due_later_and_what_is_removed_never(store: PendingReceipts) -> None:
    first, second = pending("e-1"), pending("e-2")
    store.keep([first, second])

    again = replace(first, next_try_at=later(60), tries=1)
    store.postpone([again, pending("gone", due_in=0)])
    store.remove([second])

    assert store.due(later(59), 10) == []
    assert store.due(later(60), 10) == [again]


def test_a_request_that_nobody_can_read_is_kept_for_a_day_without_its_headers(
    database: Database[dict[str, Any]],
) -> None:
    request = ReceiptRequest(
        method="POST",
        url="https://notify.bank.example/receipts/gateway",
        query="a=1",
        headers={"authorization": "Bearer secret"},
        body=b"\x00\xff not JSON",
        at=NOW,
    )

    UnreadableRequests(database).keep("gateway", request)

    [document] = database["receipts"].find()
    assert (document["provider"], document["body"], document["query"]) == ("gateway", request.body, "a=1")
    assert document["purgeAt"] == NOW + UNREADABLE_KEPT_FOR
    assert "nextTryAt" not in document
    assert "secret" not in str(document)


def received(body: bytes) -> ReceiptRequest:
    return ReceiptRequest(method="POST", url="", query="", headers={}, body=body, at=NOW)


def test_a_token_is_remembered_for_longer_than_it_is_believed() -> None:
    assert TOKEN_KEPT_FOR > LONGEST_RETRIES + 2 * TOLERANCE


def test_a_token_belongs_to_what_it_first_came_with(database: Database[dict[str, Any]]) -> None:
    for tokens in (OneTimeTokens(database), MemoryOneTimeTokens()):
        assert tokens.belongs_to("mailgun", "t-1", received(b"one"))
        assert tokens.belongs_to("mailgun", "t-1", received(b"one"))
        assert not tokens.belongs_to("mailgun", "t-1", received(b"another"))
        assert tokens.belongs_to("mailgun", "t-2", received(b"another"))
        assert tokens.belongs_to("mailgun-eu", "t-1", received(b"another"))

    assert {document["purgeAt"] for document in database["receipts"].find()} == {NOW + TOKEN_KEPT_FOR}
    assert MongoPendingReceipts(database).due(later(10_000), 10) == []
