"""``/api/notifications``: send one, read one, list them."""

from __future__ import annotations

from flask import Response, request

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.errors import JobNotFoundError
from wavecom.services.web import WebServices
from wavecom.web import limit_headers
from wavecom.web.api import answers, batch, cancellation, cursors, fallbacks, representation
from wavecom.web.api.arguments import HEADER, IDEMPOTENCY_KEY, REPLAYED
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import NO_SUCH_JOB, job_id_in_path, json_response
from wavecom.web.api.declarations import JOB_ID
from wavecom.web.api.fallbacks import ONE_OR_FALLBACK, ONE_OR_FALLBACK_ACCEPTED
from wavecom.web.api.paging import LINK, page_response
from wavecom.web.api.schemas.addressed import AddressedRequest
from wavecom.web.api.schemas.fallback import FALLBACK, FallbackRequest, FallbackSchema
from wavecom.web.api.schemas.listing import ListQuery, ListRequest
from wavecom.web.api.schemas.notification import (
    NotificationRequest,
    RefusedRequest,
    RepeatableSchema,
)
from wavecom.web.api.schemas.templated import TemplatedRequest
from wavecom.web.api.sending import Sending
from wavecom.web.authentication import Authenticator, caller
from wavecom.web.request_middleware import TRACEPARENT

PATH = "/api/notifications"

SEND_EXAMPLE = {
    "type": "sms",
    "to": {"phone": "+447700900123"},
    "payload": {"text": "493817 is your code. It is valid for 5 minutes."},
    "priority": "high",
    "ttlSeconds": 300,
}


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "notifications", __name__, url_prefix=PATH, description="Send notifications and follow them."
    )
    authenticator = Authenticator(services.keys)
    sending = Sending.over(services)
    rules = (services.clock.now, services.settings.mail_addresses, services.settings.sender_id_signs)

    @blueprint.operation("POST", "", id="sendNotification")
    @authenticator.requires(KeyScope.SEND)
    @blueprint.takes(IDEMPOTENCY_KEY)
    @blueprint.reads(
        RepeatableSchema(*rules, others={FALLBACK: FallbackSchema(*rules)}),
        example=SEND_EXAMPLE,
    )
    @blueprint.answers(
        202,
        ONE_OR_FALLBACK_ACCEPTED,
        example=answers.ACCEPTED_EXAMPLE,
        description="Stored: WaveCom delivers it or says why not.",
        headers={"Location": "where it can be read", REPLAYED: "`true` where this repeats an earlier answer"}
        | limit_headers.HEADERS,
        links={"readNotification": {"job_id": "/jobId"}},
    )
    @blueprint.fails(
        errors.ChannelNotServedError, errors.IdempotencyMismatchError, errors.UncertainWriteError, *limit_headers.ERRORS
    )
    def send(
        notification: NotificationRequest | TemplatedRequest | AddressedRequest | RefusedRequest | FallbackRequest,
    ) -> Response:
        """Accept one notification for one recipient.

        In place of a `payload` it may name a `template` of yours, with `variables`, the recipient's `locale` and, where
        it is not to be the current one, a `version`. A `payload` beside it holds what the template does not give, such
        as attachments. In place of an address `to` may have a `recipient`, registered with `PUT /api/recipients`; what
        the recipient wants, and when, holds by the `category`.

        With `fallback` in place of `type`, `to` and `payload` it goes over several channels: a list of 2 to 5 steps, of
        which the next begins when one has failed, or was not confirmed within its `wait`.
        """
        headers = request.headers
        if isinstance(notification, FallbackRequest):
            return fallbacks.send(
                services, caller(), notification, headers.get(HEADER), headers.get(TRACEPARENT)
            ).response(_root())
        return sending.send(caller(), notification, headers.get(HEADER), headers.get(TRACEPARENT)).response(_root())

    @blueprint.operation("GET", "", id="listNotifications")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(ListQuery(), "query", example={"status": "failed,expired", "limit": 20})
    @blueprint.answers(
        200,
        answers.PAGE,
        example={"items": [answers.SUMMARY_EXAMPLE], "next": None},
        headers=LINK,
    )
    def find(query: ListRequest) -> Response:
        """List notifications, newest first."""
        page = services.jobs.search(query.for_client(caller().client), query.limit, query.after)
        cursor = None if page.next is None else cursors.encode(page.next)
        return page_response([representation.summary(job) for job in page.jobs], cursor)

    @blueprint.operation("GET", "/<job_id>", id="readNotification")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(JOB_ID)
    @blueprint.answers(200, ONE_OR_FALLBACK, example=answers.NOTIFICATION_EXAMPLE)
    @blueprint.fails(errors.JobNotFoundError)
    def read(job_id: str) -> Response:
        """One notification with its log; or a fallback with its steps, by the id that it was accepted with."""
        wanted = job_id_in_path(job_id)
        job = services.jobs.get(wanted, caller().client)
        if job is not None:
            return json_response(representation.detail(job))
        fallback = services.fallbacks.get(wanted, caller().client)
        if fallback is None:
            raise JobNotFoundError(NO_SUCH_JOB)
        return json_response(fallbacks.detail(services, fallback))

    batch.add_to(blueprint, authenticator, services)
    cancellation.add_to(blueprint, authenticator, services)
    return blueprint


def _root() -> str:
    """The path of the collection as the client sees it, also behind a proxy that mounts us below a prefix."""
    return request.root_path + PATH
