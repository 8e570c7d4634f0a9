"""One suite for every ``FallbackStore``, and for the events that stand in fallbacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, PAYLOADS, RECIPIENTS, later, make_job_id
from tests.memory_storage import MemoryFallbackEvents, MemoryFallbackStore
from wavecom.core.client_events import RecordedEvents
from wavecom.core.fallback import (
    Fallback,
    FallbackEntry,
    FallbackEvent,
    FallbackStatus,
    FallbackStore,
    NewFallback,
    Step,
)
from wavecom.core.job import RecordedEvent, TemplateUse, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status
from wavecom.errors import InvalidRequestError
from wavecom.storage.mongo.fallbacks import MongoFallbackEvents, MongoFallbackStore

ID = "019ceba1-0000-7000-8000-{:012d}"


def make_fallback(number: int = 1, **more: Any) -> Fallback:
    """A fallback from a push to a text message, accepted at ``NOW``."""
    push = Step(
        type=Channel.PUSH, to=RECIPIENTS[Channel.PUSH], payload=PAYLOADS[Channel.PUSH], wait=timedelta(seconds=30)
    )
    sms = Step(type=Channel.SMS, to=RECIPIENTS[Channel.SMS], payload=PAYLOADS[Channel.SMS])
    new = NewFallback(**({"client": "acme", "steps": (push, sms)} | more))
    return new.accepted(ID.format(number), NOW)


@pytest.fixture(params=["memory", "mongo"])
def stores(request: pytest.FixtureRequest) -> tuple[FallbackStore, RecordedEvents]:
    if request.param == "memory":
        store = MemoryFallbackStore()
        return store, MemoryFallbackEvents(store)
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoFallbackStore(database), MongoFallbackEvents(database)


@pytest.fixture
def store(stores: tuple[FallbackStore, RecordedEvents]) -> FallbackStore:
    return stores[0]


def test_what_is_kept_comes_back_whole(store: FallbackStore) -> None:
    full = make_fallback(
        priority=Priority.HIGH,
        region="eu",
        max_attempts=3,
        on_unknown_outcome=UnknownOutcomePolicy.STOP,
        metadata={"a.b": "$x", "order": 42},
        send_at=later(60),
        expires_at=later(3600),
        idempotency_key="order 42",
        fingerprint="f" * 64,
        created_by="key 1",
    )
    full = replace(full, steps=full.with_step(2, template=TemplateUse("code", 3, "en")), records_events=True)

    store.add(full)
    store.add(full)

    assert store.get(full.fallback_id) == full
    assert store.get(full.fallback_id, "acme") == full


def test_another_clients_is_not_there(store: FallbackStore) -> None:
    store.add(make_fallback())

    assert store.get(ID.format(1), "other") is None
    assert store.get(ID.format(2)) is None


def test_every_change_comes_back(store: FallbackStore) -> None:
    fallback = make_fallback()
    store.add(fallback)
    steps = fallback.with_step(1, job_id=make_job_id())
    moved = replace(fallback, steps=steps)
    moved = moved.changed(
        later(30),
        steps=moved.with_step(2, begun_at=later(30), refused="channel_not_served"),
        status=FallbackStatus.DELIVERED,
        begun=2,
        delivered_step=1,
        may_have_been_sent=True,
        cancelled_by="key 1",
        due_at=None,
        finished_at=later(30),
        purge_at=later(days=30),
        logs=(*fallback.logs, FallbackEntry(later(30), FallbackEvent.STEP_BEGUN, 2, "step 1: it expired", "key 1")),
    )

    assert store.write(moved)

    assert store.get(fallback.fallback_id) == moved


def test_a_write_over_what_somebody_else_has_written_is_none(store: FallbackStore) -> None:
    fallback = make_fallback()
    store.add(fallback)

    assert store.write(fallback.changed(later(1), begun=2))

    assert not store.write(fallback.changed(later(2), status=FallbackStatus.FAILED))
    found = store.get(fallback.fallback_id)
    assert found is not None
    assert (found.begun, found.status) == (2, FallbackStatus.WAITING)


def test_what_was_removed_is_neither_there_nor_written(store: FallbackStore) -> None:
    fallback = make_fallback()
    store.add(fallback)

    store.remove(fallback.fallback_id)
    store.remove(fallback.fallback_id)

    assert store.get(fallback.fallback_id) is None
    assert not store.write(fallback.changed(later(1)))


def test_those_that_are_due_come_longest_due_first(store: FallbackStore) -> None:
    for number, seconds in ((1, 20), (2, 10), (3, 40)):
        store.add(replace(make_fallback(number), due_at=later(seconds)))
    store.add(replace(make_fallback(4), due_at=None))

    assert [each.fallback_id for each in store.due(later(30), 10)] == [ID.format(2), ID.format(1)]
    assert [each.fallback_id for each in store.due(later(30), 1)] == [ID.format(2)]


def test_waking_brings_up_what_waits_and_shuts_out_who_has_read_before(store: FallbackStore) -> None:
    waiting, over = make_fallback(1), replace(make_fallback(2), due_at=None)
    store.add(waiting)
    store.add(over)

    store.wake([waiting.fallback_id, over.fallback_id], later(1))

    assert [each.fallback_id for each in store.due(later(1), 10)] == [waiting.fallback_id]
    assert not store.write(waiting.changed(later(1), due_at=later(30)))
    assert store.get(over.fallback_id) == over


def test_waking_shuts_out_who_has_read_what_is_due_already(store: FallbackStore) -> None:
    fallback = make_fallback()
    store.add(fallback)

    # Somebody looks at it, a minute late, while a job of it ends.
    store.wake([fallback.fallback_id], later(90))

    assert not store.write(fallback.changed(later(90), due_at=later(180)))
    assert [each.due_at for each in store.due(later(90), 10)] == [fallback.due_at]


def test_what_somebody_looks_at_is_found_by_others_later_or_when_it_is_woken(store: FallbackStore) -> None:
    mine, woken, waiting = (replace(make_fallback(number), due_at=later(number)) for number in (1, 2, 9))
    for each in (mine, woken, waiting, replace(make_fallback(4), due_at=None)):
        store.add(each)

    store.lease([ID.format(number) for number in (1, 2, 9, 4)], later(3), later(20))
    store.wake([woken.fallback_id], later(4))

    assert [each.fallback_id for each in store.due(later(8), 10)] == [woken.fallback_id]
    assert [each.fallback_id for each in store.due(later(20), 10)] == [ID.format(number) for number in (2, 9, 1)]
    assert store.write(mine.changed(later(5), due_at=None))


def test_what_no_store_can_hold_is_refused(store: FallbackStore) -> None:
    if isinstance(store, MemoryFallbackStore):
        pytest.skip("it holds anything")
    fallback = make_fallback()

    with pytest.raises(InvalidRequestError, match="/fallback/1/payload"):
        store.add(replace(fallback, steps=fallback.with_step(2, payload={"text": "\ud83d"})))


def test_an_end_is_an_event_until_it_is_settled(stores: tuple[FallbackStore, RecordedEvents]) -> None:
    store, events = stores
    fallback = make_fallback(idempotency_key="order 42", metadata={"order": 42})
    store.add(fallback)
    unconfirmed = fallback.changed(
        later(1), status=FallbackStatus.UNCONFIRMED, event=RecordedEvent(Status.UNCONFIRMED, later(1), 1)
    )
    store.write(unconfirmed)
    assert events.due(NOW, 10) == []

    [first] = events.due(later(1), 10)
    event = RecordedEvent(Status.DELIVERED, later(2), 2, "gateway")
    store.write(
        replace(unconfirmed, event=None).changed(
            later(2), status=FallbackStatus.DELIVERED, begun=2, delivered_step=2, event=event
        )
    )
    events.settle([first])
    [both] = events.due(later(2), 10)
    events.settle([both])

    assert (first.job_id, first.account, first.channel, first.last_version) == (ID.format(1), "acme", Channel.PUSH, 1)
    assert (first.idempotency_key, first.metadata) == ("order 42", {"order": 42})
    assert [each.status for each in both.events] == [Status.UNCONFIRMED, Status.DELIVERED]
    assert (both.channel, both.last_version, both.events[1]) == (Channel.SMS, 2, event)
    assert events.due(later(9), 10) == []


def test_after_a_restore_those_of_before_are_held_and_told_of(
    stores: tuple[FallbackStore, RecordedEvents],
) -> None:
    store, events = stores
    held, over, later_one = make_fallback(1), make_fallback(2), make_fallback(3)
    told, to_come = replace(make_fallback(4), records_events=True), make_fallback(5, send_at=later(600))
    for each in (held, told, to_come, replace(over, status=FallbackStatus.FAILED, due_at=None)):
        store.add(each)
    store.add(replace(later_one, created_at=later(60)))

    counts = [store.hold_restored(later(30), later(90), later(days=30), 1000) for _ in range(2)]

    found = store.get(held.fallback_id)
    assert found is not None
    assert counts == [2, 0]
    # Somebody looks: a receipt may come still.
    assert (found.status, found.may_have_been_sent, found.due_at) == (FallbackStatus.UNCONFIRMED, True, later(90))
    assert (found.finished_at, found.purge_at) == (later(90), later(days=30))
    assert "restored" in str(found.logs[-1].message)
    assert not store.write(held.changed(later(91), begun=2))
    assert [store.get(ID.format(number)).status for number in (2, 3, 5)] == [  # type: ignore[union-attr]
        FallbackStatus.FAILED,
        FallbackStatus.WAITING,
        FallbackStatus.WAITING,
    ]
    assert store.known([held.fallback_id, ID.format(9)]) == {held.fallback_id}
    [unpublished] = events.due(later(90), 10)
    assert (unpublished.job_id, unpublished.last_version) == (told.fallback_id, 1001)
    assert [each.status for each in unpublished.events] == [Status.UNCONFIRMED]


def test_what_can_not_be_read_takes_nobody_s_place(indexed_database: Database[dict[str, Any]]) -> None:
    store, events = MongoFallbackStore(indexed_database), MongoFallbackEvents(indexed_database)
    for number in (1, 2):
        fallback = make_fallback(number)
        store.add(fallback)
        failed = RecordedEvent(Status.FAILED, later(number), 1)
        store.write(fallback.changed(later(number), due_at=later(number), event=failed))
    indexed_database["fallbacks"].update_one({"_id": ID.format(1)}, {"$set": {"type": "pigeon", "status": "lost"}})

    for _ in range(2):
        assert [each.fallback_id for each in store.due(later(9), 1)] == [ID.format(2)]
        assert [each.job_id for each in events.due(later(9), 1)] == [ID.format(2)]
