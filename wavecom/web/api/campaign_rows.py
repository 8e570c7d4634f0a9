"""Rows of a campaign as they come and go over HTTP: the upload that can be resumed, and the rejected ones as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from io import StringIO
from typing import Any, Final

from flask import Response, request

from wavecom.core.acceptance import Acceptance
from wavecom.core.actor import Actor
from wavecom.core.campaigns.administration import CampaignAdministration
from wavecom.core.campaigns.decoding import gunzipped
from wavecom.core.campaigns.model import RejectedRow, RowFormat
from wavecom.core.campaigns.uploading import CheckBody
from wavecom.core.new_notification import NewNotification
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.templates.rendering import TemplateRenderer
from wavecom.errors import InvalidRequestError, Problem, UnsupportedMediaTypeError
from wavecom.web.api.csv_cells import escaped
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.schemas.addressed import AddressedRequest
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.schemas.templated import TemplatedRequest
from wavecom.web.api.shapes import text
from wavecom.web.long_answers import long_answer

#: Bytes that one request may hold: more than a million rows have.
BODY_LIMIT: Final = 16 * 1024 * 1024 * 1024
_PART: Final = 64 * 1024
_FORMATS: Final[Mapping[str, RowFormat]] = {
    "text/csv": RowFormat.CSV,
    "application/x-ndjson": RowFormat.NDJSON,
    "application/ndjson": RowFormat.NDJSON,
    "application/jsonl": RowFormat.NDJSON,
}
_OFFSET: Final = "Upload-Offset"
_COMPLETE: Final = "Upload-Complete"
OFFSET = Parameter(
    _OFFSET,
    "header",
    text(pattern="^[0-9]{1,15}$"),
    "the byte of all rows, without compression, with which this body begins; 0 where it is left out",
    "0",
)
COMPLETE = Parameter(
    _COMPLETE,
    "header",
    text(pattern=r"^\?[01]$"),
    "`?1` where the rows end with this body, `?0` (as where it is left out) where more will come",
    "?1",
)


def upload_offset() -> int:
    """What the request says. Raises ``InvalidRequestError``."""
    given = request.headers.get(_OFFSET, "0")
    if not (given.isascii() and given.isdecimal() and len(given) <= 15):
        raise InvalidRequestError([Problem(_OFFSET, "must be a number of bytes, such as 0", "invalid")])
    return int(given)


def is_last_part() -> bool:
    """Whether the rows end with this body. Raises ``InvalidRequestError``."""
    given = request.headers.get(_COMPLETE, "?0").strip()
    if given not in {"?0", "?1"}:
        raise InvalidRequestError([Problem(_COMPLETE, "must be ?1 (the rows end here) or ?0", "invalid")])
    return given == "?1"


def row_format() -> RowFormat:
    """What the rows are in. Raises ``UnsupportedMediaTypeError``."""
    found = _FORMATS.get(request.mimetype)
    if found is None:
        given = f"not {request.mimetype[:100]}" if request.mimetype else "and none was given"
        raise UnsupportedMediaTypeError(f"The Content-Type must be text/csv or application/x-ndjson, {given}.")
    return found


def row_parts() -> Iterator[bytes]:
    """The body, piece by piece and without its compression. Raises ``UnsupportedMediaTypeError``."""
    request.max_content_length = BODY_LIMIT
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise UnsupportedMediaTypeError("The Content-Encoding must be gzip; or leave it out.")
    stream = request.stream
    parts = iter(partial(stream.read, _PART), b"")
    return gunzipped(parts) if encoding == "gzip" else parts


def row_check(
    actor: Actor,
    schema: NotificationSchema,
    templates: TemplateRenderer,
    recipients: RecipientAdministration,
    acceptance: Acceptance,
) -> CheckBody:
    """What makes the notification of a row's body, by the same rules as of a single request."""
    render = partial(templates.render, actor.client)

    def check(body: Mapping[str, Any]) -> NewNotification:
        loaded = schema.read(body)
        if isinstance(loaded, AddressedRequest):
            named = loaded.recipient_id
            loaded = loaded.completed({} if named is None else recipients.find(actor.client, [named]))
        if isinstance(loaded, TemplatedRequest):
            loaded = loaded.completed(render)
        new = loaded.to_notification(actor)
        acceptance.check(actor, new)
        return new

    return check


class RejectedRows(Iterator[bytes]):
    """The rejected rows as CSV, part by part; ``next`` may be asked again after it has raised ``StoreError``."""

    HEADER: Final = ("row", "line", "field", "code", "message")

    def __init__(self, campaigns: CampaignAdministration, campaign_id: str) -> None:
        self._campaigns = campaigns
        self._campaign_id = campaign_id
        self._next: str | None = None
        self._is_first = True
        #: Whether all were given.
        self.is_done = False

    def __next__(self) -> bytes:
        if self.is_done:
            raise StopIteration
        page = self._campaigns.rejected(self._campaign_id, self._next)
        self._next, self.is_done = page.next, page.next is None
        text = StringIO()
        writer = csv.writer(text)
        if self._is_first:
            self._is_first = False
            writer.writerow(self.HEADER)
        for row in page.rows:
            writer.writerows(_lines(row))
        return text.getvalue().encode()


def rejected_csv(campaigns: CampaignAdministration, campaign_id: str, owner: str) -> Response:
    """All rejected rows as one CSV, sent as fast as it is read. ``owner``: see ``long_answer``."""
    parts = RejectedRows(campaigns, campaign_id)
    beginning = next(parts)
    response = long_answer(beginning, None if parts.is_done else parts, owner=owner, mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="rejected.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _lines(row: RejectedRow) -> Iterator[tuple[object, ...]]:
    for problem in row.problems:
        # Columns are named by whoever made the file.
        yield row.row, row.line or "", escaped(problem.field), problem.code, escaped(problem.message)
