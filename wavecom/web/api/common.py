"""What several views need."""

from __future__ import annotations

import re

import orjson
from flask import Response

from wavecom.core.job import JobId
from wavecom.errors import JobNotFoundError

_JOB_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

NO_SUCH_JOB = "There is no notification with this id for your key. It may have been deleted at the end of its time."


def json_response(body: object, status: int = 200) -> Response:
    """An answer with ``body`` as JSON."""
    return Response(orjson.dumps(body), status, mimetype="application/json")


def job_id_in_path(text: str) -> JobId:
    """The id in the form that it is stored in. Raises ``JobNotFoundError`` for what no job can be called."""
    if not _JOB_ID.fullmatch(text):
        raise JobNotFoundError(NO_SUCH_JOB)
    return JobId(text.lower())
