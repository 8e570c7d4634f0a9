"""Making, rotating and revoking API keys: who may do what to whose, and that all of it can be looked up later.

The rules: a key administers the keys of its own client, a test key only the test keys among them; nobody gives a key a
scope that they lack themselves, be it a new key or a rotated one; a key that is made by a key has its limits, shares
its count and ends no later; a key that is under limits rotates only keys that share its count, and no key one that is
wider or lasts longer than itself; an operator at the command line may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from wavecom.accounts.keyring import Caller, KeyScope, hash_of, hint_of, make_key
from wavecom.core.account import CLIENT_NAME_RULE, client_of, is_client_name
from wavecom.core.keys import KeyAction, KeyAudit, KeyEvent, KeyRecord, KeyStatus, KeyStore
from wavecom.core.ports import Clock
from wavecom.core.quota import UNLIMITED, Limits
from wavecom.core.senders import SenderPolicy
from wavecom.errors import ForbiddenError, KeyEndedError, KeyNotFoundError

log = structlog.get_logger()

#: How long a rotated key goes on working unless something else is asked for.
DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Administrator:
    """Somebody who manages keys."""

    #: For the audit.
    name: str
    #: Whose keys; None: everybody's.
    client: str | None = None
    #: What may be given.
    scopes: frozenset[str] = frozenset(KeyScope)
    #: Whether live keys too.
    is_live: bool = True
    #: The limits that their keys get, unless others are asked for; see ``KeyRecord``.
    limits: Limits = UNLIMITED
    #: Which count their keys share (``KeyRecord.budget``); None: each has its own.
    budget: str | None = None
    #: Nothing that they make lasts longer; None: as long as it likes.
    expires_at: datetime | None = None

    @classmethod
    def of(cls, caller: Caller) -> Administrator:
        """Who calls the API with an ``admin`` key."""
        return cls(
            f"key {caller.key_id}",
            client_of(caller.client),
            caller.scopes,
            caller.is_live,
            caller.limits,
            caller.budget,
            caller.expires_at,
        )

    def manages(self, record: KeyRecord) -> bool:
        """Whether the key is one of those that this administrator sees and changes."""
        return self.client in {None, record.client} and (self.is_live or not record.is_live)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key in the one moment in which it is known."""

    key: str = field(repr=False)
    record: KeyRecord


class KeyAdministration:
    """The use cases behind ``wavecom keys`` and ``/api/keys``. Thread-safe.

    The audit entry is written before the deed: an entry may stand for something that then failed, but nothing is done
    without one. ``on_ended`` hears of each key whose end has changed. All methods raise ``StoreError``.
    """

    def __init__(
        self,
        *,
        store: KeyStore,
        audit: KeyAudit,
        clock: Clock,
        new_id: Callable[[], str],
        on_ended: Callable[[KeyRecord], None] = lambda _record: None,
        usual: Limits = UNLIMITED,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._on_ended = on_ended
        #: The limits of keys that have none of their own.
        self._usual = usual

    def list(self, by: Administrator, client: str | None = None) -> Sequence[KeyRecord]:
        """The keys that ``by`` manages, of ``client`` if it is given; the newest first, ended ones included."""
        return [record for record in self._store.of_client(by.client or client) if by.manages(record)]

    def create(
        self,
        by: Administrator,
        *,
        client: str,
        name: str,
        scopes: frozenset[str],
        is_live: bool,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """A new key. Raises ``ForbiddenError`` where ``by`` may not give this, ``ValueError`` for a client's name."""
        if not is_client_name(client):
            raise ValueError(f"A client's name has {CLIENT_NAME_RULE}.")
        if by.expires_at is not None:
            expires_at = _no_later(by.expires_at, expires_at)
        draft = self._draft(
            KeyRecord(
                key_id="",
                hash="",
                client=client,
                scopes=scopes,
                is_live=is_live,
                created_at=self._clock.now(),
                name=name,
                rate_per_second=by.limits.rate_per_second,
                daily_quota=by.limits.daily_quota,
                expires_at=expires_at,
                counts_as=by.budget,
            )
        )
        if not by.manages(draft.record):
            raise ForbiddenError("A test key makes test keys only. Use a live key with the scope admin.")
        _check_scopes(by, scopes)
        self._note(KeyAction.CREATE, by, draft.record.key_id, client, name=name, scopes=sorted(scopes), isLive=is_live)
        self._store.add(draft.record)
        return draft

    def rotate(self, by: Administrator, key_id: str, overlap: timedelta = DEFAULT_OVERLAP) -> IssuedKey:
        """A new key with the name and the rights of an old one, which ends after ``overlap`` (0: now).

        A key that was to expire is followed by one that lives as long as it was meant to. The two share one count of
        what they send under their limits. Raises
        ``KeyNotFoundError``, ``KeyEndedError`` for a key that has ended or been rotated before, ``ForbiddenError``.
        """
        now = self._clock.now()
        old = self._managed(by, key_id)
        if old.status(now) is not KeyStatus.ACTIVE:
            raise KeyEndedError(f"Key {key_id} is {old.status(now)}. Make a new one instead.")
        if old.replaced_by is not None:
            raise KeyEndedError(
                f"Key {key_id} was rotated before: key {old.replaced_by} has its place. Rotate that one."
            )
        _check_scopes(by, old.scopes)
        self._check_limits(by, old)
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        expires_at = None if lifetime is None else now + lifetime
        if by.expires_at is not None and expires_at is not None:
            expires_at = min(expires_at, by.expires_at)
        # Else a rotation would be a fresh quota, and the two together have twice the limits during the overlap.
        new = self._draft(replace(old, created_at=now, expires_at=expires_at, counts_as=old.budget))
        ends_at = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
        self._note(KeyAction.ROTATE, by, old.key_id, old.client, newKeyId=new.record.key_id, endsAt=ends_at)
        # The new one first: whatever fails in between, there is a key that works.
        self._store.add(new.record)
        if not self._store.retire(key_id, ends_at, new.record.key_id):
            self._store.revoke(new.record.key_id, now)
            raise KeyEndedError(f"Key {key_id} was rotated or revoked at the same moment. List the keys, then decide.")
        self._on_ended(replace(old, expires_at=ends_at, replaced_by=new.record.key_id))
        return new

    def revoke(self, by: Administrator, key_id: str) -> KeyRecord:
        """End a key at once and for good; revoking twice is once. Raises ``KeyNotFoundError``."""
        record = self._managed(by, key_id)
        if record.revoked_at is not None:
            return record
        self._note(KeyAction.REVOKE, by, record.key_id, record.client)
        revoked = self._store.revoke(key_id, self._clock.now()) or record
        self._on_ended(revoked)
        return revoked

    def senders(self, by: Administrator, client: str) -> SenderPolicy:
        """As whom a client may send."""
        self._check_operator(by)
        return self._store.sender_policy(client)

    def set_senders(self, by: Administrator, client: str, policy: SenderPolicy) -> None:
        """Say as whom a client may send; holds everywhere within seconds. For operators only."""
        self._check_operator(by)
        self._note(
            KeyAction.ALLOW_SENDERS,
            by,
            "",
            client,
            email=None if policy.email is None else sorted(policy.email),
            sms=None if policy.sms is None else sorted(policy.sms),
            relayHeaders=policy.may_command_relays,
        )
        self._store.set_sender_policy(client, policy)

    def contact(self, by: Administrator, client: str) -> str | None:
        """The e-mail address at which a client is told what concerns it as a whole, such as an endpoint that fails."""
        self._check_contact(by, client)
        return self._store.contact(client)

    def set_contact(self, by: Administrator, client: str, email: str | None) -> None:
        """Keep another, or none."""
        self._check_contact(by, client)
        # Not the address: the audit is kept for good, and a person may want it forgotten.
        self._note(KeyAction.SET_CONTACT, by, "", client, isKnown=email is not None)
        self._store.set_contact(client, email)

    @staticmethod
    def _check_contact(by: Administrator, client: str) -> None:
        if by.client not in {None, client} or not by.is_live:
            raise ForbiddenError("Where a client is told what concerns it, only a live key of its own says.")

    @staticmethod
    def _check_operator(by: Administrator) -> None:
        if by.client is not None:
            raise ForbiddenError("As whom a client may send is for who runs WaveCom to say: wavecom keys senders.")

    def _check_limits(self, by: Administrator, old: KeyRecord) -> None:
        """Who rotates a key gets to know the new one, and so everything that it may."""
        if by.budget is None:
            return
        own, its = by.limits.or_else(self._usual), Limits(old.rate_per_second, old.daily_quota).or_else(self._usual)
        is_within = its.allow_no_more_than(own) and (own.is_unlimited or old.budget == by.budget)
        lasts = by.expires_at is not None and (old.expires_at is None or old.expires_at > by.expires_at)
        if not is_within or lasts:
            what = "lasts longer than this one" if is_within else "has limits of its own, which this one lacks"
            raise ForbiddenError(
                f"No key gives what it lacks itself: key {old.key_id} {what}. Ask who runs WaveCom to rotate it: "
                f"wavecom keys rotate {old.key_id}."
            )

    def _managed(self, by: Administrator, key_id: str) -> KeyRecord:
        record = self._store.find_by_id(key_id)
        if record is None or not by.manages(record):
            raise KeyNotFoundError("There is no key with this id among those that you manage.")
        return record

    def _draft(self, wanted: KeyRecord) -> IssuedKey:
        """A key of its own for what ``wanted`` says."""
        key = make_key(is_live=wanted.is_live)
        return IssuedKey(key, replace(wanted, key_id=self._new_id(), hash=hash_of(key), hint=hint_of(key)))

    def _note(self, action: KeyAction, by: Administrator, key_id: str, client: str, **details: object) -> None:
        event = KeyEvent(
            event_id=self._new_id(),
            action=action,
            actor=by.name,
            at=self._clock.now(),
            key_id=key_id,
            client=client,
            details=details,
        )
        self._audit.record_key_event(event)
        log.info(action.value, key_id=key_id, client=client, actor=by.name)


def _no_later(end: datetime, wanted: datetime | None) -> datetime:
    """When a key ends that is made by one that ends at ``end``."""
    if wanted is not None and wanted > end:
        raise ForbiddenError(
            f"No key makes one that lasts longer than itself: this one ends at {end:%Y-%m-%dT%H:%M:%SZ}. Ask for an "
            "end before that, or for none, which means the same."
        )
    return wanted or end


def _check_scopes(by: Administrator, scopes: frozenset[str]) -> None:
    lacking = sorted(scopes - by.scopes)
    if lacking:
        raise ForbiddenError(
            f"No key gives another what it lacks itself: this one needs the scope {' and '.join(lacking)} too."
        )
