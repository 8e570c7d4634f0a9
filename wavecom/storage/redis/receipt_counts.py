"""Counts of receipts in Redis: ``ReceiptCounter`` with a hash for each minute.

They are of interest for a quarter of an hour, so that losing them costs no more than one: a Redis that has forgotten
them makes nobody lose weight. Counted in memory, written about once a second, by all processes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis
import structlog

from wavecom.core.receipt_counts import Counted, CountKey, ReceiptCounts
from wavecom.errors import UnavailableError
from wavecom.periodic import Periodic

log = structlog.get_logger()

_PREFIX: Final = "wavecom:receipts:"
_KEEP: Final = timedelta(hours=1)
_FLUSH_SECONDS: Final = 1.0
_MINUTE: Final = timedelta(minutes=1)
#: Delays are kept as whole milliseconds, so that Redis adds integers alone.
_COUNTED: Final = ("sent", "good", "late", "failed")
_DELAY_MS: Final = "delay_ms"
#: More keys than this wait only for a Redis that is away for long; then the oldest are dropped.
_MOST_WAITING: Final = 20_000


class RedisReceiptCounter:
    """``wavecom.core.receipt_counts.ReceiptCounter``. Thread-safe; to be made after the fork."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._counts: dict[CountKey, ReceiptCounts] = {}
        self._periodic: Periodic | None = None

    def add(self, counted: Counted) -> None:
        """See the port."""
        with self._lock:
            for key, counts in counted:
                known = self._counts.get(key)
                self._counts[key] = counts if known is None else known + counts
            if self._periodic is None:
                self._periodic = Periodic(self.flush, seconds=_FLUSH_SECONDS, name="receipt-counts").start()

    def between(self, since: datetime, until: datetime) -> Mapping[CountKey, ReceiptCounts]:
        """See the port."""
        first = since.replace(second=0, microsecond=0)
        minutes = [first + _MINUTE * number for number in range((until - first) // _MINUTE + 1)]
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for minute in minutes:
                    pipeline.hgetall(_name(minute))
                hashes: list[dict[str, str]] = pipeline.execute()
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error
        found: dict[CountKey, ReceiptCounts] = {}
        for minute, fields in zip(minutes, hashes, strict=True):
            for field, value in fields.items():
                provider, country, counted = field.split("|")
                key = CountKey(minute, provider, country)
                found[key] = found.get(key, ReceiptCounts()) + _read(counted, int(value))
        return found

    def flush(self) -> None:
        """Write what was counted."""
        with self._flushing:
            with self._lock:
                counts, self._counts = self._counts, {}
            if not counts:
                return
            try:
                self._write(counts)
            except redis.RedisError as error:
                log.debug("receipt_counts_unwritten", error=type(error).__name__)
                self._keep_reported(counts)

    def close(self) -> None:
        """Write the rest and end the thread."""
        if self._periodic is not None:
            self._periodic.close()
        self.flush()

    def _write(self, counts: Mapping[CountKey, ReceiptCounts]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for key, each in counts.items():
                for field, value in _fields(each).items():
                    pipeline.hincrby(_name(key.minute), f"{key.provider}|{key.country}|{field}", value)
            for minute in {key.minute for key in counts}:
                pipeline.expire(_name(minute), _KEEP)
            pipeline.execute()

    def _keep_reported(self, counts: Mapping[CountKey, ReceiptCounts]) -> None:
        """To be written again, though they may have been; what was sent is not, though it may not have been.

        So whatever Redis loses or counts twice speaks for a provider, and never against it.
        """
        with self._lock:
            for key, each in counts.items():
                if each.reported:
                    self._counts[key] = replace(each, sent=0) + self._counts.get(key, ReceiptCounts())
            if len(self._counts) > _MOST_WAITING:
                newest = sorted(self._counts, key=lambda key: key.minute)[-_MOST_WAITING:]
                self._counts = {key: self._counts[key] for key in newest}


def _name(minute: datetime) -> str:
    return f"{_PREFIX}{minute.astimezone(UTC):%Y%m%d%H%M}"


def _fields(counts: ReceiptCounts) -> dict[str, int]:
    fields = {name: getattr(counts, name) for name in _COUNTED} | {_DELAY_MS: round(counts.delay_seconds * 1000)}
    return {name: value for name, value in fields.items() if value}


def _read(counted: str, value: int) -> ReceiptCounts:
    changes: dict[str, Any] = {_DELAY_MS: {"delay_seconds": value / 1000}}.get(counted) or {counted: value}
    return ReceiptCounts(**changes)
