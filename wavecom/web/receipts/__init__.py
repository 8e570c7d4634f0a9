"""``/receipts/<name of a provider>``: where providers report what became of messages, and what people write.

A 2xx means that everything reported is durable; anything else, and the provider reports again. What is not signed by
the provider is 401 and leaves nothing behind. What is signed and can't be read is kept raw, counted, and answered 200:
to repeat it would not make it readable.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from wavecom import receipt_metrics
from wavecom.core.ports import Clock
from wavecom.core.receipt_processing import ReceiptReport
from wavecom.core.receipts import ReceiptBatch, ReceiptRequest, SignatureError, UnreadableReceiptError
from wavecom.errors import UnavailableError, WrongSignatureError
from wavecom.providers.receipts import ReceiptReader
from wavecom.services.receipts import ReceiptServices
from wavecom.web.security import RECEIPTS, WRONG_SIGNATURE, SecurityEvents

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = structlog.get_logger()

PATH: Final = "/receipts/"
ROUTE: Final = f"{PATH}<name>"
#: Of an answer without a body: the text of an answer to Twilio would be sent as a reply.
CONTENT_TYPE: Final = "text/plain"
#: Longer bodies are refused unread. Batches of a thousand events take about one MiB.
BODY_LIMIT_BYTES: Final = 4 * 1024 * 1024

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class ReceiptEndpoint:
    """Answers providers. ``public_url`` is what the world calls this deployment; None: what the request says."""

    def __init__(self, services: ReceiptServices, events: SecurityEvents, clock: Clock, public_url: str | None) -> None:
        self._services = services
        self._events = events
        self._clock = clock
        self._public_url = public_url

    def receive(self, name: str) -> Response:
        """Answer the current request.

        Raises ``NotFound``, ``MethodNotAllowed``, ``WrongSignatureError`` and, where it is to come again,
        ``UnavailableError``.
        """
        reader = self._services.readers.get(name)
        if reader is None:
            raise NotFound
        if request.method not in reader.methods:
            raise MethodNotAllowed(sorted(reader.methods))
        request.max_content_length = BODY_LIMIT_BYTES
        received = self._received(request.environ, name, request.get_data(cache=False))
        self._verify(name, reader, received)
        batch = self._read(name, reader, received)
        if batch.one_time_token and not self._services.tokens.belongs_to(name, batch.one_time_token, received):
            self._refuse(name, "its token came with another content before")
        if batch.unreadable:
            self._services.unreadable.keep(name, received)
            receipt_metrics.UNREADABLE.labels(name).inc(batch.unreadable)
        if batch.confirm_url is not None:
            self._confirm(name, batch.confirm_url)
        if batch.receipts or batch.inbound:
            self._services.submit(ReceiptReport(provider=name, batch=batch))
            receipt_metrics.INBOUND.labels(name).inc(len(batch.inbound))
        return Response(status=200, content_type=CONTENT_TYPE)

    def plain_report(self, environ: WSGIEnvironment, name: str, body: bytes) -> ReceiptReport | None:
        """What the request reports, where it is signed rightly and there is nothing more to do than to apply receipts.

        None, or any error: it is to be received by ``receive``. Nothing has been done then. ``name`` is a provider's.
        """
        reader = self._services.readers[name]
        received = self._received(environ, name, body)
        reader.verify(received)
        batch = reader.read(received)
        if batch.inbound or batch.unreadable or batch.confirm_url is not None or batch.one_time_token:
            return None
        return ReceiptReport(provider=name, batch=batch)

    def _received(self, environ: WSGIEnvironment, name: str, body: bytes) -> ReceiptRequest:
        return as_received(environ, f"{PATH}{name}", body, self._public_url, self._clock.now())

    def _verify(self, name: str, reader: ReceiptReader, received: ReceiptRequest) -> None:
        try:
            reader.verify(received)
        except SignatureError as error:
            self._refuse(name, str(error))
        except OSError as error:
            # What proves the signature (a certificate of SNS) can't be had now.
            log.warning("receipt_not_verified", provider=name, error=type(error).__name__)
            raise UnavailableError("the signature could not be verified") from error
        except Exception as error:  # noqa: BLE001 - logged, as often as strangers' requests are
            # A bug on bytes that anybody may send: they are not believed, and cost no 5xx.
            self._refuse(name, "it could not be verified", error)

    def _refuse(self, name: str, reason: str, bug: Exception | None = None) -> None:
        receipt_metrics.REFUSED.labels(name).inc()
        self._events.refused(RECEIPTS, WRONG_SIGNATURE, request.remote_addr or "", bug=bug)
        log.debug("receipt_refused", provider=name, reason=reason)
        raise WrongSignatureError("the receipt is not signed by its provider")

    def _read(self, name: str, reader: ReceiptReader, received: ReceiptRequest) -> ReceiptBatch:
        try:
            return reader.read(received)
        except UnreadableReceiptError as error:
            log.warning("receipt_unreadable", provider=name, reason=str(error))
            return ReceiptBatch(unreadable=1, one_time_token=error.one_time_token)
        except Exception:
            log.exception("receipt_unreadable", provider=name)
            return ReceiptBatch(unreadable=1)

    def _confirm(self, name: str, url: str) -> None:
        try:
            self._services.confirm(name, url)
        except OSError as error:
            log.warning("subscription_not_confirmed", provider=name, error=type(error).__name__)
            raise UnavailableError("the subscription could not be confirmed") from error
        log.warning("subscription_confirmed", provider=name)


def as_received(
    environ: WSGIEnvironment, path: str, body: bytes, public_url: str | None, at: datetime
) -> ReceiptRequest:
    """The request as readers know it. ``url``: what the provider has called, so far as it can be told."""
    query = environ.get("QUERY_STRING", "")
    # Nothing in ``path`` needs quotes: it is the address of a provider that there is.
    base = public_url or f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST') or environ['SERVER_NAME']}"
    return ReceiptRequest(
        method=environ["REQUEST_METHOD"],
        url=f"{base}{path}?{query}" if query else f"{base}{path}",
        query=query,
        headers=_headers(environ),
        body=body,
        at=at,
    )


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    # From the environ: to go through werkzeug's view of it takes a tenth of a request.
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
    for name, key in (("content-type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH")):
        if key in environ:
            headers[name] = environ[key]
    return headers


def make_blueprint(endpoint: ReceiptEndpoint) -> Blueprint:
    """The one address, behind no key and no session: the signature is what lets in."""
    blueprint = Blueprint("receipts", __name__)

    @blueprint.route(ROUTE, methods=_METHODS, provide_automatic_options=False)
    def receive(name: str) -> Response:
        return endpoint.receive(name)

    return blueprint
