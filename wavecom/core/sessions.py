"""Sessions of the pages as they are kept: everything about a session but its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """One login to the pages. Times are aware UTC with millisecond precision."""

    #: What people and logs call it; it says nothing about the token.
    session_id: str
    #: SHA-256 of the token, hexadecimal; the token itself is only in the browser's cookie.
    token_hash: str = field(repr=False)
    #: Who is logged in: ``operator``, ``user <name>`` or ``key <keyId>``.
    viewer: str
    opened_at: datetime
    last_seen_at: datetime
    #: From then on it is over, however busy.
    expires_at: datetime
    #: The key that opened it; None for people.
    key_id: str | None = None
    #: Changes with the password (the operators', or the user's own), so that sessions end with it; None for a key's.
    password_mark: str | None = field(default=None, repr=False)
    address: str = ""
    browser: str = ""
    #: Of a single sign-on: what the provider calls its own session (``sid``), for its back-channel logout.
    provider_session: str | None = field(default=None, repr=False)
    #: Of a single sign-on: the provider's ID token, for the logout, encrypted under the session's own token.
    sealed_id_token: bytes | None = field(default=None, repr=False)


class SessionStore(Protocol):
    """All sessions. Raises ``StoreError`` when the store can't be reached. May be called from several threads."""

    def add(self, record: SessionRecord) -> None:
        """Keep a new session. May be repeated."""
        ...

    def end_oldest(self, viewer: str, keep: int) -> None:
        """End the oldest sessions of a viewer, but for ``keep`` of them."""
        ...

    def find(self, token_hash: str) -> SessionRecord | None:
        """The session with this token, ended ones never."""
        ...

    def touch(self, session_id: str, at: datetime) -> None:
        """Note that somebody is there; nothing for a session that has ended meanwhile."""
        ...

    def end(self, session_id: str) -> bool:
        """End a session for good; False when there is none. May be repeated."""
        ...

    def end_of_key(self, key_id: str) -> int:
        """End all sessions that a key has opened; how many there were."""
        ...

    def end_all(self) -> int:
        """End every session; how many there were."""
        ...

    def all(self) -> Sequence[SessionRecord]:
        """Every session that nobody has ended, the newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBegun:
    """That somebody signed in, in whatever way: an entry of the audit."""

    event_id: str
    #: Who is signed in then: ``operator``, ``user <name>`` or ``key <keyId>``.
    actor: str
    at: datetime
    session_id: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """That somebody ended another's session: an entry of the audit."""

    event_id: str
    #: An operator, or ``key <keyId>``.
    actor: str
    at: datetime
    session_id: str
    viewer: str


class SessionAudit(Protocol):
    """Who signed in, and who ended whose session, kept for good. Raises ``StoreError``."""

    def record_session_begin(self, event: SessionBegun) -> None:
        """Write the entry. May be repeated."""
        ...

    def record_session_end(self, event: SessionEnded) -> None:
        """Write the entry. May be repeated."""
        ...
