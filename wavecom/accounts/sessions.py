"""Sessions of the pages: opened at a login, ended at the logout, by idleness, by age, by an operator or with their key.

Kept in the store, so that what is ended is ended wherever its cookie was copied to; only a hash of the token is.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wavecom.accounts.keyring import hash_of
from wavecom.core.keys import KeyRecord, KeyStore
from wavecom.core.ports import Clock
from wavecom.core.sessions import SessionAudit, SessionBegun, SessionEnded, SessionRecord, SessionStore
from wavecom.errors import StoreError

log = structlog.get_logger()

#: How exactly it is known when somebody was there last: most pages then cost a read and no write.
_TOUCH_AFTER = timedelta(minutes=1)
_LONGEST_BROWSER = 200
#: Longer ones, of people in hundreds of groups, would not fit into the address of a logout anyway.
_LONGEST_ID_TOKEN = 6000
_NONCE = bytes(12)
#: Open sessions of one key, or of the operators: the oldest makes room. Who has a key can't fill the store with logins.
_MOST_EACH = 100


class Sessions:
    """The use cases behind the login, the page of sessions and ``wavecom sessions``. Thread-safe.

    A session ends ``idle`` after somebody was there last, and ``lifetime`` after it was opened. All methods raise
    ``StoreError``.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        keys: KeyStore,
        audit: SessionAudit,
        clock: Clock,
        new_id: Callable[[], str],
        idle: timedelta,
        lifetime: timedelta,
    ) -> None:
        self._store = store
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._idle = idle
        self._lifetime = lifetime

    def open(
        self,
        viewer: str,
        *,
        key_id: str | None = None,
        password_mark: str | None = None,
        address: str = "",
        browser: str = "",
        id_token: str = "",
    ) -> str:
        """A new session; answers its token, of 256 random bits, which is kept nowhere here.

        ``id_token``: of the identity provider by which it was opened, checked, for ``id_token_of``. The audit entry
        comes first.
        """
        token, now = secrets.token_urlsafe(32), self._clock.now()
        record = SessionRecord(
            session_id=self._new_id(),
            token_hash=hash_of(token),
            viewer=viewer,
            opened_at=now,
            last_seen_at=now,
            expires_at=now + self._lifetime,
            key_id=key_id,
            password_mark=password_mark,
            address=address,
            # The visitor's own words, which are shown in terminals too.
            browser="".join(each if each.isprintable() else "?" for each in browser[:_LONGEST_BROWSER]),
            provider_session=provider_session_of(id_token),
            sealed_id_token=_sealed(id_token, token) if 0 < len(id_token) <= _LONGEST_ID_TOKEN else None,
        )
        event = SessionBegun(
            event_id=f"begin-{record.session_id}", actor=viewer, at=now, session_id=record.session_id, address=address
        )
        self._audit.record_session_begin(event)
        self._store.end_oldest(viewer, _MOST_EACH - 1)
        self._store.add(record)
        return token

    def find(self, token: str, *, is_activity: bool = True) -> SessionRecord | None:
        """The session with this token; None when it is over. ``is_activity``: somebody is there, and it goes on."""
        record = self._store.find(hash_of(token))
        now = self._clock.now()
        if record is None or self._is_over(record, now):
            return None
        if is_activity and now - record.last_seen_at >= min(_TOUCH_AFTER, self._idle / 10):
            self._store.touch(record.session_id, now)
            record = replace(record, last_seen_at=now)
        return record

    def id_token_of(self, token: str) -> str | None:
        """The identity provider's token of the sign-in that opened the session with this token; None: there is none."""
        record = self._store.find(hash_of(token))
        return None if record is None or record.sealed_id_token is None else _opened(record.sealed_id_token, token)

    def end(self, token: str) -> None:
        """The end that its own browser asks for: a logout, or a login that begins anew."""
        record = self._store.find(hash_of(token))
        if record is not None:
            self._store.end(record.session_id)

    def end_with_key(self, record: KeyRecord) -> None:
        """End the sessions of a key that was revoked. A hook of ``KeyAdministration``.

        Without the store nothing is lost: whoever looks up a session looks at its key as well.
        """
        if record.revoked_at is None:
            return
        try:
            self._store.end_of_key(record.key_id)
        except StoreError as error:
            log.warning("sessions_not_ended", key_id=record.key_id, error=str(error))

    def list(self, viewer: str | None = None) -> Sequence[SessionRecord]:
        """Sessions that are open, the newest first; only those of ``viewer`` if it is given."""
        now = self._clock.now()
        valid: dict[str, bool] = {}
        found = []
        for record in self._store.all():
            if viewer not in {None, record.viewer} or self._is_over(record, now):
                continue
            if record.key_id is not None and record.key_id not in valid:
                key = self._keys.find_by_id(record.key_id)
                valid[record.key_id] = key is not None and key.is_valid(now)
            if record.key_id is None or valid[record.key_id]:
                found.append(record)
        return found

    def end_by_id(self, session_id: str, by: str, viewer: str | None = None) -> bool:
        """End somebody's session, on behalf of ``by``; False when there is none, or none of ``viewer`` if it is given.

        The audit entry comes first: nothing is done without one.
        """
        record = next((each for each in self.list(viewer) if each.session_id == session_id), None)
        if record is None:
            return False
        event = SessionEnded(
            event_id=self._new_id(), actor=by, at=self._clock.now(), session_id=session_id, viewer=record.viewer
        )
        self._audit.record_session_end(event)
        log.info("session_ended", session_id=session_id, viewer=record.viewer, actor=by)
        self._store.end(session_id)
        return True

    def end_signed_out(self, viewer: str | None, provider_session: str | None, until: datetime, by: str) -> int:
        """End sessions that were opened until then: of ``viewer``, and of ``provider_session`` where that is given. How
        many there were. The audit entries come first. Raises ``ValueError`` where neither is given."""
        if viewer is None and provider_session is None:
            raise ValueError("whose sessions?")
        found = [
            each
            for each in self.list(viewer)
            if each.opened_at <= until and provider_session in {None, each.provider_session}
        ]
        return sum(self.end_by_id(each.session_id, by, each.viewer) for each in found)

    def _is_over(self, record: SessionRecord, now: datetime) -> bool:
        return now >= record.expires_at or now - record.last_seen_at >= self._idle


def provider_session_of(id_token: str) -> str | None:
    """What the identity provider calls its own session, by the claim ``sid`` of a token that was checked before."""
    try:
        payload = id_token.split(".")[1]
        found = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("sid")
    except (IndexError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


def _sealed(id_token: str, token: str) -> bytes:
    # It tells who somebody is and what he belongs to: the database alone, which has a hash of the token, can't read it.
    # The key is used once, so the nonce may be constant.
    return _id_token_cipher(token).encrypt(_NONCE, id_token.encode(), None)


def _opened(sealed: bytes, token: str) -> str:
    return _id_token_cipher(token).decrypt(_NONCE, sealed, None).decode()


def _id_token_cipher(token: str) -> AESGCM:
    return AESGCM(hmac.digest(token.encode(), b"id token", "sha256"))
