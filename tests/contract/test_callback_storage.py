"""One suite for every ``CallbackStore`` and ``CallbackDeliveryStore``."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryCallbackDeliveryStore, MemoryCallbackStore
from wavecom.callbacks.sealed_secrets import SecretSealer
from wavecom.core.callback_audit import CallbackAction, CallbackEvent
from wavecom.core.callbacks import (
    TRIES_KEPT,
    Callback,
    CallbackDelivery,
    CallbackDeliveryStore,
    CallbackSecret,
    CallbackState,
    CallbackStore,
    CallbackTry,
    DeliveryState,
    DisabledReason,
    NoticeKind,
)
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.callback_deliveries import MongoCallbackDeliveryStore
from wavecom.storage.mongo.callbacks import MongoCallbackStore

SECRET = "whsec_" + "c2VjcmV0" * 5


def make_callback(callback_id: str = "a" * 32, **overrides: Any) -> Callback:
    fields: dict[str, Any] = {
        "callback_id": callback_id,
        "account": "acme",
        "url": "https://shop.example/hook",
        "secrets": (CallbackSecret(SECRET, NOW),),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Callback(**(fields | overrides))


def make_delivery(event_id: str = "event.1", callback_id: str = "a" * 32, **overrides: Any) -> CallbackDelivery:
    fields: dict[str, Any] = {
        "callback_id": callback_id,
        "account": "acme",
        "event_id": event_id,
        "type": "notification.delivered",
        "created_at": NOW,
        "begun_at": NOW,
        "due_at": NOW,
    }
    return CallbackDelivery(**(fields | overrides))


def _mongo_store(database: Database[dict[str, Any]], key: str = "a key for tests only") -> MongoCallbackStore:
    sealer = SecretSealer([key])
    return MongoCallbackStore(database, seal=sealer.seal, unseal=sealer.open)


@pytest.fixture(params=["memory", "mongo"])
def callbacks(request: pytest.FixtureRequest) -> CallbackStore:
    if request.param == "memory":
        return MemoryCallbackStore()
    return _mongo_store(request.getfixturevalue("indexed_database"))


@pytest.fixture(params=["memory", "mongo"])
def deliveries(request: pytest.FixtureRequest) -> CallbackDeliveryStore:
    if request.param == "memory":
        return MemoryCallbackDeliveryStore()
    return MongoCallbackDeliveryStore(request.getfixturevalue("indexed_database"))


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_a_callback_comes_back_as_it_was_added_and_changed(callbacks: CallbackStore) -> None:
    callback = make_callback(
        name="shop", statuses=frozenset({Status.FAILED, Status.SENT}), channels=frozenset({Channel.SMS})
    )
    callbacks.add(callback)
    callbacks.add(replace(callback, name="another time"))
    assert callbacks.get(callback.callback_id) == callback

    changes = {
        "state": CallbackState.DISABLED,
        "disabled_reason": DisabledReason.GONE,
        "disabled_at": later(1),
        "failures": 7,
        "failing_since": NOW,
        "not_before": later(30),
        "statuses": frozenset[Status](),
        "secrets": (CallbackSecret(SECRET, later(2)), CallbackSecret(SECRET, NOW, later(60))),
    }
    assert callbacks.change(callback.callback_id, changes) == replace(callback, **changes)
    assert callbacks.get(callback.callback_id) == replace(callback, **changes)

    back = {"state": CallbackState.ACTIVE, "disabled_reason": None, "disabled_at": None, "not_before": None}
    assert callbacks.change(callback.callback_id, back) == replace(callback, **(changes | back))


def test_a_callback_is_found_by_its_account_alone(callbacks: CallbackStore) -> None:
    mine = make_callback("a" * 32)
    theirs = make_callback("b" * 32, account="globex", created_at=later(1))
    for each in (mine, theirs):
        callbacks.add(each)

    assert callbacks.get(theirs.callback_id, "acme") is None
    assert callbacks.of_accounts(["acme"]) == [mine]
    assert callbacks.of_accounts(["globex", "nobody"]) == [theirs]
    assert callbacks.of_accounts(None) == [mine, theirs]


def test_a_removed_callback_is_gone(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    callbacks.remove("a" * 32)
    callbacks.remove("a" * 32)

    assert callbacks.get("a" * 32) is None
    assert callbacks.change("a" * 32, {"name": "x"}) is None
    assert callbacks.hold("a" * 32, "token", NOW, later(60)) is None


def test_a_woken_callback_is_given_to_one_until_the_next_look(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    assert callbacks.take_due(NOW, later(30), 10) == []

    callbacks.wake(["a" * 32], NOW)

    assert callbacks.take_due(NOW, later(30), 10) == ["a" * 32]
    assert callbacks.take_due(later(29), later(60), 10) == []
    assert callbacks.take_due(later(30), later(60), 10) == ["a" * 32]


@pytest.mark.parametrize("state", [CallbackState.PAUSED, CallbackState.DISABLED])
def test_a_callback_that_is_not_active_is_neither_looked_at_nor_held(
    callbacks: CallbackStore, state: CallbackState
) -> None:
    callbacks.add(make_callback(state=state))
    callbacks.wake(["a" * 32], NOW)

    assert callbacks.take_due(NOW, later(30), 10) == []
    assert callbacks.hold("a" * 32, "token", NOW, later(60)) is None

    callbacks.change("a" * 32, {"state": CallbackState.ACTIVE})
    assert callbacks.take_due(NOW, later(30), 10) == ["a" * 32]


def test_a_callback_is_held_by_one_at_a_time_and_by_another_when_the_hold_is_over(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())

    assert callbacks.hold("a" * 32, "one", NOW, later(60)) is not None
    assert callbacks.hold("a" * 32, "two", later(59), later(120)) is None
    assert callbacks.hold("a" * 32, "one", later(59), later(119)) is not None
    assert callbacks.hold("a" * 32, "two", later(118), later(180)) is None
    assert callbacks.hold("a" * 32, "two", later(119), later(180)) is not None


def test_a_hold_that_nobody_ends_brings_somebody_else_when_it_is_over(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    callbacks.wake(["a" * 32], NOW)
    callbacks.take_due(NOW, later(30), 10)
    callbacks.hold("a" * 32, "one", NOW, later(60))

    assert callbacks.take_due(later(59), later(90), 10) == []
    assert callbacks.take_due(later(60), later(90), 10) == ["a" * 32]


def test_who_lets_go_says_when_to_look_next(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    lease = callbacks.hold("a" * 32, "one", NOW, later(60))
    assert lease is not None

    assert callbacks.release(lease, later(5))
    assert callbacks.take_due(later(5), later(30), 10) == ["a" * 32]

    again = callbacks.hold("a" * 32, "two", later(5), later(65))
    assert again is not None
    assert callbacks.release(again, None)
    assert callbacks.take_due(later(10_000), later(10_030), 10) == []


def test_the_notices_that_are_owed_are_found_and_settled_each_for_itself(callbacks: CallbackStore) -> None:
    for callback_id in ("a" * 32, "b" * 32, "c" * 32):
        callbacks.add(make_callback(callback_id))
    callbacks.change("a" * 32, {"owed_notice": NoticeKind.FAILING, "warned_at": NOW})
    callbacks.change("b" * 32, {"owed_notice": NoticeKind.DISABLED})

    owing = {each.callback_id: each for each in callbacks.owing_notice(9)}
    assert {name: each.owed_notice for name, each in owing.items()} == {
        "a" * 32: NoticeKind.FAILING,
        "b" * 32: NoticeKind.DISABLED,
    }
    assert len(callbacks.owing_notice(1)) == 1

    callbacks.change("a" * 32, {"owed_notice": NoticeKind.DISABLED})
    callbacks.settle_notice(owing["a" * 32])
    callbacks.settle_notice(owing["b" * 32])
    callbacks.settle_notice(owing["b" * 32])

    [left] = callbacks.owing_notice(9)
    assert (left.callback_id, left.owed_notice, left.warned_at) == ("a" * 32, NoticeKind.DISABLED, NOW)


def test_who_lets_go_while_events_come_must_look_once_more(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    lease = callbacks.hold("a" * 32, "one", NOW, later(60))
    assert lease is not None

    callbacks.wake(["a" * 32], later(1))

    assert not callbacks.release(lease, None)
    renewed = callbacks.hold("a" * 32, "one", later(1), later(61))
    assert renewed is not None
    assert callbacks.release(renewed, None)


def test_who_has_lost_his_hold_ends_nobody_elses(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    old = callbacks.hold("a" * 32, "one", NOW, later(60))
    assert old is not None
    callbacks.hold("a" * 32, "two", later(60), later(120))

    assert not callbacks.release(old, None)
    assert callbacks.hold("a" * 32, "three", later(61), later(121)) is None


def test_events_do_not_wake_a_callback_before_its_pause_is_over(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback(not_before=later(30)))
    lease = callbacks.hold("a" * 32, "one", NOW, later(60))
    assert lease is not None
    callbacks.release(lease, later(30))

    callbacks.wake(["a" * 32], later(1))

    assert callbacks.take_due(later(29), later(60), 10) == []
    assert callbacks.take_due(later(30), later(60), 10) == ["a" * 32]


def test_the_store_holds_secrets_sealed_alone(indexed_database: Database[dict[str, Any]]) -> None:
    _mongo_store(indexed_database).add(make_callback())

    assert SECRET not in str(indexed_database["callbacks"].find_one())
    without_its_key = _mongo_store(indexed_database, "another key for tests").get("a" * 32)
    assert without_its_key is not None
    assert [secret.value for secret in without_its_key.secrets] == [None]
    assert without_its_key.signing_secrets(NOW) == []


def test_a_new_key_before_the_old_one_reads_what_the_old_one_sealed() -> None:
    old, both = SecretSealer(["the old key"]), SecretSealer(["the new key", "the old key"])

    assert both.open(old.seal(SECRET)) == SECRET
    assert both.open(both.seal(SECRET)) == SECRET


def test_a_change_that_goes_by_what_was_known_gives_way_to_a_later_one(callbacks: CallbackStore) -> None:
    callbacks.add(make_callback())
    callbacks.change("a" * 32, {"url": "https://other.example/", "updated_at": later(1)})

    assert callbacks.change("a" * 32, {"failures": 7}, updated_at=NOW) is None
    kept = callbacks.get("a" * 32)
    assert kept is not None
    assert (kept.url, kept.failures) == ("https://other.example/", 0)
    changed = callbacks.change("a" * 32, {"failures": 7}, updated_at=later(1))
    assert changed is not None
    assert changed.failures == 7


# --- deliveries -------------------------------------------------------------------------------------------------------

TRY = CallbackTry(later(1), 84, 503, "http_503", "deploying")


def test_a_delivery_comes_back_with_its_tries(deliveries: CallbackDeliveryStore) -> None:
    delivery = make_delivery()
    deliveries.add([delivery])
    deliveries.add([replace(delivery, type="notification.failed")])

    after = replace(delivery, due_at=later(5), tried=1, begun_at=later(1))
    deliveries.record([(after, TRY)])

    assert deliveries.get(delivery.callback_id, "event.1") == replace(after, tries=(TRY,))
    assert deliveries.due(delivery.callback_id, later(4), 10) == []
    assert [each.event_id for each in deliveries.due(delivery.callback_id, later(5), 10)] == ["event.1"]
    assert deliveries.next_due_at(delivery.callback_id) == later(5)


def test_what_is_delivered_is_not_due(deliveries: CallbackDeliveryStore) -> None:
    delivery = make_delivery()
    deliveries.add([delivery, make_delivery("event.2", due_at=later(9))])

    deliveries.record([(replace(delivery, state=DeliveryState.DELIVERED, due_at=None, tried=1), TRY)])

    assert deliveries.due(delivery.callback_id, later(1), 10) == []
    assert deliveries.next_due_at(delivery.callback_id) == later(9)
    assert deliveries.next_due_at("b" * 32) is None


def test_those_due_longest_come_first(deliveries: CallbackDeliveryStore) -> None:
    due: list[datetime] = [later(3), later(1), later(2)]
    deliveries.add([make_delivery(f"event.{number}", due_at=at) for number, at in enumerate(due)])
    deliveries.add([make_delivery("another", "b" * 32, due_at=NOW)])

    assert [each.event_id for each in deliveries.due("a" * 32, later(9), 2)] == ["event.1", "event.2"]


def test_no_more_than_the_last_tries_are_kept(deliveries: CallbackDeliveryStore) -> None:
    delivery = make_delivery()
    deliveries.add([delivery])
    for number in range(TRIES_KEPT + 3):
        deliveries.record([(replace(delivery, tried=number + 1), replace(TRY, duration_ms=number))])

    found = deliveries.get(delivery.callback_id, "event.1")
    assert found is not None
    assert [each.duration_ms for each in found.tries] == list(range(3, TRIES_KEPT + 3))


def test_a_list_is_newest_first_and_may_be_of_one_state(deliveries: CallbackDeliveryStore) -> None:
    deliveries.add(
        [
            make_delivery(f"event.{number}", created_at=later(number), state=state)
            for number, state in enumerate([DeliveryState.FAILED, DeliveryState.PENDING, DeliveryState.FAILED])
        ]
    )

    def found(**options: Any) -> list[str]:
        return [each.event_id for each in deliveries.search("a" * 32, 10, **options)]

    assert found() == ["event.2", "event.1", "event.0"]
    assert found(state=DeliveryState.FAILED) == ["event.2", "event.0"]
    assert found(before=later(2)) == ["event.1", "event.0"]


def test_what_is_sent_again_has_the_whole_schedule_before_it(deliveries: CallbackDeliveryStore) -> None:
    done = make_delivery("event.1", state=DeliveryState.DELIVERED, due_at=None, tried=3)
    failed = make_delivery("event.2", state=DeliveryState.FAILED, due_at=None, tried=11)
    deliveries.add([done, failed])

    both = ["event.1", "event.2", "unknown"]
    assert deliveries.send_again("a" * 32, both, later(60), only_undelivered=True) == 1

    again = deliveries.get("a" * 32, "event.2")
    assert again == replace(failed, state=DeliveryState.PENDING, due_at=later(60), begun_at=later(60), tried=0)
    assert deliveries.get("a" * 32, "event.1") == done
    assert deliveries.send_again("a" * 32, both, later(61), only_undelivered=False) == 2


def test_a_try_of_a_delivery_that_was_begun_anew_meanwhile_changes_nothing(deliveries: CallbackDeliveryStore) -> None:
    delivery = make_delivery(tried=10)
    deliveries.add([delivery])
    deliveries.send_again("a" * 32, ["event.1"], later(60), only_undelivered=False)

    deliveries.record([(replace(delivery, state=DeliveryState.FAILED, due_at=None, tried=11), TRY)])

    assert [each.event_id for each in deliveries.due("a" * 32, later(60), 10)] == ["event.1"]


def test_what_is_pending_begins_anew_and_what_is_done_does_not(deliveries: CallbackDeliveryStore) -> None:
    done = make_delivery("event.1", state=DeliveryState.FAILED, due_at=None, tried=11)
    other = make_delivery("event.3", "b" * 32, tried=2)
    deliveries.add([done, make_delivery("event.2", due_at=later(500), tried=4), other])

    deliveries.begin_anew("a" * 32, later(60))

    assert deliveries.get("a" * 32, "event.2") == make_delivery("event.2", due_at=later(60), begun_at=later(60))
    assert deliveries.get("a" * 32, "event.1") == done
    assert deliveries.get("b" * 32, "event.3") == other


def test_a_list_is_read_page_by_page_though_all_were_added_at_one_time(deliveries: CallbackDeliveryStore) -> None:
    times = [NOW, later(1), later(1), later(1), later(1), later(2)]
    deliveries.add([make_delivery(f"event.{number}", created_at=at) for number, at in enumerate(times)])
    seen: list[CallbackDelivery] = []

    while page := deliveries.search(
        "a" * 32,
        2,
        before=seen[-1].created_at if seen else None,
        before_event=seen[-1].event_id if seen else None,
    ):
        seen += page

    assert [each.event_id for each in seen] == [f"event.{number}" for number in reversed(range(6))]


def test_an_entry_about_a_callback_stands_in_the_audit(database: Database[dict[str, Any]]) -> None:
    audit = MongoAuditLog(database)
    event = CallbackEvent(
        event_id="e-1",
        action=CallbackAction.CHANGE,
        actor="key k-1",
        at=NOW,
        client="acme",
        callback_id="a" * 32,
        details={"changed": ["url"], "origin": "https://shop.example"},
    )
    audit.record_callback_event(event)
    audit.record_callback_event(event)

    [entry] = audit.newest(action="change_callback", limit=10)

    assert (entry["operator"], entry["client"], entry["callbackId"]) == ("key k-1", "acme", "a" * 32)
    assert (entry["changed"], entry["origin"]) == (["url"], "https://shop.example")
