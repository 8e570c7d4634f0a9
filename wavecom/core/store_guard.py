"""Whether the store is an older copy of itself, as after a restore, and what is held as long as it is (ADR 54).

A number in the store, the heartbeat, grows every few seconds; Redis remembers the latest, and so does each process. A
store whose number is smaller than what is remembered has been put back: its queued notifications may have been sent
since. Nothing is claimed, swept or published then, until ``core.store_recovery`` has held what is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import structlog

from wavecom.core.ports import Clock
from wavecom.errors import StoreError, UnavailableError

log = structlog.get_logger()

#: How often the number grows: what a restore has lost is known to so many seconds.
BEAT_SECONDS: Final = 5.0
#: How often each process compares. Any server that is restored is away for longer, which is noticed first.
CHECK_SECONDS: Final = 1.0
_REMINDER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the store says of its own time. ``store_id`` is drawn when it is first written: an emptied store is another.

    ``number`` counts, ``at`` (aware UTC) is when it grew last.
    """

    store_id: str
    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class RememberedBeat:
    """The latest number of a store that is known elsewhere, and its time."""

    number: int
    at: datetime


class HeartbeatStore(Protocol):
    """The heartbeat, in the store that it is of. Raises ``StoreError``."""

    def read(self) -> Heartbeat | None:
        """As most of the store's members have it; None where there never was one."""
        ...

    def beat(self, known: Heartbeat | None, now: datetime) -> Heartbeat | None:
        """One more than ``known``, or the first one; None when another process was first. Durable when it returns."""
        ...

    def note_older(self, than: RememberedBeat, now: datetime) -> datetime:
        """Note that the store is older ``than`` that; answers when anybody has first noted it."""
        ...

    def recover(self, number: int, now: datetime) -> None:
        """Let it go on from ``number``, because what was in doubt has been held. May be repeated."""
        ...


class HeartbeatMemory(Protocol):
    """The latest heartbeat, kept apart from the store. Raises ``UnavailableError``."""

    def latest(self, store_id: str) -> RememberedBeat | None:
        """None where none was noted."""
        ...

    def note(self, heartbeat: Heartbeat) -> None:
        """Remember it, unless a later one is remembered."""
        ...


def is_older(heartbeat: Heartbeat, remembered: RememberedBeat | None) -> bool:
    """Whether the store has been put back to before what is remembered of it."""
    return remembered is not None and heartbeat.number < remembered.number


def finds_older(store: HeartbeatStore, memory: HeartbeatMemory) -> bool:
    """Whether the store is older than what is remembered of it elsewhere, for who holds nothing himself.

    False where one of the two does not answer: then nobody can tell.
    """
    try:
        heartbeat = store.read()
        return heartbeat is not None and is_older(heartbeat, memory.latest(heartbeat.store_id))
    except UnavailableError:
        return False


class StoreGuard:
    """Compares, and answers for the comparison: one for each process. Thread-safe, as its fields are set as a whole.

    Held is the beginning: what the first comparison has not allowed does not happen. While the store can't be read
    nothing is claimed anyway, and it may be another one when it is back; so it is held until the next comparison.
    Where Redis does not answer, what this process itself has seen is compared.
    """

    def __init__(self, store: HeartbeatStore, memory: HeartbeatMemory, clock: Clock) -> None:
        self._store = store
        self._memory = memory
        self._clock = clock
        self._seen: dict[str, RememberedBeat] = {}
        self._is_older = False
        self._is_known = False
        self._beat_at = float("-inf")
        self._reminded_at = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether nothing may be sent, moved or published."""
        return self._is_older or not self._is_known

    @property
    def is_older(self) -> bool:
        """Whether the store was found to be older than it was."""
        return self._is_older

    def require_current(self) -> None:
        """Raises ``StoreError`` while held: for whoever is about to claim, the store is as good as away."""
        if self.is_held:
            raise StoreError("MongoDB may be an older copy of itself: nothing is sent until that is settled")

    def require_current_and_beat(self) -> None:
        """``beat``, then ``require_current``: for the process that sweeps, before it does."""
        self.beat()
        self.require_current()

    def check(self) -> None:
        """Compare. Never raises: a store that can't be read is held."""
        try:
            self._compare(self._store.read())
        except StoreError:
            self._is_known = False

    def beat(self) -> None:
        """Compare, and let the number grow when it is time; for the process that sweeps. Never raises."""
        try:
            heartbeat = self._store.read()
            self._compare(heartbeat)
            if self._is_older or self._clock.monotonic() - self._beat_at < BEAT_SECONDS:
                return
            grown = self._store.beat(heartbeat, self._clock.now())
            if grown is not None:
                self._beat_at = self._clock.monotonic()
                self._remember(grown)
        except StoreError:
            self._is_known = False

    def _compare(self, heartbeat: Heartbeat | None) -> None:
        was_older, self._is_older = self._is_older, False
        if heartbeat is not None:
            latest = self._latest(heartbeat)
            if is_older(heartbeat, latest):
                self._is_older = True
                self._report(heartbeat, latest)
            elif was_older:
                log.warning("store_recovered", number=heartbeat.number)
        self._is_known = True

    def _latest(self, heartbeat: Heartbeat) -> RememberedBeat:
        try:
            remembered = self._memory.latest(heartbeat.store_id)
        except UnavailableError:
            remembered = None
        seen = self._seen.get(heartbeat.store_id)
        now = RememberedBeat(heartbeat.number, heartbeat.at)
        latest = max(filter(None, (now, remembered, seen)), key=lambda each: each.number)
        self._seen = {heartbeat.store_id: latest}
        return latest

    def _remember(self, heartbeat: Heartbeat) -> None:
        self._seen = {heartbeat.store_id: RememberedBeat(heartbeat.number, heartbeat.at)}
        try:
            self._memory.note(heartbeat)
        except UnavailableError:
            # The next one says the same and more.
            log.debug("heartbeat_not_remembered")

    def _report(self, heartbeat: Heartbeat, latest: RememberedBeat) -> None:
        if self._clock.monotonic() - self._reminded_at < _REMINDER_SECONDS:
            return
        self._reminded_at = self._clock.monotonic()
        log.error(
            "store_older",
            copied_at=heartbeat.at.isoformat(),
            lost_until=latest.at.isoformat(),
            older_since=self._store.note_older(latest, self._clock.now()).isoformat(),
            remedy="wavecom restore",
        )
