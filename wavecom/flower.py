"""Flower with a lock: a password of its own, slow guesses, no remote control unless it is switched on, nothing framed.

And with the truth: how many messages each worker has in hand and has handled, from its heartbeats, because task events
stay off; and every queue from the start, asked of the broker itself.

Flower has no documented way to add any of this but its options, so what is replaced stands here: ``install`` puts
``LockedFlower`` where the command ``celery -A wavecom flower`` takes its application from. Read in flower 2.2.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import flower.command
import orjson
import structlog
from flower.api.tasks import GetQueueLengths
from flower.app import Flower, rewrite_handler
from flower.views.broker import BrokerView
from flower.views.workers import WorkersView
from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler, authenticated

from wavecom import private_files
from wavecom.accounts.throttle import LoginThrottle
from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher
from wavecom.observability import configure_logging
from wavecom.services.shared import delivery_queues_of
from wavecom.settings import Settings
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database

log = structlog.get_logger()

USER = "operator"
PASSWORD_FILE = "flower-password"  # noqa: S105 - the name of a file
#: Reading never changes anything in Flower; all remote control is by POST.
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_HEADERS = {
    "X-Frame-Options": "DENY",
    # Flower's pages hold scripts and styles of their own.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def install() -> None:
    """Have ``celery -A wavecom flower`` start ``LockedFlower``. Raises ``RuntimeError`` for a Flower it can't lock."""
    if not hasattr(flower.command, "Flower"):
        raise RuntimeError("this version of Flower can't be locked; install the one of requirements.lock")
    flower.command.Flower = LockedFlower


def password_of(settings: Settings) -> str:
    """The one that is set, else one that is made on first use and kept in ``home``."""
    if settings.flower_password:
        return settings.flower_password
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return private_files.kept(settings.home / PASSWORD_FILE, private_files.new_secret)


class _SafeHeaders(OutputTransform):
    def __init__(self, request: HTTPServerRequest) -> None:
        self._is_static = request.path.startswith("/static/")

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name, value in _HEADERS.items():
            if not (self._is_static and name == "Cache-Control"):
                headers[name] = value
        return status_code, headers, chunk


class _Refusal(RequestHandler):
    """Answers every method the same."""

    def initialize(self, status: int, text: str, headers: dict[str, str]) -> None:
        self._status, self._text, self._headers_to_set = status, text, headers

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here."""

    def prepare(self) -> None:
        self.set_status(self._status)
        for name, value in self._headers_to_set.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._text}\n")


class LockedFlower(Flower):  # type: ignore[misc]
    """``tornado.web.Application`` of one Flower process."""

    def __init__(self, options: Any = None, capp: Any = None, **kwargs: Any) -> None:
        settings = Settings.from_environment()
        # In place of tornado's own handler, which its options have set up before this.
        configure_logging(settings.log_level, "flower")
        self._password = password_of(settings)
        self._has_control = settings.flower_control
        self._throttle = LoginThrottle(time.monotonic)
        self.queues = QueueTable(settings)
        #: For load balancers and ``wavecom run``; says "OK" and nothing else.
        self._open_path = f"/{options.url_prefix.strip('/')}/healthcheck" if options.url_prefix else "/healthcheck"
        options.basic_auth = [f"{USER}:{self._password}"]
        options.read_only = not settings.flower_control
        if not options.broker_api and settings.rabbitmq_api_url:
            options.broker_api = settings.rabbitmq_api_url
        super().__init__(options=options, capp=capp, **kwargs)
        self.add_transform(_SafeHeaders)
        handlers = [
            (r"/", _Workers),
            (r"/workers", _Workers),
            (r"/broker", _Broker),
            (r"/api/queues/length", _QueueLengths),
        ]
        if options.url_prefix:
            handlers = [rewrite_handler(handler, options.url_prefix) for handler in handlers]
        self.add_handlers(r".*", handlers)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Whoever may not come in, or may not do this, gets to no handler of Flower's."""
        refusal = self._refusal(request)
        if refusal is not None:
            return self.get_handler_delegate(request, _Refusal, refusal)
        return super().find_handler(request, **kwargs)

    def _refusal(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        if request.path == self._open_path:
            return None
        sent = _presented(request)
        if sent is None:
            return _refused(401, f"Log in as {USER} with Flower's password.", {"WWW-Authenticate": _BASIC})
        expected = f"{USER}:{self._password}"
        if not hmac.compare_digest(sent.encode(), expected.encode()):
            return self._refuse_guess(request)
        if request.method not in _READING and not self._has_control:
            return _refused(403, "Flower is read-only here; WAVECOM_FLOWER_CONTROL=true lets it control workers.", {})
        return None

    def _refuse_guess(self, request: HTTPServerRequest) -> dict[str, Any]:
        wait_seconds = self._throttle.failed(request.remote_ip or "", "")
        if not wait_seconds:  # else there would be as many lines as there are guesses
            log.warning("access_refused", surface="flower", reason="wrong_login", address=request.remote_ip)
        else:
            headers = {"Retry-After": str(max(1, round(wait_seconds)))}
            return _refused(429, "Too many wrong passwords; wait before the next.", headers)
        return _refused(401, "This is not Flower's password.", {"WWW-Authenticate": _BASIC})


_BASIC = 'Basic realm="Flower"'


def _refused(status: int, text: str, headers: dict[str, str]) -> dict[str, Any]:
    return {"status": status, "text": text, "headers": headers}


def _presented(request: HTTPServerRequest) -> str | None:
    """User and password as they were sent; None when none were."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(credentials, validate=True).decode()
    except ValueError:
        return ""


class QueueTable:
    """WaveCom's queues as the broker knows them now."""

    def __init__(self, settings: Settings) -> None:
        self._queues = delivery_queues_of(settings, default_database(connect_mongo(settings.mongodb_uri, pool_size=1)))
        self._publisher = AmqpPublisher(settings.amqp, origin=f"flower {settings.worker_name}", queues=self._queues)
        self._api_url = settings.rabbitmq_api_url
        self._vhost = settings.amqp.vhost

    async def rows(self, in_thread: Callable[[Callable[[], Any]], Any]) -> list[dict[str, Any]]:
        """A row for each queue that there is. Ready messages and consumers come from the broker at once; the
        management API, where there is one, adds what it has counted some seconds ago.
        """
        await in_thread(self._queues.try_refresh)
        layout = self._queues.layout
        names = [queue.name for queue in (*topology.delivery_queues(layout), topology.PERIODIC_TASKS, topology.DEAD)]
        told = await self._rows_of_api()
        more = {name: told[name] for name in names if name in told}
        rows = []
        for name in names:
            state = await in_thread(partial(self._publisher.look_at, name))
            if state is not None:
                unacknowledged = more.get(name, {}).get("messages_unacknowledged")
                now = {
                    "name": name,
                    "messages_ready": state.ready,
                    "messages": state.ready + (unacknowledged or 0),
                    "consumers": state.consumers,
                }
                rows.append(more.get(name, {}) | now)
        return rows or list(more.values())

    async def _rows_of_api(self) -> dict[str, dict[str, Any]]:
        if not self._api_url:
            return {}
        client = AsyncHTTPClient(force_instance=True)
        try:
            address, login = _without_login(self._api_url)
            url = f"{address.rstrip('/')}/queues/{quote(self._vhost, safe='')}"
            answer = await client.fetch(HTTPRequest(url, connect_timeout=1, request_timeout=2, **login))
        except (OSError, HTTPError) as error:
            log.warning("management_api_failed", error=type(error).__name__)
            return {}
        finally:
            client.close()
        return {queue["name"]: queue for queue in orjson.loads(answer.body)}


def _without_login(url: str) -> tuple[str, dict[str, Any]]:
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return address, {"auth_username": user, "auth_password": password} if user else {}


class _Workers(WorkersView):  # type: ignore[misc]
    @classmethod
    def _as_dict(cls, worker: Any) -> dict[str, Any]:
        # Its column "Processed" counts events, and there are none.
        info: dict[str, Any] = super()._as_dict(worker)
        return info | {"task-received": worker.processed or 0}


class _Broker(BrokerView):  # type: ignore[misc]
    @authenticated
    async def get(self) -> None:
        app = self.application
        rows = await app.queues.rows(lambda call: app.io_loop.run_in_executor(None, call))
        self.render("broker.html", broker_url=app.broker_uri, queues=rows)


class _QueueLengths(GetQueueLengths):  # type: ignore[misc]
    @authenticated
    async def get(self) -> None:
        app = self.application
        self.write({"active_queues": await app.queues.rows(lambda call: app.io_loop.run_in_executor(None, call))})
