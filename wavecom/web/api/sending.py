"""Accepting one notification that came over HTTP: from the API, the fast path or the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import orjson
from flask import Response

from wavecom.core.acceptance import Acceptance, AcceptedNotification
from wavecom.core.actor import Actor
from wavecom.core.job import Job
from wavecom.core.new_notification import NewNotification
from wavecom.core.quota import StoredAnswer
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.submission import Flushed, Submission
from wavecom.core.templates.rendering import NotCompiledError, TemplateRenderer
from wavecom.errors import InvalidRequestError, LimitStatus
from wavecom.services.web import WebServices
from wavecom.web.api import representation
from wavecom.web.api.arguments import REPLAYED, idempotency_key
from wavecom.web.api.schemas.addressed import AddressedRequest
from wavecom.web.api.schemas.notification import NotificationRequest, RefusedRequest, fingerprint
from wavecom.web.api.schemas.templated import TemplatedRequest
from wavecom.web.limit_headers import limit_headers


@dataclass(frozen=True, slots=True)
class SendResponse:
    """What a client gets: the ``body`` as it went out the first time, about this job."""

    job_id: str
    body: str | bytes
    is_replay: bool = False
    limits: Sequence[LimitStatus] = ()

    def headers(self, root: str) -> list[tuple[str, str]]:
        """Its headers as HTTP; ``root`` is the path under which jobs are read."""
        found = [("Location", f"{root}/{self.job_id}")]
        if self.is_replay:
            found.append((REPLAYED, "true"))
        if self.limits:
            found.extend(limit_headers(self.limits).items())
        return found

    def response(self, root: str) -> Response:
        """This answer as a Flask response."""
        return Response(self.body, 202, self.headers(root), mimetype="application/json")


class Sending:
    """What stands behind ``POST /api/notifications`` and the pages' form."""

    def __init__(
        self,
        acceptance: Acceptance,
        submission: Submission,
        templates: TemplateRenderer,
        recipients: RecipientAdministration,
        *,
        is_tracing: bool = False,
    ) -> None:
        self._is_tracing = is_tracing
        self._recipients = recipients
        self._acceptance = acceptance
        self._submission = submission
        self._templates = templates

    @classmethod
    def over(cls, services: WebServices) -> Sending:
        """The one that ``services`` make."""
        return cls(
            services.acceptance,
            services.submission,
            services.templates,
            services.recipients,
            is_tracing=services.settings.traces_url is not None,
        )

    def send(
        self,
        actor: Actor,
        notification: NotificationRequest | TemplatedRequest | AddressedRequest | RefusedRequest,
        key_header: str | None,
        traceparent: str | None = None,
    ) -> SendResponse:
        """Accept it, or answer as before; ``key_header`` is the Idempotency-Key as it came, ``traceparent`` the trace.

        A repetition has the first answer, whatever version of its template is current by now, and whatever the address
        of its recipient. Raises as ``Acceptance.accept`` does. What is refused for its fields counts against the
        actor's rate.
        """
        sent = notification.body
        try:
            if isinstance(notification, AddressedRequest):
                named = notification.recipient_id
                found = {} if named is None else self._recipients.find(actor.client, [named])
                notification = notification.completed(found)
            if isinstance(notification, TemplatedRequest):
                notification = notification.completed(partial(self._templates.render, actor.client))
        except InvalidRequestError as error:
            notification = RefusedRequest(sent, tuple(error.problems))
        if isinstance(notification, RefusedRequest):
            return self._again(actor, notification, key_header)
        try:
            key = idempotency_key(key_header)
        except InvalidRequestError:
            self._acceptance.charge_refused(actor)
            raise
        new = self._traced(notification.to_notification(actor, key), traceparent)
        return self._finish(actor, new, self._acceptance.accept(actor, new))

    def prepare(
        self,
        actor: Actor,
        notification: NotificationRequest | TemplatedRequest | AddressedRequest | RefusedRequest,
        key_header: str | None,
        traceparent: str | None = None,
    ) -> NewNotification | None:
        """What ``send_each`` takes; None where the request is refused, or something has to be asked or stored first."""
        if isinstance(notification, RefusedRequest | AddressedRequest):
            return None
        if isinstance(notification, TemplatedRequest):
            try:
                notification = notification.completed(partial(self._templates.render_now, actor.client))
            except (InvalidRequestError, NotCompiledError):
                return None
        new = self._traced(notification.to_notification(actor, idempotency_key(key_header)), traceparent)
        return new if self._acceptance.can_be_batched(actor, new) else None

    def send_each(self, requests: Sequence[tuple[Actor, NewNotification]]) -> list[Flushed[SendResponse]]:
        """``send`` for each of many that came at one time, each prepared; stored in one step."""
        accepted = self._acceptance.accept_each(requests)
        return [
            Flushed(partial(self._send_flushed, actor, new, each.result), each.is_new)
            for (actor, new), each in zip(requests, accepted, strict=True)
        ]

    def _traced(self, new: NewNotification, traceparent: str | None) -> NewNotification:
        return new if traceparent is None or not self._is_tracing else replace(new, traceparent=traceparent)

    def _send_flushed(
        self, actor: Actor, new: NewNotification, accepted: Callable[[], AcceptedNotification]
    ) -> SendResponse:
        return self._finish(actor, new, accepted())

    def _finish(self, actor: Actor, new: NewNotification, accepted: AcceptedNotification) -> SendResponse:
        answer = _answer(accepted)
        key = new.idempotency_key
        if key is not None and new.fingerprint is not None and accepted.stored is None:
            body = answer.body if isinstance(answer.body, str) else answer.body.decode()
            self._acceptance.store_answer(actor, key, StoredAnswer(new.fingerprint, accepted.job_id, body))
        return answer

    def _again(self, actor: Actor, refused: RefusedRequest, key_header: str | None) -> SendResponse:
        """The first answer of a request that could not be accepted any more, its time having passed."""
        wrong = refused.wrong
        try:
            key = idempotency_key(key_header)
        except InvalidRequestError as header_error:
            wrong, key = (*wrong, *header_error.problems), None
        if key is not None:
            found = self._submission.earlier(actor.client, {key: fingerprint(refused.body)}).get(key)
            if found is not None:
                return SendResponse(found.job.job_id, _body(found.job), is_replay=True)
        self._acceptance.charge_refused(actor)
        raise InvalidRequestError(wrong)


def _answer(accepted: AcceptedNotification) -> SendResponse:
    if accepted.stored is not None:
        return SendResponse(accepted.job_id, accepted.stored.body, is_replay=True)
    assert accepted.job is not None  # noqa: S101 - without a stored answer there is the job
    return SendResponse(accepted.job_id, _body(accepted.job), accepted.is_replay, accepted.limits)


def _body(job: Job) -> bytes:
    return orjson.dumps(representation.accepted(job))
