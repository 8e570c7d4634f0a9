"""One suite for every ``SuppressionStore``."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemorySuppressionStore
from wavecom.core.lanes import Channel
from wavecom.core.suppressions import (
    ActiveSuppression,
    NewSuppression,
    SuppressionAction,
    SuppressionFilter,
    SuppressionScope,
    SuppressionSource,
    SuppressionState,
    SuppressionStore,
)
from wavecom.storage.mongo.suppressions import MongoSuppressionStore


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> SuppressionStore:
    if request.param == "memory":
        return MemorySuppressionStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    numbers = itertools.count(1)
    return MongoSuppressionStore(database, new_id=lambda: f"{next(numbers):08}-0000-7000-8000-000000000000")


_ALL_UNSPECIFIED = frozenset({"scope", "expires_at"})


def _new(recipient: str = "amina@example.com", **overrides: Any) -> NewSuppression:
    fields: dict[str, Any] = {
        "account": "acme",
        "channel": Channel.EMAIL,
        "recipient": recipient,
        "source": SuppressionSource.MANUAL,
        "scope": SuppressionScope.ALL,
        "by": "key k-1",
        "reason": "asked by phone",
    }
    return NewSuppression(**fields | overrides)


def test_what_is_added_is_in_force_for_that_recipient_of_that_account_alone(store: SuppressionStore) -> None:
    new = _new()
    others = [_new("bela@example.com"), _new(account="acme:test"), _new(channel=Channel.PUSH)]

    [result] = store.add([new], NOW)

    assert (result.is_new, result.is_changed) == (True, True)
    wanted = ActiveSuppression(result.suppression_id, SuppressionSource.MANUAL, SuppressionScope.ALL)
    assert store.active([new.digest, *(other.digest for other in others)], NOW) == {new.digest: [wanted]}
    entry = store.get(result.suppression_id, "acme")
    assert entry is not None
    assert (entry.recipient, entry.scope, entry.reason, entry.by) == (
        new.recipient,
        new.scope,
        "asked by phone",
        "key k-1",
    )
    assert (entry.created_at, entry.updated_at, entry.expires_at, entry.lifted_at) == (NOW, NOW, None, None)
    assert store.get(result.suppression_id, "other") is None


def test_an_addition_that_is_repeated_changes_nothing(store: SuppressionStore) -> None:
    [first] = store.add([_new()], NOW)

    [second] = store.add([_new()], later(60))

    assert (second.suppression_id, second.is_new, second.is_changed) == (first.suppression_id, False, False)
    entry = store.get(first.suppression_id, None)
    assert entry is not None
    assert [event.at for event in entry.history] == [NOW]


def test_people_change_an_entry_and_its_history_tells_so(store: SuppressionStore) -> None:
    [first] = store.add([_new()], NOW)

    [second] = store.add([_new(scope=SuppressionScope.MARKETING, expires_at=later(days=9), by="operator")], later(60))

    assert (second.suppression_id, second.is_new, second.is_changed) == (first.suppression_id, False, True)
    entry = store.get(first.suppression_id, None)
    assert entry is not None
    assert (entry.scope, entry.expires_at, entry.by) == (SuppressionScope.MARKETING, later(days=9), "operator")
    assert [(event.action, event.scope, event.by) for event in entry.history] == [
        (SuppressionAction.ADDED, SuppressionScope.ALL, "key k-1"),
        (SuppressionAction.CHANGED, SuppressionScope.MARKETING, "operator"),
    ]


MARKETING = SuppressionScope.MARKETING


@pytest.mark.parametrize("is_in_one_step", [True, False])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"scope": MARKETING}, {}], (SuppressionScope.ALL, None)),
        ([{}, {"scope": MARKETING}], (SuppressionScope.ALL, None)),
        ([{"expires_at": later(days=9)}, {"expires_at": later(days=2)}], (SuppressionScope.ALL, later(days=9))),
        ([{"expires_at": later(days=9)}, {}], (SuppressionScope.ALL, None)),
        ([{}, {"expires_at": later(days=9)}], (SuppressionScope.ALL, None)),
        (
            [{"expires_at": later(days=9)}, {"unspecified": frozenset({"expires_at"})}],
            (SuppressionScope.ALL, later(days=9)),
        ),
        ([{"scope": MARKETING}, {"unspecified": frozenset({"scope"})}], (MARKETING, None)),
    ],
)
def test_a_list_that_is_read_in_weakens_nothing(
    store: SuppressionStore,
    rows: list[dict[str, Any]],
    expected: tuple[SuppressionScope, datetime | None],
    is_in_one_step: bool,
) -> None:
    additions = [_new(only_widens=True, **row) for row in rows] + [
        _new(only_widens=True, unspecified=_ALL_UNSPECIFIED, reason="")
    ]

    results = store.add(additions, NOW) if is_in_one_step else [store.add([new], NOW)[0] for new in additions]

    assert len({each.suppression_id for each in results}) == 1
    entry = store.get(results[0].suppression_id, None)
    assert entry is not None
    assert ((entry.scope, entry.expires_at), entry.reason) == (expected, "asked by phone")


def test_a_list_that_is_read_in_puts_in_force_again_what_it_says(store: SuppressionStore) -> None:
    [first] = store.add([_new(reason="asked by phone")], NOW)
    store.lift(first.suppression_id, None, by="operator", reason="", now=NOW)

    store.add([_new(scope=MARKETING, only_widens=True, reason="asked again")], later(60))

    entry = store.get(first.suppression_id, None)
    assert entry is not None
    assert (entry.state(later(60)), entry.scope, entry.reason) == (SuppressionState.ACTIVE, MARKETING, "asked again")


def test_each_source_has_an_entry_of_its_own(store: SuppressionStore) -> None:
    stop = _new(source=SuppressionSource.STOP, event_id="p 1")

    [bounce, stopped] = store.add([_new(source=SuppressionSource.BOUNCE), stop], NOW)
    lifted = store.lift_of(
        [stop.digest], SuppressionSource.STOP, by="recipient", reason="START", event_id="p 2", now=later(1)
    )

    assert lifted == 1
    assert [each.suppression_id for each in store.active([stop.digest], later(2))[stop.digest]] == [
        bounce.suppression_id
    ]
    ended = store.get(stopped.suppression_id, None)
    assert ended is not None
    assert ended.state(later(2)) is SuppressionState.LIFTED


def test_an_event_that_comes_again_undoes_nothing(store: SuppressionStore) -> None:
    stop = _new(source=SuppressionSource.STOP, event_id="p 1")
    start: dict[str, Any] = {"by": "recipient", "reason": "START", "event_id": "p 2", "now": later(1)}
    store.add([stop], NOW)
    store.lift_of([stop.digest], SuppressionSource.STOP, **start)

    [again] = store.add([stop], later(2))
    assert not again.is_changed
    assert store.active([stop.digest], later(2)) == {}

    [anew] = store.add([_new(source=SuppressionSource.STOP, event_id="p 3")], later(3))
    assert (anew.suppression_id, anew.is_new) == (again.suppression_id, True)
    assert store.lift_of([stop.digest], SuppressionSource.STOP, **start) == 0
    assert list(store.active([stop.digest], later(4))) == [stop.digest]


def _stop(event_id: str, happened_at: datetime | None) -> NewSuppression:
    return _new(source=SuppressionSource.STOP, event_id=event_id, happened_at=happened_at)


def _start(store: SuppressionStore, stop: NewSuppression, happened_at: datetime, now: datetime) -> int:
    return store.lift_of(
        [stop.digest],
        SuppressionSource.STOP,
        by="recipient",
        reason="START",
        event_id=f"start {happened_at}",
        now=now,
        happened_at=happened_at,
    )


def test_start_that_comes_late_does_not_undo_a_newer_stop(store: SuppressionStore) -> None:
    stop = _stop("p 1", later(10))
    store.add([stop], later(20))

    assert _start(store, stop, later(5), later(30)) == 0
    assert list(store.active([stop.digest], later(31))) == [stop.digest]
    assert _start(store, stop, later(15), later(32)) == 1


def test_stop_that_is_said_again_is_newer_than_a_start_in_between(store: SuppressionStore) -> None:
    stop = _stop("p 1", later(10))
    [added] = store.add([stop], later(11))

    [again] = store.add([_stop("p 2", later(20))], later(21))

    assert (again.suppression_id, again.is_changed) == (added.suppression_id, False)
    assert _start(store, stop, later(15), later(22)) == 0
    assert list(store.active([stop.digest], later(23))) == [stop.digest]


def test_stop_that_comes_late_does_not_undo_a_newer_start(store: SuppressionStore) -> None:
    stop = _stop("p 1", later(10))
    store.add([stop], later(11))
    assert _start(store, stop, later(20), later(21)) == 1

    [late] = store.add([_stop("p 2", later(15))], later(30))
    assert (late.is_changed, store.active([stop.digest], later(31))) == (False, {})

    [newer] = store.add([_stop("p 3", later(25))], later(32))
    assert (newer.is_new, list(store.active([stop.digest], later(33)))) == (True, [stop.digest])


def test_a_start_that_ends_nothing_is_newer_than_a_stop_that_comes_late(store: SuppressionStore) -> None:
    stop = _stop("p 1", later(10))
    store.add([stop], later(11))
    assert _start(store, stop, later(20), later(21)) == 1
    assert _start(store, stop, later(40), later(41)) == 0

    store.add([_stop("p 2", later(30))], later(50))
    assert store.active([stop.digest], later(51)) == {}

    store.add([_stop("p 3", later(45))], later(52))
    assert list(store.active([stop.digest], later(53))) == [stop.digest]


def test_of_two_stops_that_come_together_the_newer_counts(store: SuppressionStore) -> None:
    additions = [_stop("p 1", later(40)), _stop("p 2", later(20))]
    store.add(additions, later(50))

    assert _start(store, additions[0], later(30), later(60)) == 0
    assert _start(store, additions[0], later(45), later(61)) == 1


def test_an_event_of_the_future_is_one_of_now(store: SuppressionStore) -> None:
    stop = _stop("p 1", later(days=400))
    store.add([stop], later(10))

    assert _start(store, stop, later(20), later(21)) == 1


def test_a_repeated_stop_is_no_newer_one(store: SuppressionStore) -> None:
    stop = _stop("p 1", None)
    store.add([stop], later(10))
    assert _start(store, stop, later(20), later(21)) == 1
    store.add([stop], later(60))

    [newer] = store.add([_stop("p 2", later(30))], later(70))

    assert newer.is_new


@pytest.mark.parametrize("is_in_one_step", [True, False])
def test_an_event_that_changed_nothing_undoes_no_lift_either_when_it_comes_again(
    store: SuppressionStore, is_in_one_step: bool
) -> None:
    complaints = [_new(source=SuppressionSource.COMPLAINT, event_id=f"p {number}") for number in range(3)]
    if is_in_one_step:
        result = store.add(complaints, NOW)[-1]
    else:
        result = [store.add([each], NOW)[0] for each in complaints][-1]
    store.lift(result.suppression_id, None, by="operator", reason="", now=later(1))

    for complaint in complaints:
        assert not store.add([complaint], later(2))[0].is_changed

    assert store.active([complaints[0].digest], later(3)) == {}
    [new] = store.add([_new(source=SuppressionSource.COMPLAINT, event_id="p 4")], later(4))
    assert new.is_changed


def test_a_start_that_lifted_nothing_lifts_nothing_when_it_comes_again(store: SuppressionStore) -> None:
    stops = [_new(source=SuppressionSource.STOP, event_id=f"p {number}") for number in range(2)]
    start = {"by": "recipient", "reason": "", "event_id": "p start"}
    [first] = store.add(stops[:1], NOW)
    store.lift(first.suppression_id, None, by="operator", reason="", now=later(1))
    digests = [stops[0].digest]
    assert store.lift_of(digests, SuppressionSource.STOP, **start, now=later(2)) == 0
    store.add(stops[1:], later(3))

    assert store.lift_of(digests, SuppressionSource.STOP, **start, now=later(4)) == 0

    assert len(store.active(digests, later(5))) == 1


def test_of_events_that_change_nothing_an_entry_keeps_a_bounded_number(store: SuppressionStore) -> None:
    additions = [_new(source=SuppressionSource.COMPLAINT, event_id=f"p {number}") for number in range(50)]
    for new in additions:
        store.add([new], NOW)

    entry = store.get(store.add(additions[-1:], NOW)[0].suppression_id, None)

    assert entry is not None
    assert entry.noted_event_ids == tuple(f"p {number}" for number in range(30, 50))
    assert len(entry.history) == 1


def test_what_is_lifted_keeps_its_history_and_comes_back(store: SuppressionStore) -> None:
    [added] = store.add([_new()], NOW)

    lifted = store.lift(added.suppression_id, "acme", by="key k-2", reason="a mistake", now=later(1))
    again = store.lift(added.suppression_id, "acme", by="key k-3", reason="", now=later(2))
    [back] = store.add([_new(reason="no mistake")], later(3))

    assert lifted is not None
    assert lifted.state(later(1)) is SuppressionState.LIFTED
    assert again == lifted
    assert (back.suppression_id, back.is_new) == (added.suppression_id, True)
    entry = store.get(added.suppression_id, None)
    assert entry is not None
    assert entry.state(later(3)) is SuppressionState.ACTIVE
    assert [(event.action, event.by, event.reason, event.at) for event in entry.history] == [
        (SuppressionAction.ADDED, "key k-1", "asked by phone", NOW),
        (SuppressionAction.LIFTED, "key k-2", "a mistake", later(1)),
        (SuppressionAction.ADDED, "key k-1", "no mistake", later(3)),
    ]


def test_nobody_lifts_what_is_anothers(store: SuppressionStore) -> None:
    new = _new()
    [added] = store.add([new], NOW)

    assert store.lift(added.suppression_id, "acme:test", by="key k-9", reason="", now=later(1)) is None
    assert store.lift("00000099-0000-7000-8000-000000000000", None, by="operator", reason="", now=later(1)) is None
    assert list(store.active([new.digest], later(2))) == [new.digest]


def test_an_entry_ends_at_its_time(store: SuppressionStore) -> None:
    new = _new(expires_at=later(60))
    [added] = store.add([new], NOW)

    assert list(store.active([new.digest], later(59.999))) == [new.digest]
    assert store.active([new.digest], later(60)) == {}
    unchanged = store.lift(added.suppression_id, None, by="operator", reason="", now=later(61))
    assert unchanged is not None
    assert unchanged.state(later(61)) is SuppressionState.EXPIRED

    [back] = store.add([_new()], later(62))
    assert back.is_new
    assert list(store.active([new.digest], later(days=999))) == [new.digest]


def test_pages_hold_each_entry_once_the_newest_first(store: SuppressionStore) -> None:
    # Three a millisecond, so that the cursor's tie-breaker is needed.
    for number in range(9):
        store.add([_new(f"person{number}@example.com")], NOW + timedelta(milliseconds=number // 3))
    store.add([_new(account="other")], NOW)

    where = SuppressionFilter(account="acme")
    found, after = [], None
    while True:
        page = store.search(where, 2, after, later(1))
        found += page.entries
        after = page.next
        if after is None:
            break

    assert {entry.recipient for entry in found} == {f"person{number}@example.com" for number in range(9)}
    places = [(entry.created_at, entry.suppression_id) for entry in found]
    assert places == sorted(places, reverse=True)
    assert all(entry.history == () for entry in found)


@pytest.mark.parametrize(
    ("where", "recipients"),
    [
        ({"channel": Channel.SMS}, {"+12025550143"}),
        ({"recipient": "amina@example.com"}, {"amina@example.com"}),
        ({"source": SuppressionSource.BOUNCE}, {"bela@example.com"}),
        ({"scope": SuppressionScope.MARKETING}, {"+12025550143"}),
        ({"state": SuppressionState.ACTIVE}, {"amina@example.com", "+12025550143"}),
        ({"state": SuppressionState.EXPIRED}, {"cleo@example.com"}),
        ({"state": SuppressionState.LIFTED}, {"bela@example.com"}),
        ({"created_since": later(2)}, {"cleo@example.com", "+12025550143"}),
        ({"created_before": later(1)}, {"amina@example.com"}),
        ({"account": "other"}, set()),
    ],
)
def test_a_list_is_narrowed(store: SuppressionStore, where: dict[str, Any], recipients: set[str]) -> None:
    additions = [
        _new(),
        _new("bela@example.com", source=SuppressionSource.BOUNCE),
        _new("cleo@example.com", expires_at=later(60)),
        _new("+12025550143", channel=Channel.SMS, scope=SuppressionScope.MARKETING),
    ]
    results = [store.add([new], later(number))[0] for number, new in enumerate(additions)]
    store.lift(results[1].suppression_id, None, by="operator", reason="", now=later(9))

    page = store.search(SuppressionFilter(**where), 10, None, later(61))

    assert {entry.recipient for entry in page.entries} == recipients


def test_who_keeps_a_copy_finds_what_is_in_force_and_what_was_written_lately(store: SuppressionStore) -> None:
    first, second = _new(), _new("bela@example.com")
    [_, lifted] = store.add([first, second], NOW)
    store.lift(lifted.suppression_id, None, by="operator", reason="", now=later(1))

    found = dict(store.digests())
    assert list(found) == [first.digest]
    latest: datetime = found[first.digest]
    assert list(store.digests(latest)) == [(first.digest, latest)]
    assert list(store.digests(latest + timedelta(milliseconds=1))) == []


def test_many_who_add_the_same_at_once_make_one_entry(store: SuppressionStore) -> None:
    def add(number: int) -> str:
        return store.add([_new(by=f"key {number}")], NOW)[0].suppression_id

    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(add, range(16)))

    assert len(ids) == 1
    entry = store.get(ids.pop(), None)
    assert entry is not None
    assert len(entry.history) == 1
