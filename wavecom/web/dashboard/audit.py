"""Who did what, when and why: the audit log, filtered, page by page, and as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from flask import Response, render_template, request, url_for

from wavecom.core.audit import AuditPosition
from wavecom.web.dashboard.context import pages
from wavecom.web.dashboard.field_form import FieldForm
from wavecom.web.dashboard.fields import Field
from wavecom.web.dashboard.words import AUDIT_ACTIONS, audit_word

_PAGE_SIZE: Final = 50
_EXPORT_LIMIT: Final = 10_000
#: Between the time and the id of the entry that the next page begins behind.
_CURSOR_PARTS: Final = "~"
_FIELDS: Final = (
    Field(name="action", label="What", pointer="/action", choices=(("", "Any"), *sorted(AUDIT_ACTIONS.items()))),
    Field(name="operator", label="Who, in full", pointer="/operator", hint="user ada, ada@host, key …"),
    Field(name="since", label="From (UTC)", pointer="/since", kind="datetime-local"),
    Field(name="before", label="Before (UTC)", pointer="/before", kind="datetime-local"),
)
_OWN_COLUMNS: Final = frozenset({"entryId", "action", "operator", "startedAt", "reason"})


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry in a line: ``details`` are what has no column, by name."""

    at: datetime
    who: str
    word: str
    reason: str
    details: tuple[tuple[str, str], ...]


def audit() -> str:
    """A page of it, newest first."""
    form = FieldForm.filled(_FIELDS, request.args)
    found = _entries(form, _PAGE_SIZE + 1)
    shown = found[:_PAGE_SIZE]
    older = None
    if len(found) > _PAGE_SIZE:
        at = shown[-1]["startedAt"].astimezone(UTC)
        cursor = f"{at:%Y-%m-%dT%H:%M:%S.%f}{_CURSOR_PARTS}{shown[-1]['entryId']}"
        older = url_for("dashboard.audit", **form.typed(), cursor=cursor)
    return render_template(
        "dashboard/audit.html",
        form=form,
        entries=[_entry(each) for each in shown],
        older=older,
        export=url_for("dashboard.audit_export", **form.typed()),
        export_limit=_EXPORT_LIMIT,
    )


def audit_export() -> Response:
    """The same as a file: one JSON object a line, with everything that was noted."""
    form = FieldForm.filled(_FIELDS, request.args)
    lines = b"".join(
        orjson.dumps(each, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        for each in _entries(form, _EXPORT_LIMIT)
    )
    headers = {"Content-Disposition": "attachment; filename=wavecom-audit.jsonl"}
    return Response(lines, mimetype="application/x-ndjson", headers=headers)


def _entries(form: FieldForm, limit: int) -> list[dict[str, Any]]:
    typed = form.typed()
    at, _, entry_id = request.args.get("cursor", "").partition(_CURSOR_PARTS)
    moment = _moment(at)
    return pages().services.audit.newest(
        action=typed.get("action"),
        operator=typed.get("operator"),
        since=_moment(typed.get("since")),
        before=_moment(typed.get("before")),
        behind=None if moment is None else AuditPosition(moment, entry_id),
        limit=limit,
    )


def _moment(text: str | None) -> datetime | None:
    """None for what is no time: a filter that can't be read is none."""
    try:
        return None if text is None else datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        return None


def _entry(found: Mapping[str, Any]) -> AuditLine:
    filters = found.get("filters", {})
    return AuditLine(
        found["startedAt"],
        str(found.get("operator", "")),
        audit_word(str(found.get("action", ""))),
        str(found.get("reason") or filters.get("reason") or ""),
        tuple(
            (name, _text(value))
            for name, value in found.items()
            if name not in _OWN_COLUMNS and value not in ({}, None, [], False, 0)
        ),
    )


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
