"""``/api/notifications/…``: cancel one, start one again or many, settle an unconfirmed one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response

from wavecom import errors
from wavecom.accounts import Caller, KeyScope
from wavecom.core.audit import FailureReason
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.job import JobId
from wavecom.core.replay_preview import ReplayPreview
from wavecom.errors import JobNotFoundError
from wavecom.services.web import WebServices
from wavecom.web import limit_headers
from wavecom.web.api import answers, fallbacks, representation
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import job_id_in_path, json_response
from wavecom.web.api.declarations import JOB_ID
from wavecom.web.api.fallbacks import ONE_OR_FALLBACK
from wavecom.web.api.notifications import PATH
from wavecom.web.api.schemas.action import RetrySchema, SettledAs, SettleSchema
from wavecom.web.api.schemas.replay import ReplayRequest, ReplaySchema
from wavecom.web.authentication import Authenticator, caller

REPLAY_EXAMPLE = {
    "errorCode": "attempts_exhausted",
    "provider": "gateway",
    "failedSince": "2026-03-14T08:00:00Z",
    "ratePerSecond": 50,
}
RETRY_EXAMPLE = {"acceptDuplicate": True}
SETTLE_EXAMPLE = {"outcome": "delivered", "reason": "The gateway's console shows it as delivered at 09:27."}
#: Notifications that a dry run shows.
_SAMPLE = 10


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint("actions", __name__, url_prefix=PATH, description="Act on notifications.")
    authenticator = Authenticator(services.keys)

    @blueprint.operation("POST", "/<job_id>/cancel", id="cancelNotification")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(JOB_ID)
    @blueprint.answers(200, ONE_OR_FALLBACK, example=answers.CANCELLED_EXAMPLE, description="It will never be sent.")
    @blueprint.fails(
        errors.JobNotFoundError,
        errors.TooLateToCancelError,
        errors.MayHaveBeenSentError,
        errors.LostRaceError,
        errors.UncertainWriteError,
    )
    def cancel(job_id: str) -> Response:
        """Make sure that a notification is never sent.

        200 is a promise: no provider has had it, and none will. May be repeated. Where that can't be promised any more
        the answer is 409 and says why. Of a fallback no further step begins, and the current one is not sent if it has
        not been yet; `mayHaveBeenSent` says whether an earlier one may still arrive.
        """
        return json_response(_cancel(services, job_id_in_path(job_id), caller()))

    @blueprint.operation("POST", "/<job_id>/retry", id="retryNotification")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(JOB_ID)
    @blueprint.reads(RetrySchema(), example=RETRY_EXAMPLE)
    @blueprint.answers(
        202, answers.NOTIFICATION, example=answers.RETRIED_EXAMPLE, description="Queued again, from the start."
    )
    @blueprint.fails(
        errors.JobNotFoundError,
        errors.NotFailedError,
        errors.DuplicatePossibleError,
        errors.LostRaceError,
        errors.UncertainWriteError,
        *limit_headers.ERRORS,
    )
    def retry(wanted: dict[str, bool], job_id: str) -> Response:
        """Start a failed or unconfirmed notification again.

        With all its attempts and 72 hours from now on. The provider gets a new idempotency key, because it is a new
        message that you ask for; it counts against your key's limits as one that you send. One that may have been sent
        and was to be sent at most once (`onUnknownOutcome` is `stop`) needs `acceptDuplicate: true`. 409 for any other
        status, also when this is repeated.
        """
        who = caller()

        def charge() -> None:
            services.acceptance.charge(who, 1)

        if wanted["accept_duplicate"]:
            options = BulkOptions(operator=who.name, client=who.client)
            job = services.dead_letters.replay_one(job_id_in_path(job_id), options, charge, accepts_duplicate=True)
        else:
            job = services.operations.replay(job_id_in_path(job_id), who.client, by=who.name, charge=charge)
        return json_response(representation.detail(job), 202)

    @blueprint.operation("POST", "/<job_id>/settle", id="settleNotification")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(JOB_ID)
    @blueprint.reads(SettleSchema(), example=SETTLE_EXAMPLE)
    @blueprint.answers(
        200, answers.NOTIFICATION, example=answers.SETTLED_EXAMPLE, description="It has come to its end."
    )
    @blueprint.fails(
        errors.JobNotFoundError, errors.NotUnconfirmedError, errors.LostRaceError, errors.UncertainWriteError
    )
    def settle(wanted: dict[str, str], job_id: str) -> Response:
        """Close an unconfirmed notification, because you have found out what became of it.

        As `delivered` or as `failed`; a failed one can be retried. The reason stands in its log, and who gave it in the
        audit log. May be repeated with the same outcome. 409 for one that is not unconfirmed.
        """
        options = BulkOptions(operator=caller().name, client=caller().client)
        is_delivered = wanted["outcome"] == SettledAs.DELIVERED
        job = services.dead_letters.settle_one(
            job_id_in_path(job_id), options, is_delivered=is_delivered, reason=wanted["reason"]
        )
        return json_response(representation.detail(job))

    @blueprint.operation("POST", "/replay", id="replayNotifications")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.reads(ReplaySchema(services.clock.now), example=REPLAY_EXAMPLE)
    @blueprint.answers(
        200, answers.REPLAY_PREVIEW, example=answers.REPLAY_PREVIEW_EXAMPLE, description="What a replay would start."
    )
    @blueprint.answers(202, answers.REPLAY, example=answers.REPLAY_EXAMPLE, description="They start at the rate given.")
    @blueprint.fails(errors.UncertainWriteError, *limit_headers.ERRORS)
    def replay(wanted: ReplayRequest) -> Response:
        """Start many failed notifications again.

        Those that match all filters, or those named by their ids; at most a thousand a call, the ones that failed first
        first. Those that may have been sent and were to be sent at most once are left alone and counted in `inDoubt`,
        unless `acceptDuplicate` is true; named by their ids, unconfirmed ones can be started so, too. Where there are
        more, `next` is the body of the next call. Each starts in a second of its own, so many a second. May be
        repeated: what has been started is not failed any more. Counts against your key's limits as a batch of as many.
        """
        if wanted.is_dry_run:
            preview = preview_of(wanted, _options(wanted, caller()), _SAMPLE)
            return json_response(_preview(preview))
        now = services.clock.now()
        options = _options(wanted, caller(), starts_at=max(now, wanted.starts_at or now))
        if services.acceptance.is_limited(caller()):
            expected = preview_of(wanted, options).count
            services.acceptance.charge(caller(), min(expected, wanted.limit))
        operation = services.dead_letters.replay(wanted.selection, options, accepts_duplicate=wanted.accepts_duplicate)
        return json_response(_replayed(wanted, options, operation), 202)

    def preview_of(wanted: ReplayRequest, options: BulkOptions, sample_size: int = 0) -> ReplayPreview:
        return services.dead_letters.preview(
            wanted.selection, options, sample_size, accepts_duplicate=wanted.accepts_duplicate
        )

    def _replayed(wanted: ReplayRequest, options: BulkOptions, operation: BulkOperation) -> dict[str, Any]:
        remaining, following = 0, None
        # Of those that match filters, the ones in doubt do not use up the limit.
        taken = operation.looked_at if isinstance(wanted.selection, tuple) else operation.looked_at - operation.in_doubt
        if taken >= wanted.limit:
            following = _following(wanted, options, operation)
            rest = ReplaySchema(services.clock.now).load(following)
            remaining = preview_of(rest, options).count
        last = options.start_of(operation.done - 1) if operation.done else None
        return {
            "auditId": operation.operation_id,
            "replayed": operation.done,
            "skipped": operation.already_done,
            "inDoubt": operation.in_doubt,
            "unknown": operation.unknown,
            "reasons": _reasons(operation.reasons),
            "lastStartsAt": None if last is None else representation.rfc3339(last),
            "remaining": remaining,
            "next": following if remaining else None,
        }

    return blueprint


def _cancel(services: WebServices, job_id: JobId, who: Caller) -> dict[str, Any]:
    """Cancel the notification, or the fallback, with this id."""
    try:
        return representation.detail(services.operations.cancel(job_id, who.client, by=who.name))
    except JobNotFoundError:
        return fallbacks.detail(services, services.fallbacks.cancel(job_id, who.client, by=who.name))


def _options(wanted: ReplayRequest, by: Caller, **more: Any) -> BulkOptions:
    return BulkOptions(
        operator=by.name,
        client=by.client,
        rate_per_second=wanted.rate_per_second,
        limit=wanted.limit,
        is_dry_run=wanted.is_dry_run,
        **more,
    )


def _following(wanted: ReplayRequest, options: BulkOptions, operation: BulkOperation) -> dict[str, Any]:
    """The body of the call that goes on where this one ended: the same pace, and none that has failed again since."""
    body = dict(wanted.body)
    if isinstance(wanted.selection, tuple):
        body["jobIds"] = list(wanted.selection[wanted.limit :])
    elif wanted.selection.failed_before is None or wanted.selection.failed_before > operation.started_at:
        body["failedBefore"] = representation.rfc3339(operation.started_at)
    starts_at = options.start_of(operation.done)
    if starts_at is not None:
        # The second of the last one may be full.
        body["startsAt"] = representation.rfc3339(starts_at + timedelta(seconds=1))
    return body


def _preview(preview: ReplayPreview) -> dict[str, Any]:
    return {
        "count": preview.count,
        "reasons": _reasons(preview.reasons),
        "sample": [representation.summary(job) for job in preview.sample],
    }


def _reasons(reasons: Any) -> list[dict[str, Any]]:
    found: list[tuple[FailureReason, int]] = sorted(reasons.items(), key=lambda each: (-each[1], each[0].code))
    return [{"code": reason.code, "provider": reason.provider, "count": count} for reason, count in found]
