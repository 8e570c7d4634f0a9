"""Many streams of several accounts: none ends or waits for another's."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.web.api.test_event_stream import events_of, streamed_ids
from tests.unit.web.api.test_events import happen
from tests.unit.web.conftest import WebEnvironment
from wavecom.errors import StoreError
from wavecom.web import streams
from wavecom.web.api import event_stream


def stream_at(source: event_stream.EventSource, account: str, position: int) -> streams.EventStream:
    return streams.EventStream(source, "key", event_stream.EventCursor(account, position), lambda: True)


def test_a_client_whose_events_were_deleted_ends_no_stream_but_its_own(environment: WebEnvironment) -> None:
    source = event_stream.EventSource(environment.services.events)
    happened = happen(environment, 2)
    happen(environment, 5, account="globex")
    environment.events.log.purge("globex", 3)
    mine, theirs, their_other = (stream_at(source, *place) for place in (("default", 0), ("globex", 1), ("globex", 4)))

    found = source.look([theirs, mine, their_other])

    assert found[theirs] is None
    assert streamed_ids((found[mine] or b"").decode()) == happened
    assert len(events_of((found[their_other] or b"").decode())) == 1


def test_many_who_are_far_behind_keep_nobody_waiting(environment: WebEnvironment) -> None:
    source = event_stream.EventSource(environment.services.events)
    last = len(happen(environment, 1_000))
    # Each at a place of its own, so that none shares a page.
    replaying = [stream_at(source, "default", position) for position in range(100)]
    live = stream_at(source, "globex", 0)
    everyone = [*replaying, live]
    source.look(everyone)
    happened = happen(environment, account="globex")

    found = source.look(everyone)

    assert streamed_ids((found[live] or b"").decode()) == happened
    # Each of the others has its turn too, and is asked for again without a pause until it has all.
    looks = 0
    while behind := [each for each in replaying if each.cursor.position < last]:
        assert all(each.is_behind for each in behind)
        source.look(everyone)
        looks += 1
        assert looks <= len(replaying)
    assert not any(each.is_behind for each in everyone)


def test_one_who_is_far_behind_is_not_passed_over_for_ever_by_many_who_are_near(environment: WebEnvironment) -> None:
    source = event_stream.EventSource(environment.services.events)
    happen(environment, 300, account="globex")
    far = stream_at(source, "globex", 0)
    accounts = [f"client-{number}" for number in range(100)]
    near = [stream_at(source, account, 0) for account in accounts]
    for _ in range(2):
        for account in accounts:
            happen(environment, account=account)

        source.look([*near, far])

    assert far.cursor.position > 0


def test_a_check_that_fails_ends_the_streams_of_one_owner_and_leaves_those_of_the_others(
    environment: WebEnvironment,
) -> None:
    def stream_of(owner: str, may_go_on: Callable[[], bool]) -> streams.EventStream:
        source = event_stream.EventSource(environment.services.events)
        return streams.EventStream(source, owner, event_stream.EventCursor("default", 0), may_go_on)

    def store_is_away() -> bool:
        raise StoreError("away")

    def has_a_mistake() -> bool:
        raise KeyError("scopes")

    everyone = [
        stream_of("broken", has_a_mistake),
        stream_of("unknown", store_is_away),
        stream_of("revoked", lambda: False),
        stream_of("good", lambda: True),
    ]

    ended = streams.ended_streams(everyone)

    assert [stream.owner for stream in ended] == ["broken", "revoked"]
