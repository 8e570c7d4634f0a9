"""What ``wavecom doctor`` finds, as values, and the rules by which a fact is well, worth a look or wrong. No I/O.

A rule gets what was read and gives one result: what was looked at, how bad it is, what is wrong in words, and the
command that mends it. No rule is told a secret, and none repeats an address with a password.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

#: A call that takes longer than this is felt in every notification's latency.
SLOW_SECONDS: Final = 0.05
#: Clocks that differ by more are worth a look; by more than the second, times shown and signatures are wrong.
NOTABLE_DRIFT_SECONDS: Final = 1.0
WRONG_DRIFT_SECONDS: Final = 60.0
#: Before the end of a certificate: time to have a new one made, and time to drop everything else.
CERTIFICATE_WARNING: Final = timedelta(days=30)
CERTIFICATE_ERROR: Final = timedelta(days=3)
#: Of a disk: parts of it that should be free, and bytes below which a part is not what matters.
DISK_WARNING_SHARE: Final = 0.10
DISK_ERROR_SHARE: Final = 0.02
DISK_ENOUGH_BYTES: Final = 50 * 1024**3


class Severity(StrEnum):
    """How bad a result is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at.

    ``check`` is the name of the check, ``subject`` what of it (a server, a queue, a file), ``text`` what was found and
    ``remedy`` the command that mends it, or that shows more; empty where nothing is to be done.
    """

    check: str
    subject: str
    severity: Severity
    text: str
    remedy: str = ""


def latency(check: str, server: str, seconds: float, remedy: str) -> CheckResult:
    """How long ``server`` took to answer the shortest question. ``remedy`` is the command that shows why."""
    text = f"answers in {seconds * 1000:.1f} ms"
    if seconds <= SLOW_SECONDS:
        return CheckResult(check, server, Severity.OK, text)
    text = f"{text}: every notification waits for that several times"
    return CheckResult(check, server, Severity.WARNING, text, remedy)


def version(check: str, server: str, found: str, oldest: tuple[int, ...]) -> CheckResult:
    """Whether a server's version (``3.10.8``) is at least ``oldest``."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[: len(oldest)])
    if numbers >= oldest:
        return CheckResult(check, server, Severity.OK, f"version {found}")
    wanted = ".".join(map(str, oldest))
    return CheckResult(check, server, Severity.ERROR, f"version {found or 'not told'}; WaveCom needs {wanted} or newer")


def clock(server: str, ahead_seconds: float, uncertainty_seconds: float) -> CheckResult:
    """How far this machine's clock is ahead of a server's, read with an error of at most ``uncertainty_seconds``."""
    certain = max(0.0, abs(ahead_seconds) - uncertainty_seconds)
    way = "ahead of" if ahead_seconds > 0 else "behind"
    text = f"this machine's clock is {abs(ahead_seconds):.3f} s {way} the clock of {server}"
    remedy = "timedatectl set-ntp true"
    if certain <= NOTABLE_DRIFT_SECONDS:
        return CheckResult("clocks", server, Severity.OK, text)
    severity = Severity.WARNING if certain <= WRONG_DRIFT_SECONDS else Severity.ERROR
    return CheckResult("clocks", server, severity, f"{text}; see which of the two is wrong", remedy)


#: What of an index makes it what it is; the rest is bookkeeping of the server.
_INDEX_OPTIONS = ("unique", "sparse", "expireAfterSeconds", "partialFilterExpression")


def indexes(
    collection: str, declared: Iterable[Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> list[CheckResult]:
    """Compare a collection's indexes with what they should be: one result for all that is well, one for each fault.

    ``declared``: as ``createIndexes`` takes them (``name``, ``key``, options). ``found``: name to ``key`` (pairs) and
    options. An index that nobody declared costs every write and answers no question of ours.
    """
    wanted = {each["name"]: each for each in declared}
    missing = [name for name in wanted if name not in found]
    different = [name for name in wanted if name in found and _meaning(found[name]) != _meaning(wanted[name])]
    extra = sorted(set(found) - set(wanted) - {"_id_"})
    results = []
    if missing:
        text = f"lacks {', '.join(missing)}; a web process makes them when it starts"
        results.append(CheckResult("indexes", collection, Severity.ERROR, text, "wavecom start web"))
    for name in different:
        text = f"{name} is not what this release declares; drop it, then start a web process, which makes it anew"
        results.append(CheckResult("indexes", collection, Severity.ERROR, text, _drop(collection, name)))
    for name in extra:
        text = f"{name} is none of ours: it costs every write"
        results.append(CheckResult("indexes", collection, Severity.WARNING, text, _drop(collection, name)))
    return results or [CheckResult("indexes", collection, Severity.OK, f"has its {len(wanted)}")]


def _meaning(index: Mapping[str, Any]) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    keys = index["key"]
    pairs = keys.items() if isinstance(keys, Mapping) else keys
    options = {name: index[name] for name in _INDEX_OPTIONS if index.get(name) not in (None, False)}
    return [(field, int(way)) for field, way in pairs], options


def _drop(collection: str, name: str) -> str:
    return f"""mongosh "$MONGODB_URI" --eval 'db.{collection}.dropIndex("{name}")'"""


def certificate(subject: str, ends_at: datetime, now: datetime) -> CheckResult:
    """Whether a certificate that is valid until ``ends_at`` is near its end. ``subject`` says whose, or which file."""
    left = ends_at - now
    text = f"valid until {ends_at:%Y-%m-%d}"
    if left > CERTIFICATE_WARNING:
        return CheckResult("certificates", subject, Severity.OK, text)
    if left <= timedelta(0):
        return CheckResult("certificates", subject, Severity.ERROR, f"ended on {ends_at:%Y-%m-%d}: put a new one there")
    severity = Severity.WARNING if left > CERTIFICATE_ERROR else Severity.ERROR
    days = f"{left.days} days" if left.days != 1 else "1 day"
    return CheckResult("certificates", subject, severity, f"{text}, {days} from now: put a new one there")


def disk(subject: str, free_bytes: int, total_bytes: int, remedy: str) -> CheckResult:
    """Whether a file system has room. ``remedy`` is the command that shows what takes it."""
    share = free_bytes / max(1, total_bytes)
    text = f"{free_bytes / 1024**3:.1f} GiB free of {total_bytes / 1024**3:.1f} GiB"
    if share >= DISK_WARNING_SHARE or free_bytes >= DISK_ENOUGH_BYTES:
        return CheckResult("disk", subject, Severity.OK, text)
    severity = Severity.WARNING if share >= DISK_ERROR_SHARE else Severity.ERROR
    return CheckResult("disk", subject, severity, text, remedy)


def consumers(queue: str, count: int, waiting: int, process: str) -> CheckResult:
    """Whether anybody consumes ``queue``, which ``process`` of the Procfile should."""
    if count:
        return CheckResult(
            "queues", queue, Severity.OK, f"arguments as declared, {count} consumers, {waiting} messages wait"
        )
    text = f"nobody consumes it, {waiting} messages wait"
    return CheckResult("queues", queue, Severity.ERROR, text, f"wavecom start {process}")


def unknown_variables(names: Iterable[str], known: Collection[str]) -> list[CheckResult]:
    """Variables of the environment that look like settings and are none: most often a slip of the pen."""
    return [
        CheckResult("settings", name, Severity.WARNING, "is no setting of WaveCom: nothing reads it", f"unset {name}")
        for name in sorted(names)
        if name.startswith("WAVECOM_") and name not in known
    ]


def worst(results: Sequence[CheckResult]) -> Severity:
    """The severity of the worst; ``OK`` of none."""
    order = list(Severity)
    return max((each.severity for each in results), key=order.index, default=Severity.OK)
