"""File descriptors: how many this process may have, raised as far as it may raise them itself."""

from __future__ import annotations

import resource


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit of open files to ``wanted``, or to the hard limit if that is lower; returns what holds now.

    The soft limit is low by tradition (often 1,024), for the sake of programs that use ``select``; ours do not. It is
    never lowered. May be called again.
    """
    soft, hard = (_finite(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    reachable = min(wanted, hard)
    if soft >= reachable:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    except (ValueError, OSError):
        # macOS names a hard limit that it does not grant.
        return soft
    return reachable


def _finite(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit
