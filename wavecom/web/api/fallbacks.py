"""Fallbacks as clients send, read and cancel them: at the addresses of notifications, under an id of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson

from wavecom.core.actor import Actor
from wavecom.core.fallback import Fallback, FallbackEvent, FallbackStatus, Step
from wavecom.core.fallback_acceptance import AcceptedFallback
from wavecom.core.job import Job, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.quota import StoredAnswer
from wavecom.core.states import Status
from wavecom.errors import InvalidRequestError
from wavecom.services.web import WebServices
from wavecom.web.api import answers
from wavecom.web.api.arguments import idempotency_key
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.fallback import FALLBACK, FallbackRequest
from wavecom.web.api.schemas.metadata import METADATA_VALUE
from wavecom.web.api.sending import SendResponse
from wavecom.web.api.shapes import Json, Shape, array, boolean, enum, integer, nullable, record, text, timestamp, uuid

ACCEPTED = record(
    "AcceptedFallback",
    {
        "jobId": uuid("the id of the whole; each step gets one of its own"),
        "status": enum(["waiting"]),
        "type": enum([FALLBACK]),
        "priority": enum(Priority),
        "createdAt": timestamp("when it was accepted"),
        "sendAt": timestamp("as sent; only where it is scheduled"),
        "steps": array(
            record(
                "AcceptedFallbackStep",
                {"step": integer("from 1", minimum=1), "type": enum(Channel), "waitSeconds": nullable(integer())},
            ),
            "in their order",
        ),
    },
    optional={"sendAt"},
    description="The first answer about a fallback; a replay repeats it word for word.",
)
_STEP = record(
    "FallbackStepRead",
    {
        "step": integer("from 1", minimum=1),
        "type": enum(Channel),
        "to": answers.TO,
        "waitSeconds": nullable(integer("how long it is waited for; null for the last step")),
        "beganAt": nullable(timestamp("null: it has not begun")),
        "jobId": nullable(uuid("the notification that it is; null where there is none yet")),
        "status": nullable(enum(Status, "of that notification; null where there is none")),
    },
)
_ENTRY = record(
    "FallbackLogEntry",
    {
        "at": timestamp(),
        "event": enum(FallbackEvent, "docs/api.md explains each"),
        "step": integer(minimum=1),
        "message": text("why"),
        "by": text("who asked for it: `key <keyId>`, or `operator`"),
    },
    optional={"step", "message", "by"},
)
FALLBACK_READ = record(
    "Fallback",
    {
        "jobId": uuid("the id of the whole"),
        "type": enum([FALLBACK]),
        "status": enum(FallbackStatus),
        "priority": enum(Priority),
        "onUnknownOutcome": enum(UnknownOutcomePolicy),
        "deliveredStep": nullable(integer("the step that was delivered", minimum=1)),
        "mayHaveBeenSent": boolean("at its end a step had been handed over that was not known to have failed"),
        "steps": array(_STEP, "in their order"),
        "logs": array(_ENTRY, "what happened, oldest first"),
        "metadata": {"type": "object", "additionalProperties": METADATA_VALUE, "description": "as sent"},
        "idempotencyKey": nullable(text("as sent")),
        "createdBy": nullable(text("who sent it: `key <keyId>`, or `operator`")),
        "createdAt": timestamp("when it was accepted"),
        "updatedAt": timestamp("when it last changed"),
        "sendAt": nullable(timestamp("as sent")),
        "expiresAt": timestamp("when WaveCom gives up"),
        "finishedAt": nullable(timestamp("when it came to its end")),
    },
    description="One notification over several channels, as `fallback` asked for it.",
)

#: What is answered where a fallback has the address of a notification.
ONE_OR_FALLBACK_ACCEPTED = Shape("AcceptedNotificationOrFallback", {"anyOf": [answers.ACCEPTED, ACCEPTED]})
ONE_OR_FALLBACK = Shape("NotificationOrFallback", {"anyOf": [answers.NOTIFICATION, FALLBACK_READ]})


def send(
    services: WebServices, actor: Actor, wanted: FallbackRequest, key_header: str | None, traceparent: str | None
) -> SendResponse:
    """Accept it, or answer as before. Raises as ``Fallbacks.accept`` does, ``InvalidRequestError`` for the key too."""
    acceptance = services.acceptance
    try:
        key = idempotency_key(key_header)
    except InvalidRequestError as error:
        acceptance.charge_refused(actor)
        raise InvalidRequestError([*wanted.wrong, *error.problems]) from error
    is_tracing = services.settings.traces_url is not None
    try:
        new = wanted.to_fallback(
            actor,
            partial(services.templates.render, actor.client),
            key,
            traceparent=traceparent if is_tracing else None,
        )
    except InvalidRequestError:
        earlier = None if key is None else services.fallbacks.earlier(actor.client, key, wanted.fingerprint())
        if earlier is not None:
            return _answer(earlier)
        acceptance.charge_refused(actor)
        raise
    answer = _answer(services.fallbacks.accept(actor, new))
    if key is not None and new.fingerprint is not None and not isinstance(answer.body, str):
        acceptance.store_answer(actor, key, StoredAnswer(new.fingerprint, answer.job_id, answer.body.decode()))
    return answer


def detail(services: WebServices, fallback: Fallback) -> Json:
    """The whole fallback with what its jobs say now."""
    return represented(fallback, services.fallbacks.jobs_of(fallback))


def represented(fallback: Fallback, jobs: Mapping[int, Job]) -> Json:
    """The fallback as its client sees it; ``jobs`` by the numbers of their steps."""
    return {
        "jobId": fallback.fallback_id,
        "type": FALLBACK,
        "status": fallback.status.value,
        "priority": fallback.priority.value,
        "onUnknownOutcome": fallback.on_unknown_outcome.value,
        "deliveredStep": fallback.delivered_step,
        "mayHaveBeenSent": fallback.may_have_been_sent,
        "steps": [_step(step, number, jobs.get(number)) for number, step in enumerate(fallback.steps, 1)],
        "logs": [_entry(entry) for entry in fallback.logs],
        "metadata": fallback.metadata,
        "idempotencyKey": fallback.idempotency_key,
        "createdBy": fallback.created_by,
        "createdAt": rfc3339(fallback.created_at),
        "updatedAt": rfc3339(fallback.updated_at),
        "sendAt": None if fallback.send_at is None else rfc3339(fallback.send_at),
        "expiresAt": rfc3339(fallback.expires_at),
        "finishedAt": None if fallback.finished_at is None else rfc3339(fallback.finished_at),
    }


def _step(step: Step, number: int, job: Job | None) -> Json:
    return {
        "step": number,
        "type": step.type.value,
        "to": step.to,
        "waitSeconds": _seconds(step),
        "beganAt": None if step.begun_at is None else rfc3339(step.begun_at),
        "jobId": step.job_id if job is None else job.job_id,
        "status": None if job is None else job.status.value,
    }


def _entry(entry: Any) -> Json:
    values = {
        "at": rfc3339(entry.at),
        "event": entry.event.value,
        "step": entry.step,
        "message": entry.message,
        "by": entry.by,
    }
    return {name: value for name, value in values.items() if value is not None}


def _seconds(step: Step) -> int | None:
    return None if step.wait is None else int(step.wait.total_seconds())


def _answer(accepted: AcceptedFallback) -> SendResponse:
    if accepted.stored is not None:
        return SendResponse(accepted.fallback_id, accepted.stored.body, is_replay=True)
    assert accepted.fallback is not None  # noqa: S101 - without a stored answer there is the fallback
    return SendResponse(
        accepted.fallback_id, orjson.dumps(_accepted(accepted.fallback)), accepted.is_replay, accepted.limits
    )


def _accepted(fallback: Fallback) -> Json:
    """The first answer; the same for ever, whatever becomes of it."""
    body: Json = {
        "jobId": fallback.fallback_id,
        "status": FallbackStatus.WAITING.value,
        "type": FALLBACK,
        "priority": fallback.priority.value,
        "createdAt": rfc3339(fallback.created_at),
    }
    if fallback.send_at is not None and fallback.send_at > fallback.created_at:
        body["sendAt"] = rfc3339(fallback.send_at)
    body["steps"] = [
        {"step": number, "type": step.type.value, "waitSeconds": _seconds(step)}
        for number, step in enumerate(fallback.steps, 1)
    ]
    return body
