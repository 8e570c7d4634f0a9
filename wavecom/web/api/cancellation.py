"""``POST /api/notifications/cancel``: many that wait are never sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.bulk_cancellation import COUNT_LIMIT, position_cursor, waiting
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.services.web import WebServices
from wavecom.web.api import answers, cursors, representation
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.schemas.cancel import CancelRequest, CancelSchema
from wavecom.web.api.shapes import Json, anything, array, boolean, integer, nullable, record, text
from wavecom.web.authentication import Authenticator, caller

CANCEL_EXAMPLE = {
    "metadataKey": "campaign",
    "metadataValue": "spring",
    "type": "sms",
    "reason": "The price in it is wrong.",
}
#: Notifications that a dry run shows.
_SAMPLE = 10
#: Nobody is called, so nothing has to be paced: so many a second means at once.
_AT_ONCE = 1_000_000.0

RESULT = record(
    "CancelResult",
    {
        "auditId": text("under which WaveCom remembers who asked for this, and why"),
        "cancelled": integer("how many this call has cancelled"),
        "left": integer("how many were left: on their way by then, or sent already, perhaps"),
        "next": nullable(anything("the body of the next call; null when nothing remains")),
    },
)
PREVIEW = record(
    "CancelPreview",
    {
        "count": nullable(integer("how many wait and match; null where counting takes too long")),
        "isAtLeast": boolean(f"there may be more: counting ends at {COUNT_LIMIT}"),
        "sample": array(answers.SUMMARY, "a few, the newest first"),
    },
)
RESULT_EXAMPLE: Json = {
    "auditId": "019ceba1-0000-7000-8000-000000000001",
    "cancelled": 412,
    "left": 3,
    "next": None,
}
PREVIEW_EXAMPLE: Json = {
    "count": 415,
    "isAtLeast": False,
    "sample": [
        answers.SUMMARY_EXAMPLE | {"status": "queued", "provider": None, "providerMessageId": None, "attempts": 0}
    ],
}


def add_to(blueprint: ApiBlueprint, authenticator: Authenticator, services: WebServices) -> None:
    """Add the view to that of notifications."""

    @blueprint.operation("POST", "/cancel", id="cancelNotifications")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.reads(CancelSchema(), example=CANCEL_EXAMPLE)
    @blueprint.answers(200, PREVIEW, example=PREVIEW_EXAMPLE, description="What would be cancelled.")
    @blueprint.answers(202, RESULT, example=RESULT_EXAMPLE, description="They will never be sent.")
    @blueprint.fails(errors.UncertainWriteError)
    def cancel_many(wanted: CancelRequest) -> Response:
        """Make sure that many notifications are never sent.

        Those that wait (`scheduled`, `queued`, `retrying`) and match all filters; at most a thousand a call, the newest
        first. Those that are on their way by then, or may have been sent, are left and counted in `left`, and so is
        what is accepted after the call began. Where there may be more, `next` is the body of the next call. May be
        repeated. Every call that is no dry run has an entry in WaveCom's audit, with `reason` where there is one.
        """
        if wanted.is_dry_run:
            return json_response(_preview(services, replace(wanted.where, client=caller().client)))
        options = BulkOptions(
            operator=caller().name,
            client=caller().client,
            rate_per_second=_AT_ONCE,
            limit=wanted.limit,
            reason=wanted.reason,
        )
        operation = services.cancellation.cancel(wanted.where, options, after=wanted.after)
        return json_response(_cancelled(wanted, operation), 202)


def _preview(services: WebServices, where: Any) -> dict[str, Any]:
    count = services.cancellation.expected(where)
    page = services.jobs.search(waiting(where), _SAMPLE)
    return {
        "count": count,
        "isAtLeast": count is not None and count >= COUNT_LIMIT,
        "sample": [representation.summary(job) for job in page.jobs],
    }


def _cancelled(wanted: CancelRequest, operation: BulkOperation) -> dict[str, Any]:
    place = position_cursor(operation)
    # Of those that match filters, the ones in doubt do not use up the limit.
    is_over = place is None or operation.looked_at - operation.in_doubt < wanted.limit
    return {
        "auditId": operation.operation_id,
        "cancelled": operation.done,
        "left": operation.already_done + operation.in_doubt,
        "next": None if is_over or place is None else {**wanted.body, "cursor": cursors.encode(place)},
    }
