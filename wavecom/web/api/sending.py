"""Accepting one notification: repeated answers first, then the key's limits, then the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import orjson
from flask import Response

from wavecom.accounts import Caller
from wavecom.bootstrap import WebServices
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

    def headers(self, root: str) -> list[tuple[str, str]]:
        """Its headers as HTTP; ``root`` is the path under which jobs are read."""
        found = [("Location", f"{root}/{self.job_id}")]
        if self.is_replay:
            found.append((REPLAYED, "true"))
        if self.rooms:
            found.extend(headers(self.rooms).items())
        return found

    def response(self, root: str) -> Response:
        """As HTTP."""
        return Response(self.body, 202, self.headers(root), mimetype="application/json")


class Sending:
    """What stands behind ``POST /api/notifications``."""

    def __init__(self, submission: Submission, gatekeeper: Gatekeeper) -> None:
        self._submission = submission
        self._gatekeeper = gatekeeper

    @classmethod
    def over(cls, services: WebServices) -> Self:
        """The one that ``services`` make."""
        return cls(services.submission, Gatekeeper(services.intake, services.settings))

    def send(self, who: Caller, notification: NotificationRequest | RefusedRequest, key_header: str | None) -> Answer:
        """Accept it, or answer as before; ``key_header`` is the Idempotency-Key as it came.

        Raises as ``Submission.accept`` and ``Gatekeeper.check`` do, and ``InvalidRequestError``.
        """
        if isinstance(notification, RefusedRequest):
            return self._again(who, notification, key_header)
        key = idempotency_key(key_header)
        new = notification.to_notification(who.client, key)
        verdict, accepted = self._submission.accept_asking(new, self._gatekeeper.question(who, 1, key))
        self._gatekeeper.check(verdict, 1)
        if verdict.finished is not None:
            return _repeated(verdict.finished, new.fingerprint)
        assert accepted is not None  # noqa: S101 - nothing else was left
        body = orjson.dumps(representation.accepted(accepted.job))
        if key is not None and new.fingerprint is not None:
            self._gatekeeper.remember(who, key, Finished(new.fingerprint, accepted.job.job_id, body.decode()))
        return Answer(accepted.job.job_id, body, accepted.is_replay, _rooms(verdict))

    def _again(self, who: Caller, refused: RefusedRequest, key_header: str | None) -> Answer:
        """The first answer of a request that could not be accepted any more, its time having passed."""
        try:
            key = idempotency_key(key_header)
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
