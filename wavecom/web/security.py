"""Security events: who was refused, from where and why; in the log and counted, and bounded under a flood.

Every 401 and 403 of the API and of the pages, and every form from another site, passes through here. A line tells the
address, the hint of the key (its last four characters, where what was sent has a key's form; never more of a secret)
and the reason. ``REASONS`` is complete, so that labels of the metric are few.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import structlog
from flask import Flask, Response, g, request
from prometheus_client import Counter

from wavecom.accounts.keyring import hint_of_presented
from wavecom.accounts.throttle import EventLimiter, LoginThrottle, network_of
from wavecom.errors import ForbiddenError, TooManyWrongKeysError, UnauthenticatedError
from wavecom.web import problems

log = structlog.get_logger()

EVENTS = Counter(
    "wavecom_security_events_total",
    "Requests that were refused for who sent them.",
    ["surface", "reason"],
)

API, PAGES, RECEIPTS = "api", "pages", "receipts"

#: Why a request was refused.
NO_KEY, NO_BEARER, UNKNOWN_KEY, EXPIRED_KEY, REVOKED_KEY = (
    "no_key",
    "no_bearer",
    "unknown_key",
    "expired_key",
    "revoked_key",
)
FORBIDDEN, WRONG_LOGIN, FOREIGN_FORM, THROTTLED = "forbidden", "wrong_login", "foreign_form", "throttled"
WRONG_SIGNATURE = "wrong_signature"
REASONS = frozenset(
    {
        NO_KEY,
        NO_BEARER,
        UNKNOWN_KEY,
        EXPIRED_KEY,
        REVOKED_KEY,
        FORBIDDEN,
        WRONG_LOGIN,
        FOREIGN_FORM,
        THROTTLED,
        WRONG_SIGNATURE,
    }
)
#: A secret was sent, and it was wrong: these slow their sender down.
_GUESSES = frozenset({UNKNOWN_KEY, EXPIRED_KEY, REVOKED_KEY, WRONG_LOGIN})

#: Lines that one address may cause in a minute, and all of them together.
LINES_EACH, LINES_IN_ALL = 10, 300


class SecurityEvents:
    """Logs and counts refusals, and slows down those who guess. Thread-safe; one per process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._throttle = LoginThrottle(monotonic)
        self._lines_each = EventLimiter(monotonic, limit=LINES_EACH, window_seconds=60)
        self._lines_in_all = EventLimiter(monotonic, limit=LINES_IN_ALL, window_seconds=60)
        self._lock = threading.Lock()
        self._unlogged = 0

    def refused(
        self,
        surface: str,
        reason: str,
        address: str,
        secret: str = "",
        key_id: str | None = None,
        bug: Exception | None = None,
    ) -> float:
        """Note that a request was refused for ``reason`` (of ``REASONS``, else ``ValueError``); ``secret`` is what it
        sent as a key or password, if anything.

        ``bug`` is why it could not be told whether to refuse it: its trace is logged, bounded like all lines.

        Answers the seconds after which its sender may guess again: 0 to tell it what was wrong, more to tell it to
        wait (429). To be called for wrong secrets only, so that a right one is never kept waiting.
        """
        if reason not in REASONS:
            raise ValueError(f"no reason of REASONS: {reason}")
        hint = hint_of_presented(secret)
        wait_seconds = self._throttle.failed(address, hint) if reason in _GUESSES else 0
        EVENTS.labels(surface, THROTTLED if wait_seconds else reason).inc()
        self._write(surface, reason, address, hint, key_id, bug, is_throttled=wait_seconds > 0)
        return wait_seconds

    def noted(self, surface: str, reason: str, address: str) -> None:
        """Count and log a refusal of ``REASONS`` whose sender somebody else slows down."""
        EVENTS.labels(surface, reason).inc()
        self._write(surface, reason, address, "", None, None, is_throttled=reason == THROTTLED)

    def _write(
        self,
        surface: str,
        reason: str,
        address: str,
        hint: str,
        key_id: str | None,
        bug: Exception | None,
        *,
        is_throttled: bool,
    ) -> None:
        has_room = self._lines_each.count(network_of(address)) == 0 and self._lines_in_all.count("") == 0
        with self._lock:
            if not has_room:
                self._unlogged += 1
                return
            unlogged, self._unlogged = self._unlogged, 0
        fields = {"key_hint": hint or None, "key_id": key_id, "throttled": is_throttled or None, "exc_info": bug}
        told: dict[str, object] = {name: value for name, value in fields.items() if value is not None}
        if unlogged:
            told["unlogged_before"] = unlogged
        log.warning("access_refused", surface=surface, reason=reason, address=address, **told)


def register(app: Flask, events: SecurityEvents) -> None:
    """Note every 401 and 403 that ``app`` answers as a problem; who guesses too much is answered 429."""

    def unauthenticated(error: UnauthenticatedError) -> Response:
        wait_seconds = events.refused(API, error.reason, _address(), _presented(), error.key_id)
        if wait_seconds:
            return problems.answer(TooManyWrongKeysError(math.ceil(wait_seconds)))
        return problems.answer(error)

    def forbidden(error: ForbiddenError) -> Response:
        caller = g.get("caller")
        key_id = error.key_id if caller is None else caller.key_id
        events.refused(API, FORBIDDEN, _address(), _presented(), key_id)
        return problems.answer(error)

    app.register_error_handler(UnauthenticatedError, unauthenticated)
    app.register_error_handler(ForbiddenError, forbidden)


def _address() -> str:
    return request.remote_addr or ""


def _presented() -> str:
    return request.headers.get("Authorization", "").partition(" ")[2].strip()
