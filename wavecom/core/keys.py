"""API keys as they are kept: everything about a key but the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key of one client. Times are aware UTC with millisecond precision."""

    #: What people and logs call it; it says nothing about the key.
    key_id: str
    #: SHA-256 of the key, hexadecimal; the key itself is kept nowhere.
    hash: str = field(repr=False)
    client: str
    scopes: frozenset[str]
    #: Jobs of a key that is not live must never reach a real provider.
    is_live: bool
    created_at: datetime
    name: str = ""
    #: What the key may send; None: what the settings say.
    rate_per_second: float | None = None
    daily_quota: int | None = None
    #: From then on the key is refused; None: never.
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key may be used at ``now``."""
        ends = [at for at in (self.expires_at, self.revoked_at) if at is not None]
        return all(now < at for at in ends)


class KeyStore(Protocol):
    """All keys. Raises ``StoreError`` when the store can't be reached. May be called from several threads at once."""

    def find(self, key_hash: str) -> KeyRecord | None:
        """The record of the key with this hash."""
        ...

    def add(self, record: KeyRecord) -> None:
        """Keep a new key. Adding a hash that is there already changes nothing, so it may be repeated after an error."""
        ...

    def update(self, record: KeyRecord) -> bool:
        """Keep the name, scopes and end of a key; False when there is none with this hash. May be repeated."""
        ...

    def of_client(self, client: str) -> Sequence[KeyRecord]:
        """A client's keys, the newest first, those that are no longer valid included."""
        ...
