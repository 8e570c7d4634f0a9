"""An event as its client gets it, by whatever way: JSON with camelCase names. docs/api.md explains them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wavecom.core.client_events import ClientEvent


def represented(event: ClientEvent) -> dict[str, Any]:
    """An event as its client sees it, whatever way it comes."""
    error = event.error
    return {
        "eventId": event.event_id,
        "type": event.type,
        "timestamp": _rfc3339(event.at),
        "data": {
            "jobId": event.job_id,
            "version": event.version,
            "channel": event.channel.value,
            "status": event.status.value,
            "attempts": event.attempts,
            "provider": event.provider,
            "error": None
            if error is None
            else {"code": error.code, "message": error.message, "provider": error.provider},
            "nextAttemptAt": None if event.next_attempt_at is None else _rfc3339(event.next_attempt_at),
            # A step's is that of the whole, or our own.
            "idempotencyKey": event.idempotency_key if event.parent is None else None,
            "metadata": event.metadata,
            "parent": None
            if event.parent is None
            else {"jobId": event.parent.fallback_id, "step": event.parent.number},
        },
    }


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
