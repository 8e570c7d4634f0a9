"""Where workers say how the providers stand, for the API: ``ProviderBoard`` in one key of Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

import orjson
import redis

from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.errors import UnavailableError

_KEY: Final = "wavecom:providers"
#: Longer than a worker that lives is silent.
_KEEP_SECONDS: Final = 15


class RedisProviderBoard:
    """See ``wavecom.core.provider_administration.ProviderBoard``; safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(self, statuses: Sequence[ProviderStatus]) -> None:
        """See the port."""
        try:
            self._client.set(_KEY, orjson.dumps([asdict(each) for each in statuses]), ex=_KEEP_SECONDS)
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error

    def read(self) -> Mapping[str, ProviderStatus]:
        """See the port."""
        try:
            found = self._client.get(_KEY)
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error
        if not isinstance(found, str | bytes):
            return {}
        return {each["provider"]: _status(each) for each in orjson.loads(found)}


def _status(content: Mapping[str, str]) -> ProviderStatus:
    until = content["until"]
    return ProviderStatus(
        content["provider"],
        ProviderAvailability(content["state"]),
        None if until is None else datetime.fromisoformat(until),
        content["reason"],
        content["account"],
        content.get("receipts", ""),
    )
