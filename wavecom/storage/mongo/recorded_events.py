"""Events in the document of the job that they are about, as they are written with its status (ADR 45).

``events`` are those that nobody has published yet, the oldest first; ``eventVersion`` is how many there ever were, so
the last of them has this version; ``eventsDueAt`` is there as long as ``events`` is not empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wavecom.core.client_events import ClientEvent
from wavecom.core.job import FallbackStep, Job, JobError, RecordedEvent
from wavecom.core.states import Status


def first_event(job: Job) -> dict[str, Any]:
    """The fields of a new job's document which say that it was accepted, as its event of version 1."""
    event = RecordedEvent(status=job.status, at=job.created_at, attempts=0)
    return {"events": [event_document(event)], "eventVersion": 1, "eventsDueAt": job.created_at}


def event_document(event: RecordedEvent | ClientEvent) -> dict[str, Any]:
    """An event as a part of its job's document, or what it has of that in the log."""
    document: dict[str, Any] = {"status": event.status.value, "at": event.at, "attempts": event.attempts}
    if event.provider is not None:
        document["provider"] = event.provider
    if event.error is not None:
        document["error"] = {"code": event.error.code, "message": event.error.message}
        if event.error.provider is not None:
            document["error"]["provider"] = event.error.provider
    if event.next_attempt_at is not None:
        document["nextAttemptAt"] = event.next_attempt_at
    return document


def to_event(document: Mapping[str, Any]) -> RecordedEvent:
    """The reverse of ``event_document``."""
    error = document.get("error")
    return RecordedEvent(
        status=Status(document["status"]),
        at=document["at"],
        attempts=document["attempts"],
        provider=document.get("provider"),
        error=None if error is None else JobError(error["code"], error["message"], error.get("provider")),
        next_attempt_at=document.get("nextAttemptAt"),
    )


def parent_document(parent: FallbackStep) -> dict[str, Any]:
    """Of which fallback a job is a step, as a part of the job's document, and of those of its events."""
    return {"id": parent.fallback_id, "step": parent.number}


def parent_of(document: Mapping[str, Any]) -> FallbackStep | None:
    """The reverse of ``parent_document``, from the whole document; None where it has none."""
    parent = document.get("parent")
    return None if parent is None else FallbackStep(parent["id"], parent["step"])
