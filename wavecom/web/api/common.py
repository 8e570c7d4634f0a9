"""What several views need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from wavecom.core.ids import is_uuid
from wavecom.core.job import JobId
from wavecom.errors import JobNotFoundError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

NO_SUCH_JOB = "There is no notification with this id for your key. It may have been deleted at the end of its time."


class JsonResponse(Response):
    """An answer with a body, whose headers are final as they are set.

    werkzeug would go through them all for another content length and a location that is no address yet, which takes a
    tenth of a request.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        return self.headers


def json_response(body: object, status: int = 200) -> Response:
    """An answer with ``body`` as JSON."""
    return JsonResponse(orjson.dumps(body), status, mimetype="application/json")


def job_id_in_path(text: str) -> JobId:
    """The id in the form that it is stored in. Raises ``JobNotFoundError`` for what no job can be called."""
    if not is_uuid(text):
        raise JobNotFoundError(NO_SUCH_JOB)
    return JobId(text.lower())
