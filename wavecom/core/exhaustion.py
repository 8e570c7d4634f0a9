"""What it means for a call that something of ours went wrong: it was not begun, or nobody can tell."""

from __future__ import annotations

import errno
from typing import Final

from wavecom.core.job import Outcome, ProviderResult, Scope

#: By which the system says so. Not EADDRNOTAVAIL: a machine without IPv6 says that of every server that has it, and a
#: server that is down for good would be tried for ever.
EXHAUSTED_ERRNOS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.ENOSPC}
)


def is_exhaustion(error: BaseException) -> bool:
    """Whether the machine, or what this process may have of it, has run out: descriptors, memory, threads.

    That passes, and is about no message: what met it is tried again, and is no attempt.
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno in EXHAUSTED_ERRNOS
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def not_begun(error: BaseException) -> ProviderResult:
    """For a call that ended before anything had left, by whatever error."""
    scope = Scope.WORKER if is_exhaustion(error) else None
    return ProviderResult(Outcome.UNAVAILABLE, "not_begun", f"{type(error).__name__} before the call", scope=scope)


def unclear(error: Exception) -> ProviderResult:
    """For a call in the middle of which a bug was met."""
    return ProviderResult(Outcome.UNKNOWN, "call_failed", f"{type(error).__name__} during the call")
