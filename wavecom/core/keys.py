"""API keys as they are kept: everything about a key but the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from wavecom.core.senders import SenderPolicy


class KeyStatus(StrEnum):
    """Whether a key may be used. The words are part of the published API."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


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
    #: The key's last four characters, to tell keys apart by; "" for one that is too short to give any away.
    hint: str = ""
    #: From then on the key is refused; None: never.
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    #: Id of the key that took this one's place when it was rotated.
    replaced_by: str | None = None
    #: Id of the key whose count this one shares: the first of those that were rotated into it, or that made it; None:
    #: its own.
    counts_as: str | None = None

    @property
    def budget(self) -> str:
        """What its notifications are counted under (``core.quota``)."""
        return self.counts_as or self.key_id

    def is_valid(self, now: datetime) -> bool:
        """Whether the key may be used at ``now``."""
        return self.status(now) is KeyStatus.ACTIVE

    def status(self, now: datetime) -> KeyStatus:
        """How the key stands at ``now``."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return KeyStatus.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyStatus.EXPIRED
        return KeyStatus.ACTIVE


class KeyStore(Protocol):
    """All keys. Raises ``StoreError`` when the store can't be reached. May be called from several threads at once.

    There is no general update: each change is a narrow one, so that none can undo another that came in between.
    """

    def find(self, key_hash: str) -> KeyRecord | None:
        """The record of the key with this hash."""
        ...

    def find_by_id(self, key_id: str) -> KeyRecord | None:
        """The record of the key with this id."""
        ...

    def add(self, record: KeyRecord) -> None:
        """Keep a new key. Adding a hash that is there already changes nothing, so it may be repeated after an error."""
        ...

    def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        """End a key for good and answer it as it is then; None when there is none. The first revocation counts."""
        ...

    def retire(self, key_id: str, at: datetime, replaced_by: str) -> bool:
        """Let a key expire at ``at``, in favour of another one.

        False when there is none, or it is revoked, or another has its place already. May be repeated.
        """
        ...

    def of_client(self, client: str | None) -> Sequence[KeyRecord]:
        """A client's keys, or all (None), the newest first, those that are no longer valid included."""
        ...

    def sender_policy(self, client: str) -> SenderPolicy:
        """As whom a client may send; the usual policy for one of which nothing is kept."""
        ...

    def set_sender_policy(self, client: str, policy: SenderPolicy) -> None:
        """Keep it in place of the client's former one. May be repeated."""
        ...

    def contact(self, client: str) -> str | None:
        """The e-mail address at which a client is told what concerns it as a whole; None: none is known."""
        ...

    def set_contact(self, client: str, email: str | None) -> None:
        """Keep it in place of the former one; None: forget it. May be repeated."""
        ...


class KeyAction(StrEnum):
    """What can be done to a key."""

    CREATE = "create_key"
    ROTATE = "rotate_key"
    REVOKE = "revoke_key"
    ALLOW_SENDERS = "allow_senders"
    SET_CONTACT = "set_contact"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvent:
    """That somebody did something to a key: an entry of the audit."""

    event_id: str
    action: KeyAction
    #: An operator, or ``key <keyId>``.
    actor: str
    at: datetime
    #: Empty for what is about all keys of the client.
    key_id: str
    client: str
    #: What else is worth knowing later; nothing of the key.
    details: Mapping[str, object] = field(default_factory=dict)


class KeyAudit(Protocol):
    """Who did what to which key, kept for good. Raises ``StoreError``."""

    def record_key_event(self, event: KeyEvent) -> None:
        """Write the entry. May be repeated."""
        ...
