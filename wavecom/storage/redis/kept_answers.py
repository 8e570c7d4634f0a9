"""Answers to requests with an idempotency key, as Redis keeps them: all of them, for whom they must be compared.

Web processes read and write them with their limits (``quota.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson
import redis

from wavecom.core.job import JobId
from wavecom.errors import UnavailableError

#: What the key of an answer begins with, and the list of all such keys, the oldest first.
ANSWERS: Final = "wavecom:answer:"
ORDER: Final = "wavecom:answers"
_BATCH: Final = 500


class RedisKeptAnswers:
    """Implements ``wavecom.core.store_recovery.KeptAnswers``."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def batches(self) -> Iterator[Sequence[tuple[str, JobId]]]:
        """See the port. Those that are kept meanwhile may be left out."""
        start = 0
        while names := self._names(start, start + _BATCH - 1):
            found = self._read(names)
            if found:
                yield found
            start += _BATCH

    def latest(self, count: int) -> Sequence[tuple[str, JobId]]:
        """The latest ``count`` of them."""
        return self._read(self._names(-count, -1))

    def forget(self, names: Sequence[str]) -> None:
        """See the port. Their names stay in the list, which drops the oldest."""
        try:
            self._client.delete(*names)
        except redis.RedisError as error:
            raise _unavailable(error) from error

    def _names(self, first: int, last: int) -> list[str]:
        try:
            names: Any = self._client.lrange(ORDER, first, last)
        except redis.RedisError as error:
            raise _unavailable(error) from error
        return list(names)

    def _read(self, names: list[str]) -> list[tuple[str, JobId]]:
        try:
            values: Any = self._client.mget(names) if names else []
        except redis.RedisError as error:
            raise _unavailable(error) from error
        return [
            (name, JobId(orjson.loads(value)[1]))
            for name, value in zip(names, values, strict=True)
            if value is not None
        ]


def _unavailable(error: redis.RedisError) -> UnavailableError:
    return UnavailableError(f"Redis does not answer ({type(error).__name__}).")
