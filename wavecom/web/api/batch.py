"""``POST /api/notifications/batch``: up to a thousand at once, each with an answer of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.acceptance import Acceptance
from wavecom.core.actor import Actor
from wavecom.core.submission import Accepted, Submission, SubmissionResult
from wavecom.core.templates.batch_rendering import BatchRenderer
from wavecom.errors import (
    InvalidRequestError,
    LimitStatus,
    NothingAcceptedError,
    RefusedError,
    StoreError,
)
from wavecom.services.web import WebServices
from wavecom.web import problems
from wavecom.web.api import answers, representation
from wavecom.web.api.arguments import HEADER, IDEMPOTENCY_KEY, REPLAYED, idempotency_key
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.openapi import PROBLEM
from wavecom.web.api.schemas.batch import BatchItem, BatchSchema
from wavecom.web.api.schemas.notification import NotificationRequest
from wavecom.web.api.shapes import Json, array, boolean, integer, record
from wavecom.web.authentication import Authenticator, caller
from wavecom.web.limit_headers import ERRORS, HEADERS, limit_headers
from wavecom.web.request_middleware import TRACEPARENT

EXAMPLE = {
    "common": {"type": "sms", "payload": {"text": "Hello"}},
    "notifications": [
        {"to": {"phone": "+447700900123"}, "idempotencyKey": "hello-1"},
        {"to": {"phone": "+447700900124"}, "idempotencyKey": "hello-2", "payload": {"text": "Hallo"}},
    ],
}

_RESULT = record(
    "BatchResult",
    {
        "status": integer("what this item would have been answered by itself", minimum=200, maximum=599),
        "notification": answers.ACCEPTED,
        "replayed": boolean("this repeats an earlier answer"),
        "problem": PROBLEM,
    },
    optional={"notification", "replayed", "problem"},
    description="Of one item: `notification` where it was accepted, else `problem`, whose pointers begin at the item.",
)
_RESULTS = record(
    "BatchResults",
    {
        "accepted": integer("how many items were accepted, now or before"),
        "refused": integer("how many were not"),
        "results": array(_RESULT, "one for each item, in order"),
    },
)
_TAKEN: Json = {"status": 202, "notification": answers.ACCEPTED_EXAMPLE}
_REFUSED: Json = {
    "status": 422,
    "problem": {
        "type": "/docs/errors#invalid_request",
        "title": "The request has fields that are wrong",
        "status": 422,
        "detail": "One field is wrong; see errors.",
        "code": "invalid_request",
        "requestId": "5d6cf3b0a1b54bb08f0c0f2f4d1e6a77",
        "errors": [{"pointer": "/payload/text", "message": "must not be empty", "code": "empty"}],
    },
}


def add_to(blueprint: ApiBlueprint, authenticator: Authenticator, services: WebServices) -> None:
    """Add the operation to the blueprint of notifications."""

    @blueprint.operation("POST", "/batch", id="sendNotifications")
    @authenticator.requires(KeyScope.SEND)
    @blueprint.takes(IDEMPOTENCY_KEY)
    @blueprint.reads(
        BatchSchema(services.clock.now, services.settings.mail_addresses, services.settings.sender_id_signs),
        example=EXAMPLE,
    )
    @blueprint.answers(
        202,
        _RESULTS,
        example={"accepted": 1, "refused": 0, "results": [_TAKEN]},
        description="All were accepted.",
        headers={REPLAYED: "`true` where every item repeats an earlier answer"} | HEADERS,
    )
    @blueprint.answers(
        207,
        _RESULTS,
        example={"accepted": 1, "refused": 1, "results": [_TAKEN, _REFUSED]},
        description="Some were accepted, some were not: see `results`.",
        headers=HEADERS,
    )
    @blueprint.fails(errors.NothingAcceptedError, errors.UncertainWriteError, *ERRORS)
    def send_batch(items: list[BatchItem]) -> Response:
        """Accept up to 1,000 notifications, each for itself.

        What is wrong with one costs no other. What all share may stand once, in `common`: an item says the rest,
        and what it says itself holds. An item may have an `idempotencyKey` of its own; with the header
        `Idempotency-Key` those without one take the header's, a slash and their place in the list, from 0. Of the
        key's limits a batch uses up one for each item that is new; items that are refused count against the rate only.
        """
        actor = caller()
        render = BatchRenderer(partial(services.templates.render, actor.client), time.thread_time)
        named = {item.recipient_id for item in items if item.recipient_id is not None}
        recipients = services.recipients.find(actor.client, named) if named else {}
        items = [item.addressed(recipients).completed(render) for item in items]
        keys = _keys(items, idempotency_key(request.headers.get(HEADER)))
        traceparent = request.headers.get(TRACEPARENT) if services.settings.traces_url is not None else None
        outcomes, limits = _submit(services.acceptance, services.submission, actor, items, keys, traceparent)
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, InvalidRequestError):
                outcome.problems = tuple(item.placed(outcome.problems))
        response = _answer(outcomes)
        response.headers.extend(limit_headers(limits))
        return response


def _keys(items: Sequence[BatchItem], common: str | None) -> list[str | None]:
    if common is None:
        return [item.key for item in items]
    return [f"{common}/{index}" if item.key is None else item.key for index, item in enumerate(items)]


def _submit(
    acceptance: Acceptance,
    submission: Submission,
    actor: Actor,
    items: Sequence[BatchItem],
    keys: Sequence[str | None],
    traceparent: str | None,
) -> tuple[list[SubmissionResult], Sequence[LimitStatus]]:
    notifications = [
        item.request.to_notification(actor, key)
        for item, key in zip(items, keys, strict=True)
        if isinstance(item.request, NotificationRequest)
    ]
    if traceparent is not None:
        notifications = [replace(each, traceparent=traceparent) for each in notifications]
    repeated = _earlier(submission, actor.client, items, keys)
    refused = len(items) - len(notifications) - len(repeated)
    accepted, limits = acceptance.accept_many(actor, notifications, refused, len(repeated))
    answers = iter(accepted)
    outcomes: list[SubmissionResult] = []
    for index, item in enumerate(items):
        wrong = None if item.request else InvalidRequestError(item.wrong)
        outcomes.append(next(answers) if wrong is None else repeated.get(index, wrong))
    return outcomes, limits


def _earlier(
    submission: Submission, account: str, items: Sequence[BatchItem], keys: Sequence[str | None]
) -> dict[int, Accepted]:
    """What was accepted before of the items that could not be accepted now, by their places."""
    wrong = [(index, key) for index, key in enumerate(keys) if key is not None and items[index].request is None]
    found = submission.earlier(account, {key: items[index].fingerprint() for index, key in wrong})
    return {index: found[key] for index, key in wrong if key in found}


def _answer(outcomes: Sequence[SubmissionResult]) -> Response:
    accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes)
    if not accepted:
        # Then there is nothing that an answer for each would protect: come back with all of them.
        for outcome in outcomes:
            if isinstance(outcome, StoreError):
                raise outcome
    results = [_result(outcome) for outcome in outcomes]
    if not accepted:
        error = NothingAcceptedError(
            f"None of the {len(outcomes)} notifications was accepted; results tells why, for each."
        )
        return problems.answer(error, results=results)
    refused = len(outcomes) - accepted
    body = {"accepted": accepted, "refused": refused, "results": results}
    status = HTTPStatus.MULTI_STATUS if refused else HTTPStatus.ACCEPTED
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    if all(isinstance(outcome, Accepted) and outcome.is_replay for outcome in outcomes):
        response.headers[REPLAYED] = "true"
    return response


def _result(outcome: SubmissionResult) -> dict[str, Any]:
    if isinstance(outcome, RefusedError | StoreError):
        problem = problems.describe(outcome)
        return {"status": problem["status"], "problem": problem}
    result: dict[str, Any] = {"status": HTTPStatus.ACCEPTED, "notification": representation.accepted(outcome.job)}
    return result | {"replayed": True} if outcome.is_replay else result
