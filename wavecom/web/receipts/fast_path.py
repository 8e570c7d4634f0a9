"""The fast path for receipts, which come two or three times for each message: no thread of their own, and no Flask.

As with a plain notification (``send_fast_path.py``, ADR 25) the event loop enqueues a request, and the one thread of a
group commit verifies, reads and applies what came at about the same time, with one read of the store and one write.
Nothing is checked in two ways: the readers, the processor and the answer are those of ``ReceiptEndpoint``. What is
refused, can't be read or needs more than that is Flask's, from the beginning; so is what is large (ADR 36).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from wavecom.batching import GroupCommit
from wavecom.core.receipt_processing import ReceiptReport
from wavecom.services.receipts import WINDOW_SECONDS, ReceiptServices
from wavecom.web.receipts import CONTENT_TYPE, PATH, ROUTE, ReceiptEndpoint
from wavecom.web.request_middleware import HANDED_ON, PlainRequests, PlainResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: A hundred small events or so at most: nobody in the same batch waits long for them.
BODY_LIMIT_BYTES: Final = 16 * 1024
#: Reports that share a write. One of a thousand receipts is about as large.
_MOST_TOGETHER: Final = 200


class ReceiptFastPath:
    """Serves plain requests with receipts in batches, each in the form in which WSGI knows it (PEP 3333)."""

    def __init__(
        self,
        endpoint: ReceiptEndpoint,
        services: ReceiptServices,
        plain: PlainRequests,
        *,
        is_on: bool,
        max_body_bytes: int,
    ) -> None:
        self._endpoint = endpoint
        self._services = services
        self._plain = plain
        self._longest_body = min(BODY_LIMIT_BYTES, max_body_bytes) if is_on else -1
        self._paths = {
            f"{PATH}{name}"
            for name, reader in services.readers.items()
            if reader.verifies_alone and "POST" in reader.methods
        }
        self._commit: GroupCommit[tuple[WSGIEnvironment, bytes], PlainResponse | None] = GroupCommit(
            self._serve, max_window_seconds=WINDOW_SECONDS, max_batch=_MOST_TOGETHER, full_batch=_MOST_TOGETHER
        )

    def enqueue(
        self, environ: WSGIEnvironment, body: bytes, on_done: Callable[[PlainResponse | BaseException | None], None]
    ) -> bool:
        """Begin to serve the request whose whole ``body`` is here. ``on_done`` is called in the group commit's thread,
        with None for what is Flask's.

        Returns whether it is served here. Else nothing has been done.
        """
        if len(body) > self._longest_body or environ["PATH_INFO"] not in self._paths or not self._plain.holds(environ):
            return False
        try:
            self._commit.enqueue((environ, body), on_done)
        except RuntimeError:
            # The system gives the group commit no thread now.
            return False
        return True

    def leave(self) -> None:
        """The request that was enqueued has been answered. It held no place among those in flight."""

    def _serve(self, requests: Sequence[tuple[WSGIEnvironment, bytes]]) -> list[PlainResponse | None]:
        """Serve a batch, in the group commit's thread."""
        reports = [self._report(environ, body) for environ, body in requests]
        try:
            self._services.process([report for report in reports if report is not None])
        except Exception as error:  # noqa: BLE001 - handed on to where errors are told apart and logged
            for (environ, _), report in zip(requests, reports, strict=True):
                if report is not None:
                    environ[HANDED_ON] = error
            return [None] * len(requests)
        return [
            None if report is None else self._answer(environ)
            for (environ, _), report in zip(requests, reports, strict=True)
        ]

    def _report(self, environ: WSGIEnvironment, body: bytes) -> ReceiptReport | None:
        try:
            # First: a provider signs the address that it has called, and a proxy knows its scheme.
            self._plain.resolve(environ)
            return self._endpoint.plain_report(environ, environ["PATH_INFO"].removeprefix(PATH), body)
        except Exception:  # noqa: BLE001 - Flask meets the same error, tells it apart and logs it
            return None

    def _answer(self, environ: WSGIEnvironment) -> PlainResponse:
        self._plain.identify(environ)
        return self._plain.answer(environ, 200, b"", route=ROUTE, content_type=CONTENT_TYPE)
