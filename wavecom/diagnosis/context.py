"""What every check gets, and how it tells that something can't be reached."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wavecom.core.diagnosis import CheckResult
from wavecom.settings import Settings


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


def shortest_seconds(call: Callable[[], object], monotonic: Callable[[], float], times: int = 3) -> float:
    """How long the quickest of some calls took: what else a machine does at the moment says nothing of a server."""
    taken = []
    for _ in range(times):
        before = monotonic()
        call()
        taken.append(monotonic() - before)
    return min(taken)
