"""One suite for every ``RecipientStore`` and ``CategoryStore``."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from pymongo.database import Database

from tests.contract.faulty_collection import FaultyCollection, unconfirmed
from tests.factories import NOW, later
from tests.memory_storage import MemoryCategoryStore, MemoryRecipientStore
from tests.recipients import hours, make_category, make_recipient
from wavecom.core.categories import Branding, CategoryDefault, CategoryStore, FrequencyCap
from wavecom.core.category_audit import CategoryAction, CategoryEvent
from wavecom.core.lanes import Channel
from wavecom.core.local_hours import SendWindow
from wavecom.core.registered_recipients import PushToken, RecipientStore
from wavecom.errors import UncertainWriteError
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.categories import MongoCategoryStore
from wavecom.storage.mongo.recipients import MongoRecipientStore

TOKENS = (
    PushToken({"platform": "fcm", "token": "newer"}, later(5)),
    PushToken(
        {"platform": "webpush", "subscription": {"endpoint": "https://push.example/1", "keys": {"p256dh": "k"}}}, NOW
    ),
)


@pytest.fixture(params=["memory", "mongo"])
def recipients(request: pytest.FixtureRequest) -> RecipientStore:
    if request.param == "memory":
        return MemoryRecipientStore()
    numbers = itertools.count()
    return MongoRecipientStore(request.getfixturevalue("indexed_database"), lambda: f"token-{next(numbers)}")


@pytest.fixture(params=["memory", "mongo"])
def categories(request: pytest.FixtureRequest) -> CategoryStore:
    if request.param == "memory":
        return MemoryCategoryStore()
    return MongoCategoryStore(request.getfixturevalue("indexed_database"))


def test_a_recipient_comes_back_as_it_was_kept_to_its_account_alone(recipients: RecipientStore) -> None:
    full = make_recipient(
        push_tokens=TOKENS,
        is_email_verified=True,
        locale="de-CH",
        quiet_hours=hours("22:00", "07:00"),
        choices={"news": {Channel.EMAIL: False, Channel.PUSH: True}, "legal": {}},
        stopped_at=later(9),
        removed_at=later(10),
    )
    bare = make_recipient("user-1", email=None, phone=None, time_zone=None)

    assert recipients.save([full, bare]) == [True, True]

    kept = {"user-42": replace(full, revision=1), "user-1": replace(bare, revision=1)}
    assert recipients.find("acme", ["user-42", "user-1", "nobody"]) == kept
    assert recipients.find("acme:test", ["user-42"]) == {}
    assert recipients.find("acme", []) == {}


def test_nobody_overwrites_what_he_has_not_read(recipients: RecipientStore) -> None:
    recipients.save([make_recipient()])
    read = recipients.find("acme", ["user-42"])["user-42"]

    assert recipients.save([replace(read, locale="de")]) == [True]

    assert recipients.save([replace(read, locale="fr"), make_recipient("user-43")]) == [False, True]
    assert recipients.save([make_recipient(locale="it")]) == [False]
    assert recipients.find("acme", ["user-42"])["user-42"] == replace(read, locale="de", revision=2)


def test_of_writers_of_one_moment_one_has_written(recipients: RecipientStore) -> None:
    recipients.save([make_recipient()])
    read = recipients.find("acme", ["user-42"])["user-42"]
    writers = [replace(read, locale=f"d{letter}") for letter in "abcdefgh"]

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda each: recipients.save([each])[0], writers))

    kept = recipients.find("acme", ["user-42"])["user-42"]
    # A writer whose write another has replaced at once may be told that it was not the last; nobody else is.
    assert kept.locale in [each.locale for each, is_written in zip(writers, written, strict=True) if is_written]
    assert kept.revision == 2


def test_a_token_that_is_gone_is_forgotten_and_no_writer_brings_it_back(recipients: RecipientStore) -> None:
    recipients.save([make_recipient(push_tokens=TOKENS)])
    read = recipients.find("acme", ["user-42"])["user-42"]

    assert not recipients.forget_token("acme", "user-42", "https://push.example/1", later(-1))
    assert recipients.forget_token("acme", "user-42", "https://push.example/1", NOW)
    assert not recipients.forget_token("acme", "user-42", "https://push.example/1", NOW)
    assert not recipients.forget_token("acme:test", "user-42", "newer", later(9))

    assert recipients.find("acme", ["user-42"])["user-42"].push_tokens == TOKENS[:1]
    assert recipients.save([read]) == [False]


def test_what_no_majority_confirms_is_not_taken_for_kept(indexed_database: Database[dict[str, Any]]) -> None:
    collection = FaultyCollection(indexed_database["recipients"])
    store = MongoRecipientStore(cast(Any, {"recipients": collection}), lambda: "token")
    collection.faults["bulk_write"] = [unconfirmed]

    with pytest.raises(UncertainWriteError):
        store.save([make_recipient()])


def test_recipients_are_listed_by_id_in_pages(recipients: RecipientStore) -> None:
    recipients.save([make_recipient(f"user-{each}") for each in (3, 1, 2)])
    recipients.save([make_recipient("user-0", account="globex")])

    assert [each.recipient_id for each in recipients.page("acme", 2, None)] == ["user-1", "user-2"]
    assert [each.recipient_id for each in recipients.page("acme", 2, "user-2")] == ["user-3"]
    recipients.save([make_recipient("user-4", removed_at=NOW)])
    assert recipients.page("acme", 2, "user-3") == []


def test_who_is_deleted_is_gone(recipients: RecipientStore) -> None:
    recipients.save([make_recipient(), make_recipient(account="globex")])
    [read] = recipients.find("acme", ["user-42"]).values()

    assert not recipients.remove(replace(read, revision=7))
    assert recipients.remove(read)
    assert not recipients.remove(read)
    assert recipients.find("acme", ["user-42"]) == {}
    assert list(recipients.find("globex", ["user-42"])) == ["user-42"]


def test_recipients_of_several_accounts_are_found_at_once(recipients: RecipientStore) -> None:
    recipients.save([make_recipient(), make_recipient(account="globex"), make_recipient("user-43")])
    keys = {("acme", "user-42"), ("globex", "user-42"), ("globex", "user-43")}

    assert set(recipients.find_each(keys)) == {("acme", "user-42"), ("globex", "user-42")}
    assert recipients.find_each([]) == {}


def test_who_has_a_device_is_found(recipients: RecipientStore) -> None:
    recipients.save([make_recipient(push_tokens=TOKENS), make_recipient("user-43", push_tokens=TOKENS[:1])])
    recipients.save([make_recipient("user-44"), make_recipient(account="globex", push_tokens=TOKENS)])

    found = recipients.holders("acme", ["newer", "https://push.example/1", "another"])

    assert sorted(each.recipient_id for each in found) == ["user-42", "user-43"]
    assert [each.recipient_id for each in recipients.holders("acme", ["https://push.example/1"])] == ["user-42"]
    assert recipients.holders("acme", []) == []


def test_a_category_comes_back_as_it_was_kept_to_its_account_alone(categories: CategoryStore) -> None:
    full = make_category(
        description="Once a month.",
        default=CategoryDefault.OPT_IN,
        is_required=True,
        channels=frozenset({Channel.EMAIL, Channel.SMS}),
        needs_verified=True,
        obeys_quiet_hours=False,
        quiet_hours=hours("22:00", "07:00"),
        windows=(SendWindow(frozenset({0, 4}), hours("09:00", "24:00")),),
        time_zone="Asia/Kathmandu",
        cap=FrequencyCap(3, timedelta(days=7)),
    )

    assert categories.put(make_category())
    assert not categories.put(full)
    assert categories.put(make_category("bills"))
    assert categories.put(make_category(account="globex"))

    assert categories.all("acme") == [make_category("bills"), full]
    assert categories.all("acme:test") == []


def test_an_entry_about_a_category_stands_in_the_audit(indexed_database: Database[dict[str, Any]]) -> None:
    audit = MongoAuditLog(indexed_database)
    details = {"category": "news", "isRequired": True}
    event = CategoryEvent(
        event_id="e-1", action=CategoryAction.SET, actor="key k-1", at=NOW, client="acme", details=details
    )
    audit.record_category_event(event)
    audit.record_category_event(event)

    [entry] = audit.newest(action="set_category", limit=10)

    assert (entry["operator"], entry["client"], entry["category"]) == ("key k-1", "acme", "news")


def test_a_category_that_is_deleted_is_gone(categories: CategoryStore) -> None:
    categories.put(make_category())

    assert not categories.remove("globex", "news")
    assert categories.remove("acme", "news")
    assert not categories.remove("acme", "news")
    assert categories.all("acme") == []


def test_the_look_of_pages_is_an_accounts_own(categories: CategoryStore) -> None:
    assert categories.branding("acme") is None
    categories.put_branding("acme", Branding("Acme"))
    categories.put_branding("acme", Branding("Acme Bank", "#112233", "ACME"))

    assert categories.branding("acme") == Branding("Acme Bank", "#112233", "ACME")
    assert categories.branding("acme:test") is None
    assert categories.all("acme") == []
