"""Categories of an account's messages: what a recipient may want or not, and how often and when it may come."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from wavecom.core.lanes import Channel
from wavecom.core.local_hours import DailyHours, SendWindow

#: An account has at most so many.
CATEGORIES_LIMIT: Final = 100
#: A change is in force everywhere after so long.
FRESH_SECONDS: Final = 2.0
_ACCOUNTS_LIMIT: Final = 10_000
NAME_PATTERN: Final = "[a-z][a-z0-9-]{0,39}"
NAME_RULE: Final = "1 to 40 small letters, digits and hyphens, a letter first"
_NAME: Final = re.compile(NAME_PATTERN)


class CategoryDefault(StrEnum):
    """What holds for who has chosen nothing."""

    #: It comes, until the recipient says no.
    OPT_OUT = "opt_out"
    #: It does not come, until the recipient says yes.
    OPT_IN = "opt_in"


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most ``count`` messages of the category to one recipient in any span of ``period``, over all channels."""

    count: int
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One kind of messages of an account. ``title`` and ``description`` are for recipients."""

    account: str
    name: str
    title: str
    description: str = ""
    default: CategoryDefault = CategoryDefault.OPT_OUT
    #: What the law or a contract demands: it can't be switched off, and waits for nothing.
    is_required: bool = False
    #: By which it may be sent; empty: by all.
    channels: frozenset[Channel] = frozenset()
    #: Whether a recipient's address has to be verified first.
    needs_verified: bool = False
    #: Whether quiet hours hold for it: the recipient's own, or else these.
    obeys_quiet_hours: bool = True
    quiet_hours: DailyHours | None = None
    windows: tuple[SendWindow, ...] = ()
    #: Of whose recipient no time zone is known.
    time_zone: str = "UTC"
    cap: FrequencyCap | None = None

    def takes(self, channel: Channel) -> bool:
        """Whether it may be sent by this channel."""
        return not self.channels or channel in self.channels


def is_category_name(name: str) -> bool:
    """Whether a category may be called so."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Branding:
    """How an account's preference pages look. ``color`` is ``#rrggbb``; ``logo_text`` stands above them."""

    name: str
    color: str = "#1d4ed8"
    logo_text: str = ""


class CategoryStore(Protocol):
    """All categories. Raises ``StoreError``, for writes ``UncertainWriteError`` too."""

    def put(self, category: Category) -> bool:
        """Keep it, in the place of one of the same name; whether there was none."""
        ...

    def remove(self, account: str, name: str) -> bool:
        """Whether there was one."""
        ...

    def all(self, account: str) -> Sequence[Category]:
        """An account's categories, by name. One read."""
        ...

    def branding(self, account: str) -> Branding | None:
        """How the account's pages look; None: nobody has said."""
        ...

    def put_branding(self, account: str, branding: Branding) -> None:
        """Say it."""
        ...


class CategoryCache:
    """Categories as each process remembers them, for ``FRESH_SECONDS``: one read serves many notifications.

    ``monotonic`` answers seconds. Thread-safe: what two threads read at one time is the same.
    """

    def __init__(self, store: CategoryStore, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Mapping[str, Category]]] = {}

    def of(self, account: str, names: Collection[str] = ()) -> Mapping[str, Category]:
        """The account's categories by name, as they were at most ``FRESH_SECONDS`` ago. Raises ``StoreError``.

        Those of ``names`` that are not among them are not there: they were looked for now, whatever was remembered.
        """
        now = self._monotonic()
        read_at, found = self._known.get(account, (float("-inf"), {}))
        if now - read_at > FRESH_SECONDS or any(name not in found for name in names):
            found = {each.name: each for each in self._store.all(account)}
            if len(self._known) >= _ACCOUNTS_LIMIT:
                self._known.clear()
            self._known[account] = now, found
        return found

    def forget(self, account: str) -> None:
        """Read them again when they are asked for next: they were changed in this process."""
        self._known.pop(account, None)
