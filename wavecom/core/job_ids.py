"""Ids of jobs, and the shard key that each of them ends with (ADR 41).

A sharded MongoDB holds a unique index within one shard only. So all that must be unique of a job has to lead to one
shard: its id does, by its last 32 bits, and its idempotency key does, because these bits are a hash of account and key.
Without an idempotency key they are random. Nothing here may ever change: stored jobs are found by it.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Final

from wavecom.core.ids import uuid7
from wavecom.core.job import Job, JobId

_DIGITS: Final = 8
_BYTES: Final = _DIGITS // 2


def make_job_id(now: datetime, random_bytes: bytes, account: str, idempotency_key: str | None) -> JobId:
    """A new id: a version 7 UUID of the time, of chance, and of the idempotency key of ``account`` if there is one.

    ``now`` is aware. Raises ``ValueError`` unless ``random_bytes`` holds 10 bytes.
    """
    if idempotency_key is not None:
        # The last six bytes stay: with the four of the key they are as many as a UUID has room for.
        random_bytes = random_bytes[_BYTES:] + _hash(account, idempotency_key)[:_BYTES]
    return JobId(uuid7(now, random_bytes))


def shard_key_of(job_id: JobId) -> str:
    """The shard key of the job with this id: its last 8 hexadecimal digits, in lower case as the id is."""
    return job_id[-_DIGITS:]


def shard_key_of_request(account: str, idempotency_key: str) -> str:
    """The shard key of the job, if there is one, that holds this idempotency key of the account."""
    return _hash(account, idempotency_key)[:_BYTES].hex()


def request_hash(account: str, idempotency_key: str) -> str:
    """An idempotency key of an account as 64 hexadecimal digits; they begin with ``shard_key_of_request``."""
    return _hash(account, idempotency_key).hex()


def follows_idempotency_key(job: Job) -> bool:
    """Whether the job can be found by its idempotency key, if it has one: its id was made with it."""
    key = job.idempotency_key
    return key is None or shard_key_of(job.job_id) == shard_key_of_request(job.client, key)


def _hash(account: str, idempotency_key: str) -> bytes:
    # No account has a NUL in its name, so no two pairs are one text.
    return sha256(f"{account}\0{idempotency_key}".encode(errors="surrogatepass")).digest()
