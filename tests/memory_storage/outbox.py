"""What the sandbox has delivered, kept in a list."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import bson

from wavecom.storage.mongo.documents import CODEC, decode_json, encode
from wavecom.storage.mongo.outbox import OutboxCursor, OutboxPage


class MemoryOutbox:
    """``wavecom.providers.base.Outbox`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}

    def append(self, entry: Mapping[str, Any]) -> None:
        """See ``Outbox``."""
        decoded: dict[str, Any] = bson.decode(encode(dict(entry)).raw, codec_options=CODEC)
        to, payload, metadata = decode_json(decoded)
        copy = {name: decoded[name] for name in entry} | {"to": to, "payload": payload, "metadata": metadata}
        with self._lock:
            kept = self._entries.setdefault(entry["deliveryKey"], copy | {"times": 0})
            kept["times"] += 1

    def page(self, limit: int, after: OutboxCursor | None = None) -> OutboxPage:
        """At most ``limit`` entries, newest first."""
        with self._lock:
            found = [dict(entry) for entry in self._entries.values()]
        found.sort(key=lambda entry: (entry["at"], entry["deliveryKey"]), reverse=True)
        if after is not None:
            seen = (after.at, after.delivery_key)
            found = [entry for entry in found if (entry["at"], entry["deliveryKey"]) < seen]
        last = found[limit - 1] if len(found) > limit > 0 else None
        return OutboxPage(tuple(found[:limit]), None if last is None else OutboxCursor(last["at"], last["deliveryKey"]))
