"""Accepting one notification: repeated answers first, then the key's limits, then the store."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson
from flask import Request, Response

from wavecom.accounts import Caller
from wavecom.core.intake import Finished, Room, Verdict
from wavecom.core.submission import Submission
from wavecom.errors import IdempotencyMismatchError, InvalidRequestError
from wavecom.web.api import representation
from wavecom.web.api.idempotency import REPLAYED, idempotency_key
from wavecom.web.api.limits import Gatekeeper, headers
from wavecom.web.api.schemas.notification import NotificationRequest, RefusedRequest, fingerprint


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets: the ``body`` as it went out the first time, about this job."""

    job_id: str
    body: str | bytes
    is_replay: bool = False
    rooms: tuple[Room, ...] = field(default=())

    def response(self, root: str) -> Response:
        """As HTTP; ``root`` is the path under which jobs are read."""
        response = Response(self.body, 202, mimetype="application/json")
        response.headers["Location"] = f"{root}/{self.job_id}"
        if self.is_replay:
            response.headers[REPLAYED] = "true"
        if self.rooms:
            response.headers.extend(headers(self.rooms))
        return response


class Sending:
    """What stands behind ``POST /api/notifications``."""

    def __init__(self, submission: Submission, gatekeeper: Gatekeeper) -> None:
        self._submission = submission
        self._gatekeeper = gatekeeper

    def send(self, who: Caller, notification: NotificationRequest | RefusedRequest, request: Request) -> Answer:
        """Accept it, or answer as before. Raises as ``Submission.accept`` and ``Gatekeeper.admit`` do."""
        if isinstance(notification, RefusedRequest):
            return self._again(who, notification, request)
        key = idempotency_key(request)
        new = notification.to_notification(who.client, key)
        verdict = self._gatekeeper.admit(who, 1, key)
        if verdict.finished is not None:
            return _repeated(verdict.finished, new.fingerprint)
        accepted = self._submission.accept(new)
        body = orjson.dumps(representation.accepted(accepted.job))
        if key is not None and new.fingerprint is not None:
            self._gatekeeper.remember(who, key, Finished(new.fingerprint, accepted.job.job_id, body.decode()))
        return Answer(accepted.job.job_id, body, accepted.is_replay, _rooms(verdict))

    def _again(self, who: Caller, refused: RefusedRequest, request: Request) -> Answer:
        """The first answer of a request that could not be accepted any more, its time having passed."""
        try:
            key = idempotency_key(request)
        except InvalidRequestError as header_error:
            raise InvalidRequestError([*refused.wrong, *header_error.problems]) from header_error
        if key is not None:
            found = self._submission.earlier(who.client, {key: fingerprint(refused.body)}).get(key)
            if found is not None:
                return Answer(found.job.job_id, orjson.dumps(representation.accepted(found.job)), is_replay=True)
        raise InvalidRequestError(refused.wrong)


def _repeated(finished: Finished, fingerprint: str | None) -> Answer:
    if finished.fingerprint != fingerprint:
        raise IdempotencyMismatchError
    return Answer(finished.job_id, finished.body, is_replay=True)


def _rooms(verdict: Verdict) -> tuple[Room, ...]:
    return tuple(verdict.rooms)
