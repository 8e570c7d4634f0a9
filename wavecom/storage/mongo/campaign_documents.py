"""Campaigns and their chunks as MongoDB documents and back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from wavecom.core.campaigns.model import (
    KEPT,
    Campaign,
    CampaignStatus,
    Chunk,
    Outcomes,
    RejectedRow,
    RowFormat,
    RowProblem,
    RunState,
    StoredRow,
    UploadState,
)
from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.lanes import Channel
from wavecom.core.local_hours import DailyHours, SendWindow
from wavecom.core.quota import Limits
from wavecom.core.states import Status
from wavecom.storage.mongo.documents import Document

#: Rows are much alike: the quickest level leaves a tenth of them.
_LEVEL: Final = 1
#: Before every moment: whose lease nobody has had.
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def document_of(campaign: Campaign) -> Document:
    """A new campaign. ``notification`` and ``columns`` are JSON texts: they hold names of the client's own."""
    window = campaign.window
    return {
        "_id": campaign.campaign_id,
        "account": campaign.account,
        "name": campaign.name,
        "channel": campaign.channel.value,
        "notification": orjson.dumps(campaign.notification).decode(),
        "columns": orjson.dumps(campaign.columns).decode(),
        "rowsPerSecond": campaign.pace.rows_per_second,
        "finishBy": campaign.pace.finish_by,
        "startAt": campaign.start_at,
        "window": None
        if window is None
        else {
            "begin": window.window.hours.start,
            "end": window.window.hours.end,
            "zone": window.zone_name,
            "days": sorted(window.window.days),
        },
        "ttlSeconds": campaign.ttl_seconds,
        "createdAt": campaign.created_at,
        "createdBy": campaign.created_by,
        "upload": upload_document(campaign.upload),
        "run": run_document(campaign.run),
        "outcomes": {"byStatus": {}, "at": None, "isLast": False},
        "version": campaign.version,
        "leaseToken": "",
        "leaseUntil": NEVER,
        "fencedUntil": None,
        "uploadedBy": list(campaign.uploaded_by),
        "budgets": list(campaign.budgets),
    } | changes_of(campaign)


def changes_of(campaign: Campaign) -> Document:
    """What people change."""
    return {
        "status": campaign.status.value,
        "updatedAt": campaign.updated_at,
        "dueAt": campaign.updated_at,
        "startedAt": campaign.started_at,
        "startedBy": campaign.started_by,
        "approvedBy": campaign.approved_by,
        "cancelledBy": campaign.cancelled_by,
        "finishedAt": campaign.finished_at,
        "budget": campaign.budget,
        "ratePerSecond": campaign.limits.rate_per_second,
        "dailyQuota": campaign.limits.daily_quota,
        "purgeAt": campaign.updated_at + KEPT,
    }


def to_campaign(document: Mapping[str, Any]) -> Campaign:
    """The campaign in a document."""
    window, outcomes = document["window"], document["outcomes"]
    return Campaign(
        campaign_id=document["_id"],
        account=document["account"],
        name=document["name"],
        channel=Channel(document["channel"]),
        notification=orjson.loads(document["notification"]),
        columns=orjson.loads(document["columns"]),
        pace=Pace(document["rowsPerSecond"], document["finishBy"]),
        start_at=document["startAt"],
        window=None
        if window is None
        else CampaignWindow(
            SendWindow(frozenset(window["days"]), DailyHours(window["begin"], window["end"])), window["zone"]
        ),
        ttl_seconds=document["ttlSeconds"],
        created_at=document["createdAt"],
        created_by=document["createdBy"],
        updated_at=document["updatedAt"],
        status=CampaignStatus(document["status"]),
        upload=to_upload(document["upload"]),
        run=_to_run(document["run"]),
        outcomes=Outcomes(
            {Status(status): count for status, count in outcomes["byStatus"].items()},
            outcomes["at"],
            outcomes["isLast"],
        ),
        started_at=document["startedAt"],
        started_by=document["startedBy"],
        approved_by=document["approvedBy"],
        cancelled_by=document["cancelledBy"],
        uploaded_by=tuple(document["uploadedBy"]),
        budgets=tuple(document["budgets"]),
        fenced_until=document["fencedUntil"],
        finished_at=document["finishedAt"],
        budget=document["budget"],
        limits=Limits(document["ratePerSecond"], document["dailyQuota"]),
        version=document["version"],
    )


def upload_document(upload: UploadState) -> Document:
    """The state of an upload."""
    return {
        "offset": upload.offset,
        "lines": upload.lines,
        "rows": upload.rows,
        "rejected": upload.rejected,
        "format": None if upload.format is None else upload.format.value,
        "header": list(upload.header),
        "delimiter": upload.delimiter,
        "isComplete": upload.is_complete,
        "digest": upload.digest,
    }


def to_upload(document: Mapping[str, Any]) -> UploadState:
    """The reverse of ``upload_document``."""
    format_ = document["format"]
    return UploadState(
        offset=document["offset"],
        lines=document["lines"],
        rows=document["rows"],
        rejected=document["rejected"],
        format=None if format_ is None else RowFormat(format_),
        header=tuple(document["header"]),
        delimiter=document["delimiter"],
        is_complete=document["isComplete"],
        digest=document["digest"],
    )


def run_document(run: RunState) -> Document:
    """How far rows have become notifications."""
    return {
        "row": run.row,
        "queued": run.queued,
        "refused": run.refused,
        # To the microsecond, which MongoDB's times have not: a quick pace goes by it.
        "pacedUntil": None if run.paced_until is None else run.paced_until.isoformat(),
        "waitsFor": run.waits_for,
        "waitsUntil": run.waits_until,
    }


def _to_run(document: Mapping[str, Any]) -> RunState:
    paced_until = document["pacedUntil"]
    return RunState(
        row=document["row"],
        queued=document["queued"],
        refused=document["refused"],
        paced_until=None if paced_until is None else datetime.fromisoformat(paced_until),
        waits_for=document["waitsFor"],
        waits_until=document["waitsUntil"],
    )


# --- Chunks -----------------------------------------------------------------------------------------------------------


def chunk_id(chunk: Chunk) -> str:
    """The ``_id`` of a chunk; those of one campaign sort by their offsets."""
    return f"{begin_id(chunk.campaign_id, chunk.begin)}{chunk.end.digest}"


def begin_id(campaign_id: str, begin: UploadState) -> str:
    """What the ``_id`` of each chunk of a campaign that begins there begins with."""
    return f"{campaign_id}/{begin.offset:015}/"


def chunk_document(chunk: Chunk) -> Document:
    """A chunk. Its rows are JSON, one a line, compressed. It is kept until its campaign ends, however long that is."""
    lines = b"\n".join(b"%d %s" % (row.row, row.notification) for row in chunk.rows)
    return {
        "_id": chunk_id(chunk),
        "campaignId": chunk.campaign_id,
        "begin": upload_document(chunk.begin),
        "end": upload_document(chunk.end),
        "rows": zlib.compress(lines, _LEVEL),
        "lastRow": chunk.rows[-1].row if chunk.rows else -1,
        **_rejected_fields(chunk.rejected),
    }


def to_chunk(document: Mapping[str, Any]) -> Chunk:
    """The chunk in a document."""
    lines = zlib.decompress(document["rows"]).split(b"\n")
    return Chunk(
        campaign_id=document["campaignId"],
        begin=to_upload(document["begin"]),
        end=to_upload(document["end"]),
        rows=tuple(_stored_rows(lines)),
        rejected=tuple(to_rejected(document)),
    )


def refused_document(campaign_id: str, step: int, rows: Sequence[RejectedRow]) -> Document:
    """Rows that a step refused when their turn came. Sorts behind all chunks of its campaign, and is none."""
    return {
        "_id": f"{campaign_id}/refused/{step:010}",
        "campaignId": campaign_id,
        "lastRow": -1,
        **_rejected_fields(rows),
    }


def to_rejected(document: Mapping[str, Any]) -> list[RejectedRow]:
    """The rejected rows in a document."""
    if not document["rejected"]:
        return []
    found = orjson.loads(zlib.decompress(document["rejected"]))
    return [RejectedRow(row, line, tuple(RowProblem(*each) for each in problems)) for row, line, problems in found]


def _rejected_fields(rows: Sequence[RejectedRow]) -> Document:
    plain = [(row.row, row.line, [tuple(problem) for problem in row.problems]) for row in rows]
    data = zlib.compress(orjson.dumps(plain), _LEVEL) if rows else b""
    return {"rejected": data, "rejectedCount": len(rows)}


def _stored_rows(lines: Iterable[bytes]) -> Iterable[StoredRow]:
    for line in lines:
        number, _, notification = line.partition(b" ")
        if notification:
            yield StoredRow(int(number), notification)
