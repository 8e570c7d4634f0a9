"""An access token that one thread gets for all calls, before they need it and before it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from wavecom.core.job import Reason

log = structlog.get_logger()

#: A new token is got so long before the old one ends, or after three quarters of a shorter life.
MARGIN_SECONDS: Final = 300.0

#: Pauses after a failure: the first, doubled up to the last.
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0

#: A token that was refused is replaced unless it is younger: then it is not the token that is wrong.
YOUNG_SECONDS: Final = 60.0

#: No call takes longer: after that every refusal is one of the new token.
UNDER_WAY_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Token:
    """What the provider gave us, and for how long it is good from now on."""

    value: str = field(repr=False)
    lives_seconds: float


class TokenError(Exception):
    """No token could be had. ``reason`` says that our account is the cause; the text holds no secret."""

    def __init__(self, text: str, reason: Reason | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class RefreshedToken:
    """The token that ``get`` gives, kept fresh by a thread that the first ``wait`` starts. Thread-safe.

    ``get`` raises ``TokenError``. A failure is told to all who wait at that moment, and after a pause tried again;
    meanwhile the old token serves until it ends.
    """

    def __init__(
        self,
        provider: str,
        get: Callable[[], Token],
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        young_seconds: float = YOUNG_SECONDS,
    ) -> None:
        self._provider = provider
        self._get = get
        self._first_pause_seconds = first_pause_seconds
        self._young_seconds = young_seconds
        self._changed = threading.Condition()
        self._value: str | None = None
        self._got_at = 0.0
        self._replaced_at = float("-inf")
        self._ends_at = 0.0
        #: When the thread gets the next one (monotonic).
        self._due_at = 0.0
        self._error: TokenError | None = None
        #: How often ``get`` was called to its end: whoever waits wants to hear of a later one.
        self._rounds = 0
        self._is_closing = False
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> str | None:
        """A token that is good now; None where one must be waited for."""
        value = self._value
        return value if time.monotonic() < self._ends_at else None

    def wait(self, seconds: float) -> str:
        """A token that is good now, got anew where there is none. Raises ``TokenError``, and where no thread can start.

        Right after a failure that failure is told at once: nobody waits for the next try.
        """
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"token-{self._provider}", daemon=True)
                thread.start()
                self._thread = thread
            round_ = self._rounds
            self._changed.wait_for(
                lambda: self.current is not None or self._error is not None or self._rounds > round_, seconds
            )
            if (value := self.current) is not None:
                return value
            raise self._error or TokenError("no access token came in time")

    def refused(self) -> bool:
        """The provider did not take our token: whether another may help. Then it is being replaced.

        Not where the token is young: what is wrong then is not the token. Calls that were under way with the one before
        are refused a little later, so ``UNDER_WAY_SECONDS`` after a replacement nothing is held against the new one.
        """
        now = time.monotonic()
        with self._changed:
            if now - self._replaced_at < UNDER_WAY_SECONDS:
                return True
            if now - self._got_at < self._young_seconds:
                return False
            self._replaced_at = now
            self._value = None
            self._due_at = 0.0
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """End the thread, after the call that it may be making. May be called twice."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def _run(self) -> None:
        pause = self._first_pause_seconds
        while True:
            with self._changed:
                while not self._is_closing and (left := self._due_at - time.monotonic()) > 0:
                    self._changed.wait(left)
                if self._is_closing:
                    return
                self._due_at = float("inf")
            try:
                token = self._get()
            except Exception as error:  # noqa: BLE001 - the thread's border: without it nobody would get a token again
                self._take_failure(error, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._take(token)
                pause = self._first_pause_seconds

    def _take(self, token: Token) -> None:
        now = time.monotonic()
        with self._changed:
            self._value, self._error = token.value, None
            self._got_at, self._ends_at = now, now + token.lives_seconds
            self._due_at = now + max(token.lives_seconds - MARGIN_SECONDS, token.lives_seconds * 0.75)
            self._rounds += 1
            self._changed.notify_all()

    def _take_failure(self, error: Exception, pause: float) -> None:
        if not isinstance(error, TokenError):
            log.error("token_failed", provider=self._provider, exc_info=error)
            error = TokenError(f"{type(error).__name__} while an access token was got")
        else:
            log.warning("token_not_got", provider=self._provider, reason=str(error), again_in_seconds=pause)
        with self._changed:
            self._error = error
            self._due_at = time.monotonic() + pause
            self._rounds += 1
            self._changed.notify_all()
