"""The application factory: everything that HTTP reaches, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import structlog
from flask import Flask, request
from flask_pymongo import PyMongo

from wavecom.core.connections import web_pool
from wavecom.services.web import WebServices, web_services
from wavecom.settings import Settings
from wavecom.storage.mongo.client import CLIENT_OPTIONS, default_database
from wavecom.web import (
    api,
    cors,
    dashboard,
    health,
    preferences,
    problems,
    receipts,
    reference,
    security,
    try_it,
    unsubscribe,
)
from wavecom.web.orjson_provider import OrjsonProvider
from wavecom.web.proxies import TrustedProxies
from wavecom.web.receipts import ReceiptEndpoint
from wavecom.web.receipts.fast_path import ReceiptFastPath
from wavecom.web.request_middleware import AllowedHosts, PlainRequests, RequestMiddleware
from wavecom.web.rsgi import RsgiApplication
from wavecom.web.security import SecurityEvents
from wavecom.web.send_fast_path import SendFastPath

if TYPE_CHECKING:
    from pymongo import MongoClient

log = structlog.get_logger()


class WaveComFlask(Flask):
    """Flask that logs bugs as our other lines, and without the request's address: addresses carry recipients.

    Servers of WSGI call it as ever; granian, told ``--interface rsgi``, finds the two names that it looks for.
    """

    rsgi: RsgiApplication

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.rsgi.start(loop)
        self.rsgi.streams.start(loop)
        self.rsgi.long_answers.start(loop)

    @property
    def __rsgi__(self) -> Callable[..., Awaitable[None]]:
        return self.rsgi.serve

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """``func`` itself: no view here is a coroutine, and asking each of them costs more than the routing."""
        return func

    def log_exception(
        self,
        exc_info: tuple[type, BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> None:
        """One line for an exception that nobody expected."""
        log.error("unhandled_error", endpoint=request.endpoint, method=request.method, exc_info=exc_info)


def create_app(settings: Settings, services: WebServices | None = None) -> Flask:
    """The WSGI application. Without ``services`` it makes them, over the MongoDB client of Flask-PyMongo.

    Connects to nothing by itself: servers that are away make requests fail (503), not the start. To be called in the
    process that serves, after any fork.
    """
    app = WaveComFlask("wavecom.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # Else /api//notifications would be led to a page of HTML with the caller's Host in it, and a POST would come twice.
    app.url_map.merge_slashes = False
    if services is None:
        services = web_services(settings, _database(app, settings))
    # After PyMongo, which would let clients write ObjectIds and dates of BSON into their JSON.
    app.json = OrjsonProvider(app)
    # Functions after a request run in the reverse order: this one sees the headers that the middleware has set.
    cors.install(app, settings.cors_origins)
    hosts = AllowedHosts((*settings.allowed_hosts, *_host_of(settings.public_url)))
    middleware = RequestMiddleware(settings.max_requests_in_flight, hosts, shows_traces=settings.traces_url is not None)
    middleware.install(app)
    problems.register(app)
    events = SecurityEvents(services.clock.monotonic)
    security.register(app, events)
    app.register_blueprint(health.make_blueprint(health.Readiness(services.checks), services.providers.statuses))
    app.register_blueprint(reference.make_blueprint())
    app.register_blueprint(unsubscribe.make_blueprint(services.unsubscribe_links, services.suppressions))
    app.register_blueprint(preferences.make_blueprint(services.unsubscribe_links, services.recipients))
    app.register_blueprint(try_it.make_blueprint(api.register(app, services)))
    endpoint = ReceiptEndpoint(services.receipts, events, services.clock, settings.public_url)
    app.register_blueprint(receipts.make_blueprint(endpoint))
    dashboard.register(app, services, events)
    proxies = TrustedProxies(settings.trusted_proxies)
    plain = PlainRequests(middleware, proxies)
    # Flask's own place for what goes before it.
    app.wsgi_app = proxies.before(app.wsgi_app)  # type: ignore[assignment, method-assign]
    app.rsgi = RsgiApplication(
        app.wsgi_app,
        SendFastPath(services, plain, middleware.in_flight),
        ReceiptFastPath(
            endpoint,
            services.receipts,
            plain,
            is_on=settings.fast_paths,
            max_body_bytes=settings.max_body_bytes,
        ),
        services.keys,
        proxies,
        threads=settings.web_threads,
        max_in_flight=settings.max_requests_in_flight,
        max_body_bytes=settings.max_body_bytes,
    )
    return app


def _host_of(url: str | None) -> list[str]:
    host = None if url is None else urlsplit(url).hostname
    return [] if host is None else [host]


def _database(app: Flask, settings: Settings) -> Any:
    mongo = PyMongo()
    mongo.init_app(app, settings.mongodb_uri, maxPoolSize=web_pool(settings.web_threads), **CLIENT_OPTIONS)
    return default_database(cast("MongoClient[dict[str, Any]]", mongo.cx))
