"""API keys: how one is made, what of it is stored, and whose it is.

A key is looked up by its hash and remembered for seconds, so that the store is rarely asked.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from wavecom.accounts.expiring_cache import ExpiringCache
from wavecom.core.account import account_of
from wavecom.core.actor import Actor
from wavecom.core.keys import KeyRecord, KeyStatus, KeyStore
from wavecom.core.ports import Clock
from wavecom.core.quota import Limits
from wavecom.core.senders import SenderPolicy
from wavecom.errors import UnauthenticatedError

log = structlog.get_logger()

#: The client of the first key; more clients come with more keys.
FIRST_CLIENT = "default"
#: How long a revoked key may still be taken by a process that has just seen it.
MEMORY_SECONDS = 10
_LENGTH_LIMIT = 512
_LONG_ENOUGH = 24
#: What looks like a key of ours, though it may be cut off or mistyped.
_LIKE_A_KEY = re.compile(r"wc_(?:live|test)_[A-Za-z0-9_-]{20,60}")
#: The same whatever it is: a stranger learns nothing about keys.
_REFUSED = "This API key is not known here, or it has expired or was revoked."


class KeyScope(StrEnum):
    """What a key may do. The words are part of the published API."""

    SEND = "send"
    READ = "read"
    RECIPIENTS = "recipients"
    MANAGE = "manage"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller(Actor):
    """Who is calling, with a key. ``client`` is of a test key another account than of a live one of the same client."""

    scopes: frozenset[str]
    is_live: bool
    key_id: str
    #: When the key ends; None: never.
    expires_at: datetime | None = None


class KeyRing:
    """All keys. May be asked by many threads; never logs or keeps a key, only hashes."""

    def __init__(self, store: KeyStore, clock: Clock, *, capacity: int = 10_000) -> None:
        self._store = store
        self._clock = clock
        # Apart, so that a flood of invented keys can't push the real ones out.
        self._known: ExpiringCache[KeyRecord] = ExpiringCache(
            clock.monotonic, seconds=MEMORY_SECONDS, capacity=capacity
        )
        self._by_id: ExpiringCache[KeyRecord] = ExpiringCache(
            clock.monotonic, seconds=MEMORY_SECONDS, capacity=capacity
        )
        #: With the record and the policy that they were made of.
        self._callers: ExpiringCache[tuple[KeyRecord, SenderPolicy, Caller]] = ExpiringCache(
            clock.monotonic, seconds=MEMORY_SECONDS, capacity=capacity
        )
        self._policies: ExpiringCache[SenderPolicy] = ExpiringCache(
            clock.monotonic, seconds=MEMORY_SECONDS, capacity=capacity
        )
        self._unknown: ExpiringCache[bool] = ExpiringCache(clock.monotonic, seconds=MEMORY_SECONDS, capacity=capacity)

    def authenticate(self, key: str) -> Caller:
        """The caller that ``key`` stands for. Raises ``UnauthenticatedError``, or ``StoreError`` when it can't be told.

        A comparison in constant time is not needed: what is looked up is the hash, which tells nothing of the key.
        """
        record = self._record(hash_of(key)) if len(key) <= _LENGTH_LIMIT else None
        if record is None:
            raise UnauthenticatedError(_REFUSED)
        status = record.status(self._clock.now())
        if status is not KeyStatus.ACTIVE:
            raise UnauthenticatedError(_REFUSED, f"{status}_key", record.key_id)
        return self._caller(record, self._senders(record.client))

    def remembered_client(self, key: str) -> str | None:
        """The client whose valid key this is, without asking the store: None for keys not seen within seconds.

        For who must not wait, and decides no more by it than whose turn it is.
        """
        record = self._known.get(hash_of(key)) if len(key) <= _LENGTH_LIMIT else None
        return record.client if record is not None and record.is_valid(self._clock.now()) else None

    def remembered(self, key: str) -> Caller | None:
        """``authenticate`` without asking the store; None: it would have to be asked, or would refuse the key."""
        record = self._known.get(hash_of(key)) if len(key) <= _LENGTH_LIMIT else None
        senders = self._policies.get(record.client) if record is not None else None
        if record is None or senders is None or not record.is_valid(self._clock.now()):
            return None
        return self._caller(record, senders)

    def has_seen(self, key: str) -> bool:
        """Whether this has been somebody's key, be it remembered still or to be asked for again."""
        return self._known.has(hash_of(key))

    def caller_of(self, key_id: str) -> Caller | None:
        """The caller that the key of this id stands for, as long as it may be used; for who has shown it before.

        Raises ``StoreError`` when it can't be told.
        """
        record = self._by_id.get(key_id)
        if record is None:
            record = self._store.find_by_id(key_id)
            if record is not None:
                self._by_id.put(key_id, record)
        if record is None or not record.is_valid(self._clock.now()):
            return None
        return self._caller(record, self._senders(record.client))

    def forget(self, record: KeyRecord) -> None:
        """Ask the store for this key again: its end has changed. Other processes find out for themselves."""
        self._known.forget(record.hash)
        self._by_id.forget(record.key_id)

    def ensure_first_key(self, key: str) -> None:
        """Make ``key`` a live key with all scopes, unless it is stored already. May be called by every process."""
        hash_ = hash_of(key)
        if self._store.find(hash_) is not None:
            return
        record = KeyRecord(
            key_id=uuid.uuid4().hex,
            hash=hash_,
            client=FIRST_CLIENT,
            scopes=frozenset(KeyScope),
            is_live=True,
            created_at=self._clock.now(),
            name="first key",
            hint=hint_of(key),
        )
        self._store.add(record)
        self._unknown.forget(hash_)
        log.info("first_key_stored", key_id=record.key_id, client=record.client)

    def _caller(self, record: KeyRecord, senders: SenderPolicy) -> Caller:
        known = self._callers.get(record.key_id)
        if known is not None and known[0] is record and known[1] is senders:
            return known[2]
        caller = _caller(record, senders)
        self._callers.put(record.key_id, (record, senders, caller))
        return caller

    def _senders(self, client: str) -> SenderPolicy:
        found = self._policies.get(client)
        if found is None:
            found = self._store.sender_policy(client)
            self._policies.put(client, found)
        return found

    def _record(self, hash_: str) -> KeyRecord | None:
        found = self._known.get(hash_)
        if found is not None:
            return found
        if self._unknown.get(hash_):
            return None
        record = self._store.find(hash_)
        if record is None:
            self._unknown.put(hash_, True)
        else:
            self._known.put(hash_, record)
        return record


def _caller(record: KeyRecord, senders: SenderPolicy) -> Caller:
    return Caller(
        client=account_of(record.client, record.is_live),
        name=f"key {record.key_id}",
        budget=record.budget,
        limits=Limits(record.rate_per_second, record.daily_quota),
        senders=senders,
        scopes=record.scopes,
        is_live=record.is_live,
        key_id=record.key_id,
        expires_at=record.expires_at,
    )


def make_key(*, is_live: bool = True) -> str:
    """A new key with 256 random bits. It is shown once; only its hash is stored."""
    return f"wc_{'live' if is_live else 'test'}_{secrets.token_urlsafe(32)}"


def hint_of(key: str) -> str:
    """What may be shown of a key, to tell it from others: its last four characters, none of a short one."""
    return key[-4:] if len(key) >= _LONG_ENOUGH else ""


def hint_of_presented(secret: str) -> str:
    """The same for whatever somebody sent in place of a key: "" unless it has a key's form.

    Anything else may be a password, of which no part belongs in a log.
    """
    return hint_of(secret) if _LIKE_A_KEY.fullmatch(secret) else ""


def is_same_secret(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def hash_of(key: str) -> str:
    """What is stored of a key. Fast on purpose: nobody can guess 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
