"""``/api/suppressions``: a client's suppression list."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO, TextIOWrapper
from typing import Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from wavecom import errors
from wavecom.accounts import KeyScope
from wavecom.core.ids import is_uuid
from wavecom.core.job import JobId
from wavecom.core.ports import Cursor
from wavecom.core.suppressions import (
    Suppression,
    SuppressionAction,
    SuppressionCursor,
    SuppressionFilter,
    SuppressionScope,
    SuppressionSource,
    SuppressionState,
)
from wavecom.errors import InvalidRequestError, Problem, SuppressionNotFoundError, UnsupportedMediaTypeError
from wavecom.services.web import WebServices
from wavecom.web.api import cursors
from wavecom.web.api.blueprint import ApiBlueprint
from wavecom.web.api.common import json_response
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.field_errors import FieldErrorCode
from wavecom.web.api.paging import LINK, page_response
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.suppression import (
    LiftQuery,
    SuppressionExportQuery,
    SuppressionListRequest,
    SuppressionQuery,
    SuppressionSchema,
)
from wavecom.web.api.shapes import Shape, array, enum, integer, nullable, record, text, timestamp, uuid
from wavecom.web.api.suppression_csv import NAMED_LIMIT, SuppressionCsv
from wavecom.web.authentication import Authenticator, caller
from wavecom.web.long_answers import long_answer

PATH = "/api/suppressions"

SUPPRESSION_ID = Parameter(
    "suppression_id", "path", uuid(), "the entry's id", "019cebab-8995-7000-8000-0000000000aa", True
)

_SUMMARY: dict[str, Any] = {
    "suppressionId": uuid("what the entry is called; it says nothing about the recipient"),
    "type": text("the channel: `email`, `sms` or `push`"),
    "recipient": text("the address, number, token or endpoint, in the form that is looked up"),
    "source": enum(SuppressionSource, "how it became known"),
    "scope": enum(SuppressionScope, "`all` messages, or `marketing`: those whose priority is not `high`"),
    "state": enum(SuppressionState),
    "reason": text("why, in a few words"),
    "by": text("who added, changed or lifted it last"),
    "createdAt": timestamp("when it was added first"),
    "updatedAt": timestamp("when it was added, changed or lifted last"),
    "expiresAt": nullable(timestamp("when it ends by itself; null: never")),
    "liftedAt": nullable(timestamp("when it was lifted")),
}
_EVENT = record(
    "SuppressionEvent",
    {
        "at": timestamp(),
        "action": enum(SuppressionAction),
        "by": text(),
        "reason": text(),
        "scope": nullable(enum(SuppressionScope)),
        "expiresAt": nullable(timestamp()),
    },
)
SUMMARY = record("SuppressionSummary", _SUMMARY)
SUPPRESSION = record("Suppression", {**_SUMMARY, "history": array(_EVENT, "all that was done to it, the oldest first")})
PAGE = record(
    "Suppressions",
    {"items": array(SUMMARY, "the newest first"), "next": nullable(text("the address of the next page"))},
)
IMPORTED = record(
    "SuppressionImport",
    {
        "added": integer("rows that put an entry in force, or changed one"),
        "unchanged": integer("rows of which nothing was new"),
        "refused": integer("rows that were not taken"),
        "errors": array(
            record(
                "BadRow",
                {
                    "line": integer("its line, counted from 1", minimum=1),
                    "field": text("the column"),
                    "message": text("what is wrong"),
                },
            ),
            f"what is wrong with the first {NAMED_LIMIT} of them",
        ),
    },
)
EXAMPLE: dict[str, Any] = {
    "suppressionId": SUPPRESSION_ID.example,
    "type": "email",
    "recipient": "amina@example.com",
    "source": "manual",
    "scope": "all",
    "state": "active",
    "reason": "asked by phone",
    "by": "key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "updatedAt": "2026-03-14T09:26:53.589Z",
    "expiresAt": None,
    "liftedAt": None,
}
_ADDED = {
    "at": "2026-03-14T09:26:53.589Z",
    "action": "added",
    "by": EXAMPLE["by"],
    "reason": "asked by phone",
    "scope": "all",
    "expiresAt": None,
}
FULL_EXAMPLE = {**EXAMPLE, "history": [_ADDED]}
LIFTED_EXAMPLE = {
    **EXAMPLE,
    "state": "lifted",
    "updatedAt": "2026-03-15T10:00:00.000Z",
    "liftedAt": "2026-03-15T10:00:00.000Z",
    "history": [
        _ADDED,
        _ADDED | {"at": "2026-03-15T10:00:00.000Z", "action": "lifted", "reason": "asked again", "scope": None},
    ],
}
CSV_EXAMPLE = "type,recipient,scope,reason,expiresAt\r\nsms,+447700900123,marketing,moved,\r\n"


def make_blueprint(services: WebServices) -> ApiBlueprint:
    """The views over ``services``; schemas are built here, once."""
    blueprint = ApiBlueprint(
        "suppressions", __name__, url_prefix=PATH, description="Whom your client sends nothing more, and why."
    )
    authenticator = Authenticator(services.keys)
    suppressions = services.suppressions
    table = SuppressionCsv(suppressions, services.clock.now)
    schema = SuppressionSchema(services.clock.now)

    @blueprint.operation("POST", "", id="addSuppression")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.reads(schema, example={"type": "email", "recipient": "amina@example.com", "reason": "asked by phone"})
    @blueprint.answers(200, SUPPRESSION, example=FULL_EXAMPLE, description="It was in force before.")
    @blueprint.answers(
        201,
        SUPPRESSION,
        example=FULL_EXAMPLE,
        description="In force, everywhere within a second.",
        headers={"Location": "where it can be read"},
    )
    @blueprint.fails(errors.UncertainWriteError)
    def add(wanted: dict[str, Any]) -> Response:
        """Send a recipient nothing more.

        From a second after the answer on no provider is called for it: such notifications fail with `error.code`
        `suppressed`. May be repeated; with another `scope`, `reason` or `expiresAt` it changes the entry.
        """
        [result] = suppressions.add([schema.new(wanted, caller().client, caller().name)])
        body = shown(suppressions.get(result.suppression_id, caller().client))
        response = json_response(body, 201 if result.is_new else 200)
        if result.is_new:
            response.headers["Location"] = f"{request.root_path}{PATH}/{result.suppression_id}"
        return response

    @blueprint.operation("GET", "", id="listSuppressions")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(SuppressionQuery(), "query", example={"state": "active", "type": "email"})
    @blueprint.answers(
        200,
        PAGE,
        example={"items": [EXAMPLE], "next": None},
        headers=LINK,
    )
    def find(query: SuppressionListRequest) -> Response:
        """List the entries, newest first."""
        page = suppressions.search(query.for_account(caller().client), query.limit, query.after)
        cursor = None if page.next is None else encoded(page.next)
        return page_response([summary(each) for each in page.entries], cursor)

    @blueprint.operation("GET", "/export", id="exportSuppressions")
    @authenticator.requires(KeyScope.READ)
    @blueprint.reads(SuppressionExportQuery(), "query", example={"state": "active"})
    @blueprint.answers(
        200,
        Shape("SuppressionCsv", {"type": "string"}),
        example=CSV_EXAMPLE,
        media_type="text/csv",
    )
    @blueprint.fails(errors.TooManyStreamsError)
    def export(query: SuppressionFilter) -> Response:
        """All entries as one CSV, newest first, however many there are.

        They are sent as fast as you read, so an answer may take its time; one that breaks off has no end as HTTP has
        it, and is to be asked for again. A key may have two under way.
        """
        parts = table.export(replace(query, account=caller().client))
        beginning = next(parts)
        rest = None if parts.is_done else parts
        response = long_answer(beginning, rest, owner=caller().key_id, mimetype="text/csv")
        response.headers["Content-Disposition"] = 'attachment; filename="suppressions.csv"'
        response.headers["Cache-Control"] = "no-store"
        return response

    @blueprint.operation("POST", "/import", id="importSuppressions")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.reads_text("text/csv", "CSV in UTF-8; the first line names the columns", example=CSV_EXAMPLE)
    @blueprint.answers(
        200,
        IMPORTED,
        example={
            "added": 1,
            "unchanged": 0,
            "refused": 1,
            "errors": [{"line": 3, "field": "recipient", "message": "must not be empty"}],
        },
    )
    @blueprint.fails(errors.UncertainWriteError)
    def import_() -> Response:
        """Add many at once, from CSV.

        Columns are `type` and `recipient`, and if you like `scope`, `reason` and `expiresAt`; others are passed over. A
        row that is wrong is named and costs no other. May be repeated: what is there is not changed.
        """
        result = table.read(_csv_body(), caller().client, caller().name)
        named = [
            {"line": row.line, "field": problem.where.lstrip("/"), "message": problem.message}
            for row in result.bad_rows
            for problem in row.problems
        ]
        counts = result.counts
        return json_response(
            {"added": counts.added, "unchanged": counts.unchanged, "refused": result.refused, "errors": named}
        )

    @blueprint.operation("GET", "/<suppression_id>", id="readSuppression")
    @authenticator.requires(KeyScope.READ)
    @blueprint.takes(SUPPRESSION_ID)
    @blueprint.answers(200, SUPPRESSION, example=FULL_EXAMPLE)
    @blueprint.fails(errors.SuppressionNotFoundError)
    def read(suppression_id: str) -> Response:
        """One entry with its history."""
        return json_response(shown(suppressions.get(id_in_path(suppression_id), caller().client)))

    @blueprint.operation("DELETE", "/<suppression_id>", id="liftSuppression")
    @authenticator.requires(KeyScope.MANAGE)
    @blueprint.takes(SUPPRESSION_ID)
    @blueprint.reads(LiftQuery(), "query", example={"reason": "asked again"})
    @blueprint.answers(200, SUPPRESSION, example=LIFTED_EXAMPLE, description="It is no longer in force.")
    @blueprint.fails(errors.SuppressionNotFoundError, errors.UncertainWriteError)
    def lift(query: dict[str, Any], suppression_id: str) -> Response:
        """Lift an entry: the recipient may be sent to again, at once.

        The entry stays, with its history. May be repeated.
        """
        lifted = suppressions.lift(
            id_in_path(suppression_id), caller().client, by=caller().name, reason=query["reason"]
        )
        return json_response(shown(lifted))

    def summary(entry: Suppression) -> dict[str, Any]:
        return represented(entry, entry.state(services.clock.now()))

    def shown(entry: Suppression) -> dict[str, Any]:
        return {**summary(entry), "history": history(entry)}

    return blueprint


def represented(entry: Suppression, state: SuppressionState) -> dict[str, Any]:
    """An entry as its client sees it, without its history."""
    return {
        "suppressionId": entry.suppression_id,
        "type": entry.channel.value,
        "recipient": entry.recipient,
        "source": entry.source.value,
        "scope": entry.scope.value,
        "state": state.value,
        "reason": entry.reason,
        "by": entry.by,
        "createdAt": rfc3339(entry.created_at),
        "updatedAt": rfc3339(entry.updated_at),
        "expiresAt": None if entry.expires_at is None else rfc3339(entry.expires_at),
        "liftedAt": None if entry.lifted_at is None else rfc3339(entry.lifted_at),
    }


def history(entry: Suppression) -> list[dict[str, Any]]:
    """What was done to an entry, as its client sees it."""
    return [
        {
            "at": rfc3339(event.at),
            "action": event.action.value,
            "by": event.by,
            "reason": event.reason,
            "scope": None if event.scope is None else event.scope.value,
            "expiresAt": None if event.expires_at is None else rfc3339(event.expires_at),
        }
        for event in entry.history
    ]


def id_in_path(given: str) -> str:
    """The id in the form that it is stored in. Raises ``SuppressionNotFoundError`` for what none can be called."""
    if not is_uuid(given):
        raise SuppressionNotFoundError
    return given.lower()


def encoded(cursor: SuppressionCursor) -> str:
    """A place in the list as an opaque text."""
    return cursors.encode(Cursor(cursor.created_at, JobId(cursor.suppression_id)))


def _csv_body() -> TextIOWrapper:
    if request.mimetype != "text/csv":
        given = f"not {request.mimetype[:100]}" if request.mimetype else "and none was given"
        raise UnsupportedMediaTypeError(f"The Content-Type must be text/csv, {given}.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("The body must not be compressed; leave the Content-Encoding out.")
    body = request.get_data(cache=False)
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        problem = Problem("", f"must be in UTF-8: line {line} is not", FieldErrorCode.INVALID)
        raise InvalidRequestError([problem]) from error
    return TextIOWrapper(BytesIO(body), encoding="utf-8-sig", newline="")
