"""What every check gets, and how it tells that something can't be reached."""

from __future__ import annotations

import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from wavecom.core.diagnosis import CheckResult
from wavecom.settings import Settings

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisContext:
    """The settings that are checked, this machine's clocks, and whether providers are asked about our account."""

    settings: Settings
    asks_accounts: bool = False
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    monotonic: Callable[[], float] = time.monotonic


#: Gives its results one by one, so that those before an error are kept. May raise what its client library raises.
CheckFunction = Callable[[DiagnosisContext], Iterator[CheckResult]]


def reason_of(error: Exception) -> str:
    """Why something can't be reached, without what an error's own text may hold: addresses with passwords."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def places_of(error: BaseException) -> list[str]:
    """Where an error was raised, outermost first, as ``module:line``: no values, and nothing of its text."""
    return [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)]


def side_by_side(ask: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
    """``ask`` of all ``things`` at once, a thread each; the answers in their order. Raises what ``ask`` raises.

    The threads, unlike those of an executor, keep no command from ending.
    """
    answers: list[Future[R]] = []
    for thing in things:
        answer: Future[R] = Future()
        answers.append(answer)
        threading.Thread(target=_answer, args=(answer, ask, thing), name="doctor", daemon=True).start()
    yield from (answer.result() for answer in answers)


def _answer(answer: Future[R], ask: Callable[[T], R], thing: T) -> None:
    try:
        answer.set_result(ask(thing))
    except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
        answer.set_exception(error)


def shortest_seconds(call: Callable[[], object], monotonic: Callable[[], float], times: int = 3) -> float:
    """How long the quickest of some calls took: what else a machine does at the moment says nothing of a server."""
    taken = []
    for _ in range(times):
        before = monotonic()
        call()
        taken.append(monotonic() - before)
    return min(taken)
