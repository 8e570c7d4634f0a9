"""From Python's many errors of a network to the few faults that we tell apart."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from wavecom.core.exhaustion import is_exhaustion
from wavecom.providers.transport.port import NotSentError, TransportFault

log = structlog.get_logger()

#: Rows in order of weight: the first whose error stands anywhere in the chain of causes says why.
FaultTable = Sequence[tuple[type[BaseException], TransportFault]]


def fault_of(error: BaseException, table: FaultTable) -> TransportFault:
    """Why the call failed; ``TransportFault.OTHER`` when the table names nothing of it."""
    causes = list(_chain(error))
    for kind, fault in table:
        if any(isinstance(cause, kind) for cause in causes):
            return fault
    return TransportFault.OTHER


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies beneath it, be it as cause, as context or as argument, as urllib3 nests them."""
    while error is not None:
        yield error
        for argument in error.args:
            if isinstance(argument, BaseException):
                yield from _chain(argument)
        reason = getattr(error, "reason", None)
        error = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)


def is_caused_by_exhaustion(error: BaseException) -> bool:
    """Whether somewhere beneath the error this machine ran out of something."""
    return any(is_exhaustion(cause) for cause in _chain(error))


def lacks_descriptors() -> bool:
    """Whether this process can open nothing more. To be asked after an error that might come of that."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return is_exhaustion(error)
    return False


@contextmanager
def not_begun_on_error(exhaustion_errors: type[Exception] | tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Around what comes before the first byte leaves: whatever goes wrong there, the call was not made.

    Descriptors, memory, threads: a machine may run out of any of them, and says so in many ways; a library by its own
    errors ``exhaustion_errors``. Anything else is a bug, which the message would meet again. Raises ``NotSentError``.
    """
    try:
        yield
    except NotSentError:
        raise
    except Exception as error:
        _note(error)
        is_exhausted = is_exhaustion(error) or isinstance(error, exhaustion_errors)
        raise NotSentError(TransportFault.NOT_BEGUN, is_bug=not is_exhausted) from error


_noted_at = float("-inf")
_note_lock = threading.Lock()


def _note(error: Exception) -> None:
    """Once a second: where one call can't begin, hundreds can't."""
    global _noted_at
    with _note_lock:
        now = time.monotonic()
        if now - _noted_at < 1:
            return
        _noted_at = now
    log.error("call_not_begun", error=type(error).__name__, exc_info=error)
