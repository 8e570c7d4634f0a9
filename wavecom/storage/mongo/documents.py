"""Jobs as MongoDB documents and back, by hand: this runs four times for every notification.

A field that is None is absent. ``to``, ``payload`` and ``metadata`` are the client's own JSON (``client_json.py``); no
update ever touches them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

from wavecom.core.engine import Transition
from wavecom.core.job import (
    Claim,
    Job,
    JobError,
    JobId,
    LogEntry,
    TemplateUse,
    Trace,
    UnknownOutcomePolicy,
    label_text,
)
from wavecom.core.job_ids import follows_idempotency_key, shard_key_of
from wavecom.core.lanes import Channel, Priority
from wavecom.core.recipients import recipient_of
from wavecom.core.states import CLAIMABLE, Status
from wavecom.storage.mongo.client_json import CODEC as CODEC
from wavecom.storage.mongo.client_json import Document as Document
from wavecom.storage.mongo.client_json import decode_json as decode_json
from wavecom.storage.mongo.client_json import encode as encode
from wavecom.storage.mongo.recorded_events import event_document, first_event, parent_document, parent_of

#: Names in the document of those fields of ``Job`` that may be absent and need no translation.
_OPTIONAL = {
    "idempotency_key": "idempotencyKey",
    "fingerprint": "fingerprint",
    "created_by": "createdBy",
    "send_at": "sendAt",
    "provider": "provider",
    "provider_message_id": "providerMessageId",
    "next_attempt_at": "nextAttemptAt",
    "queued_at": "queuedAt",
    "due_at": "dueAt",
    "finished_at": "finishedAt",
    "dead_lettered_at": "deadLetteredAt",
    "purge_at": "purgeAt",
    "campaign": "campaign",
}

_STATUSES = {status.value: status for status in Status}
_CHANNELS = {channel.value: channel for channel in Channel}
_PRIORITIES = {priority.value: priority for priority in Priority}
_POLICIES = {policy.value: policy for policy in UnknownOutcomePolicy}


# --- Jobs ---------------------------------------------------------------------------------------------------------


def encode_job(job: Job) -> RawBSONDocument:
    """The job as bytes ready to be inserted.

    Raises ``InvalidRequestError`` naming what BSON can't hold (integers beyond 64 bits, lone surrogates, NUL in a key,
    nesting without end) and ``BodyTooLargeError``; ``ValueError`` for an id that was not made with the idempotency key.
    """
    if not follows_idempotency_key(job):
        # Two jobs of one key would be in two places, and no index would notice.
        raise ValueError(f"the id {job.job_id} was not made with the job's idempotency key; use make_job_id")
    return encode(to_document(job))


def to_document(job: Job) -> Document:
    """The job as a document with a new ``_id``; see ``encode_job`` for what may not be stored as it is."""
    document: Document = {
        # Set here, because the driver adds none to a document that is already bytes.
        "_id": ObjectId(),
        "shardKey": shard_key_of(job.job_id),
        "jobId": job.job_id,
        "client": job.client,
        "type": job.type.value,
        "priority": job.priority.value,
        "queue": job.lane.queue,
        "to": job.to,
        "payload": job.payload,
        "metadata": job.metadata,
        "status": job.status.value,
        "attempts": job.attempts,
        "maxAttempts": job.max_attempts,
        "onUnknownOutcome": job.on_unknown_outcome.value,
        "mayHaveBeenSent": job.may_have_been_sent,
        "replays": job.replays,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "expiresAt": job.expires_at,
        "logs": [_entry_document(entry) for entry in job.logs],
        "logCount": job.log_count,
    }
    for attribute, name in _OPTIONAL.items():
        value = getattr(job, attribute)
        if value is not None:
            document[name] = value
    _add_rare_values(document, job)
    if job.refused_by:
        document["refusedBy"] = job.refused_by
    if job.error is not None:
        document["error"] = _error_document(job.error)
    if job.claim is not None:
        document["claim"] = claim_document(job.claim, job.job_id)
    recipient = recipient_of(job.type, job.to)
    if recipient is not None:
        document["recipient"] = recipient
    if job.metadata:
        document["labels"] = [label for key, value in job.metadata.items() for label in _labels(key, value)]
    if job.status in CLAIMABLE and job.queued_at is None and job.due_at is not None:
        document["parkedUntil"] = job.due_at
    if job.records_events:
        document |= first_event(job)
    return document


def _add_rare_values(document: Document, job: Job) -> None:
    """What comes with few notifications."""
    if job.region:
        document["region"] = job.region
    if (use := job.template) is not None:
        document["template"] = {"name": use.name, "version": use.version, "locale": use.locale}
    if job.trace is not None:
        document["trace"] = str(job.trace)
    if job.recipient_id is not None:
        document["recipientId"] = job.recipient_id
    if job.category is not None:
        document["category"] = job.category
    if job.held_until is not None:
        document["heldUntil"] = job.held_until
    if job.parent is not None:
        document["parent"] = parent_document(job.parent)
    if job.sent_at is not None:
        document["sentAt"] = job.sent_at


def to_job(document: Mapping[str, Any]) -> Job:
    """The job in a document; what a projection left out comes back empty."""
    get = document.get
    claim = get("claim")
    error = get("error")
    to, payload, metadata = decode_json(document)
    return Job(
        job_id=document["jobId"],
        client=document["client"],
        type=_CHANNELS[document["type"]],
        to=to,
        payload=payload,
        status=_STATUSES[document["status"]],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        expires_at=document["expiresAt"],
        priority=_PRIORITIES[document["priority"]],
        region=get("region", ""),
        metadata=metadata,
        attempts=document["attempts"],
        max_attempts=document["maxAttempts"],
        on_unknown_outcome=_POLICIES[document["onUnknownOutcome"]],
        may_have_been_sent=document["mayHaveBeenSent"],
        replays=document["replays"],
        idempotency_key=get("idempotencyKey"),
        fingerprint=get("fingerprint"),
        created_by=get("createdBy"),
        send_at=get("sendAt"),
        provider=get("provider"),
        provider_message_id=get("providerMessageId"),
        refused_by=tuple(get("refusedBy", ())),
        error=None if error is None else JobError(error["code"], error["message"], error.get("provider")),
        claim=None if claim is None else Claim(claim["token"], claim["worker"], claim["leaseUntil"]),
        next_attempt_at=get("nextAttemptAt"),
        queued_at=get("queuedAt"),
        due_at=get("dueAt"),
        finished_at=get("finishedAt"),
        dead_lettered_at=get("deadLetteredAt"),
        purge_at=get("purgeAt"),
        logs=tuple([_to_entry(entry) for entry in get("logs", ())]),
        log_count=document["logCount"],
        records_events="eventVersion" in document,
        template=None if "template" not in document else TemplateUse(**document["template"]),
        trace=None if "trace" not in document else Trace.parse(document["trace"]),
        recipient_id=get("recipientId"),
        category=get("category"),
        held_until=get("heldUntil"),
        sent_at=get("sentAt"),
        campaign=get("campaign"),
        parent=None if "parent" not in document else parent_of(document),
    )


# --- Parts --------------------------------------------------------------------------------------------------------


def claim_document(claim: Claim, job_id: JobId) -> Document:
    """The ``claim`` of a job's document.

    ``fence`` is the token and the job in one value: a write to many jobs, each under a token of its own, can then ask
    for all of them with one ``$in``, and no job passes with another one's token.
    """
    return {
        "token": claim.token,
        "worker": claim.worker,
        "leaseUntil": claim.lease_until,
        "fence": fence(claim.token, job_id),
    }


def fence(token: str, job_id: JobId) -> str:
    """See ``claim_document``."""
    return f"{token}/{job_id}"


#: Between name and value of a label; in neither, because both are free of control characters.
_LABEL_MARK = "\x1f"
#: A longer value is kept in the index as its hash.
_LABEL_LIMIT = 128


def label(key: str, value: str | None = None) -> str:
    """What stands in ``labels`` for a name of ``metadata``, or for a name with a value as ``job.label_text`` writes it.

    In one field, because names are the client's own: dots and dollars in them would mean something else in a query.
    """
    if value is None:
        return key
    if len(value) > _LABEL_LIMIT:
        value = hashlib.sha256(value.encode()).hexdigest()
    return f"{key}{_LABEL_MARK}{value}"


def _labels(key: str, value: object) -> Iterator[str]:
    yield label(key)
    text = label_text(value)
    if text is not None:
        yield label(key, text)


def _error_document(error: JobError) -> Document:
    document = {"code": error.code, "message": error.message}
    if error.provider is not None:
        document["provider"] = error.provider
    return document


_ENTRY_FIELDS = {
    "attempt": "attempt",
    "provider": "provider",
    "outcome": "outcome",
    "code": "code",
    "message": "message",
    "latency_ms": "latencyMs",
    "next_attempt_at": "nextAttemptAt",
    "by": "by",
    "receipt_id": "receiptId",
    "happened_at": "happenedAt",
}


def _entry_document(entry: LogEntry) -> Document:
    document: Document = {"at": entry.at, "event": entry.event}
    for attribute, name in _ENTRY_FIELDS.items():
        value = getattr(entry, attribute)
        if value is not None:
            document[name] = value
    return document


def _to_entry(document: Mapping[str, Any]) -> LogEntry:
    get = document.get
    return LogEntry(
        document["at"],
        document["event"],
        get("attempt"),
        get("provider"),
        get("outcome"),
        get("code"),
        get("message"),
        get("latencyMs"),
        get("nextAttemptAt"),
        get("by"),
        get("receiptId"),
        get("happenedAt"),
    )


# --- Changes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patch:
    """What a transition changes in its document: fields to set, fields to take away, log entries to append."""

    values: Document
    removed: tuple[str, ...]
    logs: list[Document]
    event: Document | None = None


def to_patch(transition: Transition) -> Patch:
    """The changes of a transition. ``to``, ``payload`` and the like never change."""
    values: Document = {}
    removed: list[str] = []
    changes = transition.changes
    for attribute, value in changes.items():
        if value is None:
            removed.append(_CHANGEABLE[attribute])
        else:
            values[_CHANGEABLE[attribute]] = value
    if "status" in values:
        values["status"] = values["status"].value
    if "error" in values:
        values["error"] = _error_document(values["error"])
    if "claim" in values:
        values["claim"] = claim_document(values["claim"], transition.job_id)
    is_parked = transition.status in CLAIMABLE and changes.get("queued_at", _UNCHANGED) is None
    if is_parked and "dueAt" in values:
        values["parkedUntil"] = values["dueAt"]
    else:
        removed.append("parkedUntil")
    event = None
    if transition.event is not None:
        event = event_document(transition.event)
        values["eventsDueAt"] = transition.event.at
    return Patch(values, tuple(removed), [_entry_document(entry) for entry in transition.entries], event)


_UNCHANGED = object()

#: Names in the document of those fields of ``Job`` that a transition may change.
_CHANGEABLE = _OPTIONAL | {
    "status": "status",
    "attempts": "attempts",
    "replays": "replays",
    "may_have_been_sent": "mayHaveBeenSent",
    "sent_at": "sentAt",
    "updated_at": "updatedAt",
    "expires_at": "expiresAt",
    "refused_by": "refusedBy",
    "error": "error",
    "claim": "claim",
}
