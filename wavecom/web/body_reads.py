"""Which request bodies are awaited at a moment, for whom, for how long, and how many bytes of them are held.

A body costs its peer nothing to hold back, so waiting for one must cost us little, and end. Waiting costs no thread:
the event loop reads (``rsgi.py``), and this module says what it may have under way.

* **A deadline for the whole body**: ``GRACE_SECONDS``, plus a second for each ``LEAST_BYTES_PER_SECOND`` that came.
* **Pools**: each client has one for all of its keys, live and test; callers without a key (the pages' forms) share a
  small one of their own. Nobody can fill another's.
* **A full pool makes room** by giving up the body that has least time left, of the address that has most of them;
  where its bytes are used up, the body that is awaited longest, of the address that has most bytes.
  Honest bodies arrive in milliseconds: those that are given up are those that stall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from wavecom.errors import OverloadedError, RequestTimeoutError, WaveComError

#: Every body may take so long.
GRACE_SECONDS = 30
#: Beyond the grace a body must have come at this rate: 14 MiB may take four minutes.
LEAST_BYTES_PER_SECOND = 64 * 1024

#: Callers without a key. No client is called so.
ANONYMOUS = ""
#: Providers with their receipts, which are strangers until their signature is verified. No client is called so.
RECEIPTS = "receipts:"

_LATE = "The body did not arrive in time: {had} bytes in {seconds:.0f} seconds. Send the request again."
_CROWDED_OUT = (
    "Too many requests from the same sender are waiting for their bodies, and this one has waited longest. "
    "Send the body right after the head of the request."
)
_BYTES_NEEDED = (
    "The bytes of this body, which is not complete yet, were needed for the requests of others. Send it again."
)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How many bodies may be awaited, and how many bytes of bodies held until they are answered."""

    for_client: int
    for_anonymous: int
    in_all: int
    bytes_for_client: int = 128 * 1024 * 1024
    bytes_for_anonymous: int = 32 * 1024 * 1024
    #: Of all receipts: who sends them is known only when they are here, and clients must find room beside them.
    bytes_for_receipts: int = 64 * 1024 * 1024
    bytes_in_all: int = 256 * 1024 * 1024


@dataclass(slots=True, eq=False)
class BodyRead:
    """One body under way. ``cancel`` ends the wait for it; ``refusal`` then says why."""

    pool: str
    address: str
    cancel: Callable[[], object]
    began_at: float
    byte_count: int = 0
    refusal: WaveComError | None = None

    @property
    def deadline(self) -> float:
        """When it must be here, as things are."""
        return self.began_at + GRACE_SECONDS + self.byte_count / LEAST_BYTES_PER_SECOND


@dataclass(slots=True)
class _Pool:
    awaited: set[BodyRead] = field(default_factory=set)
    #: Those that are not released yet: awaited, complete or given up.
    member_count: int = 0
    byte_count: int = 0


class BodyReadLimiter:
    """Admits bodies, and gives up those that are late or in the way of others. For one thread: the event loop's.

    Each body goes through ``begin``, ``grow`` for each part, ``complete`` when it is here, and ``release`` at the end
    of its request, whatever happened before. ``now`` is a monotonic clock.
    """

    def __init__(self, limits: BodyLimits, now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        self._pools: dict[str, _Pool] = {}
        self._awaited_count = 0
        self._byte_count = 0

    def begin(self, pool: str, address: str, cancel: Callable[[], object]) -> BodyRead:
        """Begin to wait for a body of ``pool`` (a client, or ``ANONYMOUS``), whose peer has this ``address``."""
        limits = self._limits
        mine = self._pools.get(pool)
        if mine is None:
            mine = self._pools[pool] = _Pool()
        if len(mine.awaited) >= (limits.for_client if pool else limits.for_anonymous):
            self._give_up(_oldest_of_busiest_address(mine.awaited), RequestTimeoutError(_CROWDED_OUT))
        elif self._awaited_count >= limits.in_all:
            fullest = max(self._pools.values(), key=lambda each: len(each.awaited))
            self._give_up(_oldest_of_busiest_address(fullest.awaited), RequestTimeoutError(_CROWDED_OUT))
        read = BodyRead(pool, address, cancel, self._now())
        mine.awaited.add(read)
        mine.member_count += 1
        self._awaited_count += 1
        return read

    def grow(self, read: BodyRead, byte_count: int) -> None:
        """So many more bytes have come.

        Where there is no room for them, others make it. Raises ``OverloadedError`` where this body is itself the one in
        the way, or all that is held is complete.
        """
        pool = self._pools[read.pool]
        read.byte_count += byte_count
        pool.byte_count += byte_count
        self._byte_count += byte_count
        limits = self._limits
        most = limits.bytes_for_client if read.pool else limits.bytes_for_anonymous
        if read.pool == RECEIPTS:
            most = limits.bytes_for_receipts
        while pool.byte_count > most:
            self._make_room(pool, read)
        while self._byte_count > limits.bytes_in_all:
            self._make_room(max(self._pools.values(), key=lambda each: _bytes_of(each.awaited)), read)

    def complete(self, read: BodyRead) -> None:
        """It is here: its time is not counted any more, its bytes are."""
        pool = self._pools[read.pool]
        if read in pool.awaited:
            pool.awaited.remove(read)
            self._awaited_count -= 1

    def release(self, read: BodyRead) -> None:
        """Its request is over. To be called once."""
        self.complete(read)
        pool = self._pools[read.pool]
        pool.byte_count -= read.byte_count
        self._byte_count -= read.byte_count
        pool.member_count -= 1
        if not pool.member_count:
            del self._pools[read.pool]

    def give_up_late(self) -> bool:
        """Give up every body whose time is over. Returns whether any is still awaited. To be called twice a second."""
        now = self._now()
        late = [read for pool in self._pools.values() for read in pool.awaited if read.deadline <= now]
        for read in late:
            words = _LATE.format(had=read.byte_count, seconds=now - read.began_at)
            self._give_up(read, RequestTimeoutError(words))
        return self._awaited_count > 0

    def _make_room(self, pool: _Pool, read: BodyRead) -> None:
        """Give up a body of the pool for the bytes of ``read``. Raises ``OverloadedError`` where there is no other."""
        chosen = _most_bytes(pool.awaited) if pool.awaited else read
        if chosen is read:
            raise OverloadedError("too many bytes of bodies are held")
        self._give_up(chosen, OverloadedError(_BYTES_NEEDED))

    def _give_up(self, read: BodyRead, refusal: WaveComError) -> None:
        self.complete(read)
        # Its bytes go when its request ends, which is at once.
        self._pools[read.pool].byte_count -= read.byte_count
        self._byte_count -= read.byte_count
        read.byte_count = 0
        read.refusal = refusal
        read.cancel()


def _bytes_of(reads: Collection[BodyRead]) -> int:
    return sum(read.byte_count for read in reads)


def _most_bytes(reads: Collection[BodyRead]) -> BodyRead:
    """Not by its deadline: that is the later the more of a body has come, and who holds most back has the latest."""
    by_address: Counter[str] = Counter()
    for read in reads:
        by_address[read.address] += read.byte_count
    return min(reads, key=lambda read: (-by_address[read.address], read.began_at))


def _oldest_of_busiest_address(reads: Collection[BodyRead]) -> BodyRead:
    by_address = Counter(read.address for read in reads)
    return min(reads, key=lambda read: (-by_address[read.address], read.deadline))
