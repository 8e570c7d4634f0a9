"""``GET /api/events/stream``: what it begins with, and, by granian's protocol, how it goes on and ends."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from tests.factories import make_job_id
from tests.unit.web.api.test_events import happen, ids
from tests.unit.web.conftest import KEY, NOW, WebEnvironment
from tests.unit.web.rsgi_client import StreamConnection, flask_threads, scope_of
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.job import JobId
from wavecom.core.keys import KeyRecord
from wavecom.core.states import Status
from wavecom.web import streams
from wavecom.web.api import event_stream
from wavecom.web.rsgi import RsgiApplication

PATH = "/api/events/stream"
OTHER_KEY = "wc_live_" + "o" * 43


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream, read as the HTML standard says."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if line and line[0] != ":")
        if "data" in fields:
            found.append(orjson.loads(fields["data"]) | {"id": fields["id"], "event": fields["event"]})
    return found


def last_id(text: str) -> str:
    """What a client says that comes again."""
    return re.findall(r"^id: (.+)$", text, re.MULTILINE)[-1]


def streamed_ids(text: str) -> list[str]:
    return [event["eventId"] for event in events_of(text)]


# --- what it begins with ----------------------------------------------------------------------------------------------


def test_it_begins_behind_what_the_client_has_had(environment: WebEnvironment, api: FlaskClient) -> None:
    happened = happen(environment, 5)

    answer = api.get(PATH, headers={"Last-Event-ID": "2"}, query_string={"after": "4"})

    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-store", "no")
    assert answer.text.startswith("retry: 2000\n\n")
    assert streamed_ids(answer.text) == happened[2:]
    assert streamed_ids(api.get(PATH, query_string={"after": "4"}).text) == happened[4:]
    # An event is the same by whatever way it comes.
    [event] = events_of(api.get(PATH, query_string={"after": "4"}).text)
    assert (event.pop("id"), event.pop("event")) == ("5", "notification.queued")
    assert event == api.get("/api/events?after=4").json["items"][0]


def test_who_comes_for_the_first_time_gets_what_happens_next(environment: WebEnvironment, api: FlaskClient) -> None:
    happen(environment, 3)

    first = api.get(PATH).text
    later = happen(environment, 2)

    assert events_of(first) == []
    assert streamed_ids(api.get(PATH, headers={"Last-Event-ID": last_id(first)}).text) == later


def test_one_notifications_stream_has_its_events_alone_and_moves_on_all_the_same(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    job_id = make_job_id()
    [own] = happen(environment, job_id=job_id)
    happen(environment, 3)

    begun = api.get(PATH, query_string={"jobId": job_id, "after": "0"}).text

    assert streamed_ids(begun) == [own]
    # Else who waits for one notification would come again from where the log has been deleted since.
    assert last_id(begun) == "4"


def test_what_was_deleted_is_said_before_anything_is_sent(environment: WebEnvironment, api: FlaskClient) -> None:
    happen(environment, 5)
    environment.events.log.purge("default", 3)

    answer = api.get(PATH, headers={"Last-Event-ID": "1"})

    assert (answer.status_code, answer.json["code"]) == (410, "events_expired")


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "01", "9" * 20])
def test_a_last_event_id_that_no_stream_gave_is_refused_by_its_name(api: FlaskClient, given: str) -> None:
    answer = api.get(PATH, headers={"Last-Event-ID": given})

    assert answer.status_code == 422
    assert answer.json["errors"][0]["header"] == "Last-Event-ID"


def test_asking_for_the_head_opens_nothing(api: FlaskClient) -> None:
    answer = api.head(PATH)

    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/event-stream", b"")


# --- how it goes on ---------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream.EventSource, "period_seconds", 0.01)
    monkeypatch.setattr(streams, "CHECK_SECONDS", 0.02)


class Opened:
    """Streams of an application on an event loop."""

    def __init__(self, environment: WebEnvironment) -> None:
        self.rsgi: RsgiApplication = environment.app.rsgi  # type: ignore[attr-defined]
        self._tasks: list[asyncio.Task[None]] = []

    async def stream(
        self, query: str = "", *, key: str = KEY, method: str = "GET", body: bytes = b"", **headers: str
    ) -> StreamConnection:
        connection = StreamConnection(body)
        self.begin(connection, query, key=key, method=method, **headers)
        await connection.until(lambda _: connection.status_code > 0)
        return connection

    def begin(
        self, connection: StreamConnection, query: str = "", *, key: str = KEY, method: str = "GET", **headers: str
    ) -> asyncio.Task[None]:
        scope = scope_of(method, PATH, {"Authorization": f"Bearer {key}", **headers}, query)
        serving: Any = self.rsgi.serve(scope, connection)  # type: ignore[arg-type]
        task: asyncio.Task[None] = asyncio.create_task(serving)
        self._tasks.append(task)
        return task

    async def are_served(self) -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(*self._tasks)


def on_loop(environment: WebEnvironment, test: Callable[[Opened], Awaitable[None]]) -> None:
    async def main() -> None:
        opened = Opened(environment)
        loop = asyncio.get_running_loop()
        opened.rsgi.start(loop)
        opened.rsgi.streams.start(loop)
        async with asyncio.timeout(30):
            await test(opened)

    asyncio.run(main())


def add_key(environment: WebEnvironment, client: str = "globex") -> KeyRecord:
    record = KeyRecord(
        key_id="other",
        hash=hash_of(OTHER_KEY),
        client=client,
        scopes=frozenset(KeyScope),
        is_live=True,
        created_at=NOW,
    )
    environment.keys.add(record)
    return record


def test_what_happens_is_sent_to_all_who_may_have_it_and_to_nobody_else(environment: WebEnvironment) -> None:
    add_key(environment)
    job_id = make_job_id()

    async def test(opened: Opened) -> None:
        mine, again, one, theirs = (
            await opened.stream(),
            await opened.stream("after=0"),
            await opened.stream(f"jobId={job_id}"),
            await opened.stream(key=OTHER_KEY),
        )
        happened = happen(environment, 2) + happen(environment, job_id=job_id, status=Status.SENT)
        for each in (mine, again):
            assert streamed_ids(await each.until(lambda text: len(events_of(text)) == 3)) == happened
        assert streamed_ids(await one.until(lambda text: bool(events_of(text)))) == happened[2:]
        assert events_of(theirs.text) == []
        for each in (mine, again, one, theirs):
            each.leave()
        await opened.are_served()

    on_loop(environment, test)


def test_who_comes_again_has_missed_nothing_and_gets_nothing_twice(environment: WebEnvironment) -> None:
    async def test(opened: Opened) -> None:
        happened: list[str] = []
        had: list[str] = []
        seen = None
        for round_ in range(4):
            headers = {} if seen is None else {"Last-Event-ID": seen}
            connection = await opened.stream(**headers)
            happened += happen(environment, 700 if round_ == 2 else 3)
            wanted = len(happened) - len(had)
            text = await connection.until(lambda text, wanted=wanted: len(events_of(text)) >= wanted)
            connection.leave()
            had, seen = had + streamed_ids(text), last_id(text)
            # While nobody listens.
            happened += happen(environment, 2)
        assert had == happened[: len(had)]
        assert len(happened) - len(had) == 2
        await opened.are_served()

    on_loop(environment, test)


def test_a_key_that_is_revoked_loses_its_streams(environment: WebEnvironment) -> None:
    record = add_key(environment)

    async def test(opened: Opened) -> None:
        theirs, mine = await opened.stream(key=OTHER_KEY), await opened.stream()
        environment.keys.revoke(record.key_id, NOW)
        environment.services.keys.forget(record)
        async with asyncio.timeout(5):
            while not theirs.has_ended:
                await asyncio.sleep(0.01)
        assert not mine.has_ended
        mine.leave()
        await opened.are_served()

    on_loop(environment, test)


def test_a_key_has_so_many_streams_and_one_that_ends_makes_room(environment: WebEnvironment) -> None:
    async def test(opened: Opened) -> None:
        those = [await opened.stream() for _ in range(event_stream.MOST_EACH)]
        refused = await opened.stream()
        assert (refused.status_code, refused.json["code"]) == (429, "too_many_streams")
        assert int(refused.headers["Retry-After"]) > 0
        those[0].leave()
        await asyncio.sleep(0.1)
        those.append(await opened.stream())
        assert those[-1].status_code == 200
        for each in those:
            each.leave()
        await opened.are_served()

    on_loop(environment, test)


def test_a_get_whose_body_has_come_is_a_stream_as_any_other(environment: WebEnvironment) -> None:
    async def test(opened: Opened) -> None:
        connection = await opened.stream(body=b"{}", **{"Content-Length": "2"})
        happened = happen(environment)
        assert streamed_ids(await connection.until(lambda text: bool(events_of(text)))) == happened
        connection.leave()
        await opened.are_served()

    on_loop(environment, test)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Content-Length": "2"}),
        ("GET", {"Content-Length": "3"}),
        ("GET", {"Content-Length": "70000"}),
        ("GET", {"Content-Length": "9" * 12}),
        ("GET", {"Transfer-Encoding": "chunked"}),
        ("GET", {"Expect": "100-continue", "Content-Length": "2"}),
        ("HEAD", {}),
        ("HEAD", {"Content-Length": "2"}),
        ("OPTIONS", {"Content-Length": "2"}),
    ],
)
def test_whatever_comes_with_a_request_it_is_answered_and_its_place_comes_back(
    environment: WebEnvironment, method: str, headers: dict[str, str]
) -> None:
    async def test(opened: Opened) -> None:
        for _ in range(event_stream.MOST_EACH + 1):
            connection = await opened.stream(method=method, body=b"{}", **headers)
            assert connection.status_code in {200, 204}
            connection.leave()
            await opened.are_served()
        plain = await opened.stream()
        assert plain.status_code == 200
        plain.leave()
        await opened.are_served()

    on_loop(environment, test)


def test_who_still_sends_a_body_gets_the_beginning_and_comes_again(environment: WebEnvironment) -> None:
    happened = happen(environment, 2)

    async def test(opened: Opened) -> None:
        connection = await opened.stream("after=0", **{"Transfer-Encoding": "chunked"})
        await opened.are_served()
        assert connection.has_ended
        assert streamed_ids(connection.text) == happened
        # The rest of the body must not pass for another request.
        assert connection.headers["Connection"] == "close"

    on_loop(environment, test)


def test_a_wait_that_is_called_off_while_the_view_works_costs_no_place(
    environment: WebEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_in_view, may_go_on = threading.Event(), threading.Event()
    log = environment.events.log
    right, answered = log.bounds, flask_threads(environment.app)

    def slow(account: str) -> tuple[int, int]:
        is_in_view.set()
        may_go_on.wait(10)
        return right(account)

    monkeypatch.setattr(log, "bounds", slow)
    monkeypatch.setattr(event_stream.EventSource, "most_each", 1)

    async def test(opened: Opened) -> None:
        serving = opened.begin(StreamConnection())
        while not is_in_view.is_set():
            await asyncio.sleep(0.001)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        may_go_on.set()
        while not answered:
            await asyncio.sleep(0.001)
        while (connection := await opened.stream()).status_code == 429:
            await asyncio.sleep(0.001)
        assert connection.status_code == 200
        connection.leave()

    on_loop(environment, test)


def test_when_the_process_ends_streams_end_so_that_clients_come_again(environment: WebEnvironment) -> None:
    async def test(opened: Opened) -> None:
        connection = await opened.stream()
        opened.rsgi.streams.end()
        await opened.are_served()
        assert connection.has_ended
        refused = await opened.stream()
        assert (refused.status_code, refused.json["code"]) == (503, "overloaded")

    on_loop(environment, test)


def test_silence_is_broken_by_a_comment_and_the_position(
    environment: WebEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    happen(environment, 2)

    async def test(opened: Opened) -> None:
        connection = await opened.stream()
        text = await connection.until(lambda text: text.count(": nothing new\n") >= 2)
        assert (last_id(text), events_of(text)) == ("2", [])
        connection.leave()
        await opened.are_served()

    on_loop(environment, test)


def test_a_stream_ends_when_it_has_been_given_all_that_it_may(
    environment: WebEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_BYTES", 20_000)
    happened = happen(environment, 200)

    async def test(opened: Opened) -> None:
        first = await opened.stream("after=0")
        await opened.are_served()
        had = streamed_ids(first.text)
        second = await opened.stream(**{"Last-Event-ID": last_id(first.text)})
        assert had + streamed_ids(second.text) == happened
        second.leave()

    on_loop(environment, test)


def test_a_store_that_is_away_ends_no_stream(environment: WebEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    from wavecom.errors import StoreError

    log, looked = environment.events.log, []
    right = log.last_positions

    def away(_accounts: Any) -> Any:
        looked.append(1)
        raise StoreError("away")

    async def test(opened: Opened) -> None:
        connection = await opened.stream()
        monkeypatch.setattr(log, "last_positions", away)
        happened = happen(environment)
        while len(looked) < 3:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(log, "last_positions", right)
        assert streamed_ids(await connection.until(lambda text: bool(events_of(text)))) == happened
        connection.leave()
        await opened.are_served()

    on_loop(environment, test)


def test_the_list_and_the_stream_go_on_from_each_other(environment: WebEnvironment, api: FlaskClient) -> None:
    happened = happen(environment, 4)
    page = api.get("/api/events?limit=2").json

    streamed = api.get(PATH, query_string={"after": page["next"]}).text

    assert ids(page) + streamed_ids(streamed) == happened
    assert api.get(f"/api/events?after={last_id(streamed)}").json["items"] == []
    assert JobId(page["items"][0]["data"]["jobId"])
