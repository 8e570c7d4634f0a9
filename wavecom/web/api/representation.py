"""Jobs as clients see them: camelCase names, times in RFC 3339 (UTC, milliseconds, Z). docs/api.md explains them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wavecom.core.attachments import content_size
from wavecom.core.job import Job, JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.sms import segments
from wavecom.core.states import Status

Json = dict[str, Any]


def rfc3339(moment: datetime) -> str:
    """``2026-11-23T09:30:00.000Z`` of an aware UTC time."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def accepted(job: Job) -> Json:
    """The first answer about a job; the same for ever, whatever becomes of it, so that a replay can repeat it."""
    was_scheduled = job.held_until is not None or (job.send_at is not None and job.send_at > job.created_at)
    status = Status.SCHEDULED if was_scheduled else Status.QUEUED
    body: Json = {
        "jobId": job.job_id,
        "status": status.value,
        "type": job.type.value,
        "priority": job.priority.value,
        "createdAt": rfc3339(job.created_at),
    }
    if was_scheduled and job.send_at is not None:
        body["sendAt"] = _time(job.send_at)
    if job.held_until is not None:
        body["heldUntil"] = _time(job.held_until)
    if job.type is Channel.SMS:
        taken = segments(job.payload["text"])
        body["segments"] = taken.count
        body["encoding"] = taken.encoding
    return body


def summary(job: Job) -> Json:
    """An item of a list: everything but payload and log."""
    return {
        "jobId": job.job_id,
        "type": job.type.value,
        "to": job.to,
        "recipientId": job.recipient_id,
        "category": job.category,
        "status": job.status.value,
        "priority": job.priority.value,
        "region": job.region or None,
        "template": None
        if job.template is None
        else {"name": job.template.name, "version": job.template.version, "locale": job.template.locale},
        "attempts": job.attempts,
        "maxAttempts": job.max_attempts,
        "onUnknownOutcome": job.on_unknown_outcome.value,
        "mayHaveBeenSent": job.may_have_been_sent,
        "replays": job.replays,
        "provider": job.provider,
        "providerMessageId": job.provider_message_id,
        "error": _error(job.error),
        "metadata": job.metadata,
        "parent": None if job.parent is None else {"jobId": job.parent.fallback_id, "step": job.parent.number},
        # A step's is that of the whole, or our own.
        "idempotencyKey": job.idempotency_key if job.parent is None else None,
        "createdBy": job.created_by,
        "createdAt": rfc3339(job.created_at),
        "updatedAt": rfc3339(job.updated_at),
        "sendAt": _time(job.send_at),
        "heldUntil": _time(job.held_until),
        "expiresAt": rfc3339(job.expires_at),
        "nextAttemptAt": _time(job.next_attempt_at),
        "finishedAt": _time(job.finished_at),
    }


def detail(job: Job) -> Json:
    """The whole job; of attachments all but their content."""
    return summary(job) | {
        "payload": _payload(job),
        "logs": [_entry(entry) for entry in job.logs],
        "logCount": job.log_count,
    }


def _payload(job: Job) -> Mapping[str, Any]:
    if job.type is not Channel.EMAIL or "attachments" not in job.payload:
        return job.payload
    attachments = [
        {
            "filename": attachment["filename"],
            "contentType": attachment["contentType"],
            # Large ones are stored apart, and not read for this.
            "size": attachment["size"] if "blob" in attachment else content_size(attachment["content"]),
            **({"contentId": attachment["contentId"]} if "contentId" in attachment else {}),
        }
        for attachment in job.payload["attachments"]
    ]
    return {**job.payload, "attachments": attachments}


def _entry(entry: LogEntry) -> Json:
    values = {
        "at": rfc3339(entry.at),
        "event": entry.event,
        "attempt": entry.attempt,
        "provider": entry.provider,
        "outcome": entry.outcome,
        "code": entry.code,
        "message": entry.message,
        "latencyMs": entry.latency_ms,
        "nextAttemptAt": _time(entry.next_attempt_at),
        "by": entry.by,
    }
    return {name: value for name, value in values.items() if value is not None}


def _error(error: JobError | None) -> Json | None:
    return None if error is None else {"code": error.code, "message": error.message, "provider": error.provider}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
