"""Kinds of command-line values that several commands take."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Final, Protocol, TypeVar

import click

#: A moment, or how long ago it was: only the command knows the time.
When = datetime | timedelta

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = timedelta(days=365 * 50)
_RELATIVE: Final = re.compile(r"(\d{1,6})([smhdw])")


def moment(value: str | When) -> When:
    """ISO 8601 (UTC where it names no zone), or how long ago: ``90s``, ``15m``, ``2h``, ``3d``, ``1w``.

    For ``type=`` of an option. Raises ``click.BadParameter``.
    """
    if not isinstance(value, str):
        return value
    relative = _RELATIVE.fullmatch(value.strip())
    if relative is not None:
        return timedelta(**{_UNITS[relative[2]]: int(relative[1])})
    try:
        exact = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no time; write 2h, 3d or 2026-03-14T09:00:00Z.") from error
    return exact if exact.tzinfo is not None else exact.replace(tzinfo=UTC)


def duration(value: str | timedelta) -> timedelta:
    """A length of time: ``0``, ``90s``, ``15m``, ``24h``, ``7d``. For ``type=``. Raises ``click.BadParameter``."""
    if isinstance(value, timedelta):
        return value
    found = _RELATIVE.fullmatch(value.strip() if value.strip() != "0" else "0s")
    if found is None:
        raise click.BadParameter(f"{value!r} is no length of time; write 0, 90s, 15m, 24h or 7d.")
    return min(timedelta(**{_UNITS[found[2]]: int(found[1])}), _LONGEST)


def at(when: When | None, now: datetime) -> datetime | None:
    """The moment that was meant."""
    if isinstance(when, timedelta):
        return max(now - min(when, _LONGEST), _EPOCH)
    return when


def counted(count: int, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class NamedItem(Protocol):
    """Something that ``--only`` names and ``--list`` lists."""

    @property
    def name(self) -> str:
        """One word."""
        ...


NamedT = TypeVar("NamedT", bound=NamedItem)


def chosen(names: Sequence[str], usual: Sequence[NamedT], unlisted: Sequence[NamedT] = ()) -> list[NamedT]:
    """Those that ``--only`` names, in that order; without a name the usual ones. Raises ``click.BadParameter``."""
    by_name = {each.name: each for each in (*usual, *unlisted)}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise click.BadParameter(f"there is no scenario {', '.join(unknown)}; --list names them", param_hint="--only")
    return [by_name[name] for name in dict.fromkeys(names)] if names else list(usual)


def interrupt_on_termination() -> None:
    """From now on SIGTERM and SIGHUP end the command as Ctrl-C does, so that what it started ends with it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
