"""Events and callbacks through a whole worker, over real servers, to real receivers.

A receiver that is down, a worker that is killed: nothing is lost, doubles have the same id, and a dead receiver delays
nobody else's events.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from celery import Celery
from pymongo.database import Database
from pytest_celery import CeleryTestSetup
from standardwebhooks.webhooks import Webhook

from tests import peers
from tests.peers import HttpPeer
from tests.ticks import ticks
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.account import SYSTEM_CLIENT
from wavecom.core.callback_administration import CallbackAdministration, NewCallback
from wavecom.core.callbacks import Callback, DeliveryState
from wavecom.core.job import Job
from wavecom.core.states import Status
from wavecom.services.callback_administration import callback_administration_of
from wavecom.settings import Settings
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.keys import MongoKeyStore


class Receiver:
    """A client's endpoint: takes what is signed for it, and notes the ids. ``status`` is what it answers."""

    def __init__(self) -> None:
        self.status = 204
        self.seconds = 0.0
        self.secret: str | None = None
        self.tries: list[str] = []
        self.taken: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.traceparents: list[str | None] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = Webhook(receiver.secret or "").verify(body, dict(self.headers.items()))
                receiver.tries.append(self.headers["webhook-id"])
                receiver.traceparents.append(self.headers["traceparent"])
                time.sleep(receiver.seconds)
                if receiver.status < 300:
                    receiver.ids.append(self.headers["webhook-id"])
                    receiver.taken.append(event)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # the worker was killed in the middle of a call

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    with contextlib.ExitStack() as stack:

        def make() -> Receiver:
            receiver = Receiver()
            stack.callback(receiver.close)
            return receiver

        yield make


@pytest.fixture
def worker_environment(worker_environment: dict[str, str], database: Database[dict[str, Any]]) -> dict[str, str]:
    ensure_indexes(database)
    return worker_environment | {"WAVECOM_CALLBACK_PRIVATE_HOSTS": "127.0.0.1"}


@pytest.fixture
def administration(
    worker_environment: dict[str, str], database: Database[dict[str, Any]], jobs: MongoJobRepository
) -> CallbackAdministration:
    class StoreTime:
        def now(self) -> Any:
            return jobs.now()

        def monotonic(self) -> float:
            return time.monotonic()

    return callback_administration_of(Settings.from_environment(worker_environment), database, StoreTime())


@pytest.fixture
def events_published(celery_setup_app: Celery) -> Iterator[None]:
    """Beat's ticks for events, each second."""

    def send() -> None:
        celery_setup_app.send_task(topology.PUBLISH_EVENTS_TASK, queue=topology.CALLBACKS, expires=5)

    with ticks(send, seconds=1):
        yield


@pytest.fixture
def subscribe(administration: CallbackAdministration) -> Callable[..., Callback]:
    def create(receiver: Receiver | None = None, *, url: str = "", account: str = "acme") -> Callback:
        made = administration.create("key k-1", NewCallback(account=account, url=receiver.url if receiver else url))
        if receiver is not None:
            receiver.secret = made.newest_secret
        return made

    return create


def _ends(receiver: Receiver) -> Counter[str]:
    """How often the end of each job was taken."""
    return Counter(event["data"]["jobId"] for event in receiver.taken if event["type"] == "notification.delivered")


@pytest.mark.usefixtures("events_published")
def test_what_becomes_of_notifications_is_sent_signed_in_versions(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    receivers: Callable[[], Receiver],
    subscribe: Callable[..., Callback],
) -> None:
    receiver = receivers()
    subscribe(receiver)
    live = submit(records_events=True, metadata={"order": "A-42"})
    submit(records_events=False)

    wait_until(lambda: len(receiver.taken) >= 2, "both events")

    assert {event["data"]["jobId"] for event in receiver.taken} == {live.job_id}
    by_version = {event["data"]["version"]: event for event in receiver.taken}
    assert [by_version[version]["type"] for version in (1, 2)] == ["notification.queued", "notification.delivered"]
    assert by_version[2]["data"]["metadata"] == {"order": "A-42"}


@pytest.mark.usefixtures("events_published")
def test_test_accounts_have_events_and_callbacks_of_their_own(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    receivers: Callable[[], Receiver],
    subscribe: Callable[..., Callback],
) -> None:
    live, test = receivers(), receivers()
    subscribe(live)
    subscribe(test, account="acme:test")
    job = submit(records_events=True, client="acme:test")

    wait_until(lambda: _ends(test) == {job.job_id: 1}, "the test account's event")

    assert live.taken == []


@pytest.mark.usefixtures("events_published")
def test_while_a_receiver_is_down_nothing_is_lost_and_nobody_else_waits(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    receivers: Callable[[], Receiver],
    subscribe: Callable[..., Callback],
    administration: CallbackAdministration,
) -> None:
    """One of fifty hangs, and answers 503 later; the others have everything before it has anything."""
    down = receivers()
    others = [receivers() for _ in range(48)]
    with HttpPeer(peers.be_silent) as silent:
        subscribe(url=f"http://127.0.0.1:{silent.port}/")
        broken = subscribe(down)
        down.status = 503
        for other in others:
            subscribe(other)
        submitted = {submit(records_events=True).job_id for _ in range(10)}
        began = time.monotonic()
        wait_until(lambda: all(set(_ends(each)) == submitted for each in others), "all events at the others")
        seconds = time.monotonic() - began

        assert down.taken == []
        assert seconds < 60
        # The client puts it right, and does not wait for the pause to end.
        down.status = 204
        administration.change("key k-1", broken.callback_id, "acme", {"state": broken.state})
        wait_until(lambda: set(_ends(down)) == submitted, "all events at the one that was down")


@pytest.mark.usefixtures("events_published")
def test_a_worker_that_is_killed_while_it_sends_loses_no_event(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    receivers: Callable[[], Receiver],
    subscribe: Callable[..., Callback],
    administration: CallbackAdministration,
    database: Database[dict[str, Any]],
) -> None:
    receiver = receivers()
    receiver.seconds = 1
    callback = subscribe(receiver)
    worker: Any = celery_setup.worker.container
    submitted = {submit(records_events=True).job_id for _ in range(60)}
    # A notification in hand would wait for the sweep, which runs in no worker of this test.
    unfinished = {"status": {"$ne": Status.DELIVERED.value}}
    wait_until(lambda: not database["jobs"].count_documents(unfinished), "the notifications to be delivered")
    wait_until(lambda: len(receiver.tries) > len(receiver.taken), "a call that is under way")

    worker.kill()
    receiver.seconds = 0
    # The hold and the due time of a worker that is gone would take a minute.
    long_ago = {"$set": {"holdUntil": callback.created_at, "dueAt": callback.created_at}}
    database["callbacks"].update_one({"_id": callback.callback_id}, long_ago)
    worker.start()
    worker.ready()

    wait_until(lambda: set(_ends(receiver)) == submitted, "the end of each notification")
    wait_until(
        lambda: not administration.deliveries(callback.callback_id, "acme", 1, state=DeliveryState.PENDING),
        "everything to be recorded",
    )
    assert set(Counter(receiver.ids).values()) <= {1, 2}
    assert not database["jobs"].count_documents({"eventsDueAt": {"$exists": True}, "status": Status.DELIVERED.value})


@pytest.mark.usefixtures("events_published")
def test_a_client_is_told_by_mail_that_its_endpoint_is_called_no_more(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    receivers: Callable[[], Receiver],
    subscribe: Callable[..., Callback],
    database: Database[dict[str, Any]],
) -> None:
    MongoKeyStore(database).set_contact("acme", "platform@acme.example")
    gone = receivers()
    gone.status = 410
    callback = subscribe(gone)
    submit(records_events=True)

    delivered = {"client": SYSTEM_CLIENT, "status": Status.DELIVERED.value}
    wait_until(lambda: database["jobs"].count_documents(delivered), "the notice")

    [notice] = database["jobs"].find({"client": SYSTEM_CLIENT})
    assert notice["to"] == {"email": "platform@acme.example"}
    assert callback.callback_id in notice["payload"]["text"]
    assert not database["callbacks"].count_documents({"owedNotice": {"$exists": True}})
