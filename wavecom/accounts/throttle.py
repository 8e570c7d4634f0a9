"""How often things may happen that nobody is asked for a secret to cause: wrong secrets, and log lines about them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address


class EventLimiter:
    """At most ``limit`` events of a name at once, and so many again in ``window_seconds``, one after the other.

    A generic cell rate algorithm: one number for each name. Of more than ``capacity`` names those that were counted
    longest ago are forgotten, so that a flood of names costs no more memory. May be used by many threads.
    """

    def __init__(
        self, monotonic: Callable[[], float], *, limit: int, window_seconds: float, capacity: int = 10_000
    ) -> None:
        self._monotonic = monotonic
        self._interval_seconds = window_seconds / limit
        self._tolerance_seconds = window_seconds - self._interval_seconds
        self._capacity = capacity
        self._lock = threading.Lock()
        #: Name → when all that was counted will have been worked off; the one counted longest ago first.
        self._due_at: dict[str, float] = {}

    @property
    def known(self) -> int:
        """How many names it remembers, ``capacity`` at most."""
        return len(self._due_at)

    def count(self, name: str) -> float:
        """Count an event of ``name``: 0, or, without counting it, the seconds until there is room for one more."""
        now = self._monotonic()
        with self._lock:
            due_at = max(self._due_at.pop(name, now), now)
            wait_seconds = due_at - now - self._tolerance_seconds
            # A hair's breadth of tolerance: sums of floats are not exact.
            has_room = wait_seconds <= 1e-6
            self._due_at[name] = due_at + self._interval_seconds if has_room else due_at
            if len(self._due_at) > self._capacity:
                del self._due_at[next(iter(self._due_at))]
        return 0 if has_room else wait_seconds

    def take_back(self, name: str) -> None:
        """Make the last event of ``name`` that was counted not have happened."""
        with self._lock:
            if name in self._due_at:
                self._due_at[name] -= self._interval_seconds

    def wait_seconds(self, name: str) -> float:
        """What ``count`` would answer now; counts nothing."""
        now = self._monotonic()
        with self._lock:
            wait_seconds = self._due_at.get(name, now) - now - self._tolerance_seconds
        return wait_seconds if wait_seconds > 1e-6 else 0


class LoginThrottle:
    """Slows down the guessing of secrets (API keys, the operators' password, Flower's) without ever locking out a right
    one: check the secret first, and ask this only when it was wrong.

    Counted by address, and by the hint of the key where there is one (``keys.hint_of_presented``), so that guessing at
    one key from many addresses is slowed down as well. A right secret takes nothing back: who has a key of his own
    would otherwise guess at others' as fast as he likes. Kept in this process.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        limit: int = 20,
        window_seconds: float = 60,
        capacity: int = 10_000,
    ) -> None:
        self._by_address = EventLimiter(monotonic, limit=limit, window_seconds=window_seconds, capacity=capacity)
        self._by_hint = EventLimiter(monotonic, limit=limit, window_seconds=window_seconds, capacity=capacity)

    def failed(self, address: str, key_hint: str = "") -> float:
        """Count a wrong secret; answers 0 to say so, else the seconds after which it may be tried again (HTTP 429)."""
        waits = [self._by_address.count(network_of(address))]
        if key_hint:
            waits.append(self._by_hint.count(key_hint))
        return max(waits)


def network_of(address: str) -> str:
    """What one party can choose from counts as one address: of IPv6 the network of 64 bits that each site has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
