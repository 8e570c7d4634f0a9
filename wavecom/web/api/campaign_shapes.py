"""A campaign as its client sees it, and how the document describes that."""

from __future__ import annotations

from typing import Any

from wavecom.core.campaigns.model import Campaign, CampaignPosition, CampaignStatus, UploadState
from wavecom.core.campaigns.pacing import CampaignHold
from wavecom.core.ids import is_uuid
from wavecom.core.job import JobId
from wavecom.core.ports import Cursor
from wavecom.core.states import Status
from wavecom.errors import CampaignNotFoundError
from wavecom.web.api import cursors
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.hours import WINDOW, windows_json
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.shapes import (
    Shape,
    anything,
    array,
    boolean,
    enum,
    integer,
    nullable,
    record,
    text,
    timestamp,
    uuid,
)

CAMPAIGN_ID = Parameter(
    "campaign_id", "path", uuid(), "the campaign's id", "3f0a9b8c-7d6e-4f5a-8b4c-6d8e3f0a9b8c", True
)

UPLOAD = record(
    "CampaignUpload",
    {
        "offset": integer("the byte that comes next; what is before it is stored durably"),
        "complete": boolean("all rows are here"),
        "rows": integer("rows that were read"),
        "rejected": integer("those of them in which something is wrong"),
    },
)
_COUNTS = record(
    "CampaignCounts",
    {
        "rows": integer("rows that were uploaded"),
        "rejected": integer("rows that become no notification, because something is wrong with them"),
        "waiting": integer("rows that are no notifications yet; of a cancelled campaign those that never will be"),
        "queued": integer("rows that have become notifications"),
        "byStatus": Shape(
            "CampaignOutcomes",
            {
                "type": "object",
                "properties": {status.value: integer() for status in Status},
                "additionalProperties": False,
                "description": "how many of its notifications have each status, as counted at `countedAt`",
            },
        ),
        "countedAt": nullable(timestamp("a few seconds ago, where there are any")),
    },
)
CAMPAIGN = record(
    "Campaign",
    {
        "campaignId": uuid("the id of the campaign"),
        "name": text(),
        "status": enum(CampaignStatus),
        "waitsFor": nullable(enum(CampaignHold, "why no row is sent now although it is running")),
        "waitsUntil": nullable(timestamp("when that is over, where it is known")),
        "notification": anything("what all notifications have in common; the version of a template is always named"),
        "columns": anything("column → where its values belong; empty: they go by their names"),
        "rowsPerSecond": nullable(integer(minimum=1)),
        "finishBy": nullable(timestamp()),
        "startAt": nullable(timestamp()),
        "sendWindow": nullable(WINDOW),
        "timeZone": nullable(text("by whose clocks the window goes")),
        "upload": UPLOAD,
        "counts": _COUNTS,
        "needsApproval": boolean("somebody else than who made, uploaded and started it has to agree"),
        "createdAt": timestamp(),
        "createdBy": text("a key or an operator"),
        "uploadedBy": array(text(), "who sent rows"),
        "startedAt": nullable(timestamp()),
        "startedBy": nullable(text()),
        "approvedBy": nullable(text()),
        "cancelledBy": nullable(text()),
        "finishedAt": nullable(timestamp("when it was finished or cancelled")),
    },
)
NEW_EXAMPLE: dict[str, Any] = {
    "name": "Spring offer",
    "notification": {"type": "sms", "payload": {"text": "Our spring offer begins today."}},
    "columns": {"Mobile": "to.phone", "Customer": "metadata.customer"},
    "pace": {"rowsPerSecond": 200},
    "sendWindow": {"days": ["mon", "tue", "wed"], "from": "09:00", "to": "20:00"},
    "timeZone": "Europe/Zurich",
}
UPLOAD_EXAMPLE = {"offset": 40, "complete": True, "rows": 2, "rejected": 1}
EXAMPLE: dict[str, Any] = {
    "campaignId": CAMPAIGN_ID.example,
    "name": "Spring offer",
    "status": "running",
    "waitsFor": None,
    "waitsUntil": None,
    "notification": {"priority": "bulk", **NEW_EXAMPLE["notification"]},
    "columns": NEW_EXAMPLE["columns"],
    "rowsPerSecond": 200,
    "finishBy": None,
    "startAt": None,
    "sendWindow": NEW_EXAMPLE["sendWindow"],
    "timeZone": NEW_EXAMPLE["timeZone"],
    "upload": UPLOAD_EXAMPLE,
    "counts": {
        "rows": 2,
        "rejected": 1,
        "waiting": 0,
        "queued": 1,
        "byStatus": {"delivered": 1},
        "countedAt": "2026-03-14T09:27:53.589Z",
    },
    "needsApproval": False,
    "createdAt": "2026-03-14T09:26:53.589Z",
    "createdBy": "key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    "uploadedBy": ["key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f"],
    "startedAt": "2026-03-14T09:27:53.589Z",
    "startedBy": "key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    "approvedBy": None,
    "cancelledBy": None,
    "finishedAt": None,
}


def represented(campaign: Campaign) -> dict[str, Any]:
    """A campaign as its client sees it."""
    run, outcomes = campaign.run, campaign.outcomes

    def moment(value: Any) -> str | None:
        return None if value is None else rfc3339(value)

    return {
        "campaignId": campaign.campaign_id,
        "name": campaign.name,
        "status": campaign.status.value,
        "waitsFor": (run.waits_for or None) if campaign.status is CampaignStatus.RUNNING else None,
        "waitsUntil": moment(run.waits_until) if campaign.status is CampaignStatus.RUNNING else None,
        "notification": campaign.notification
        if campaign.ttl_seconds is None
        else {**campaign.notification, "ttlSeconds": campaign.ttl_seconds},
        "columns": campaign.columns,
        "rowsPerSecond": campaign.pace.rows_per_second,
        "finishBy": moment(campaign.pace.finish_by),
        "startAt": moment(campaign.start_at),
        "sendWindow": None if campaign.window is None else windows_json([campaign.window.window])[0],
        "timeZone": None if campaign.window is None else campaign.window.zone_name,
        "upload": represented_upload(campaign.upload),
        "counts": {
            "rows": campaign.upload.rows,
            "rejected": campaign.rejected,
            "waiting": campaign.waiting,
            "queued": run.queued,
            "byStatus": {status.value: count for status, count in outcomes.by_status.items()},
            "countedAt": moment(outcomes.at),
        },
        "needsApproval": campaign.status is CampaignStatus.AWAITING_APPROVAL,
        "createdAt": rfc3339(campaign.created_at),
        "createdBy": campaign.created_by,
        "uploadedBy": list(campaign.uploaded_by),
        "startedAt": moment(campaign.started_at),
        "startedBy": campaign.started_by,
        "approvedBy": campaign.approved_by,
        "cancelledBy": campaign.cancelled_by,
        "finishedAt": moment(campaign.finished_at),
    }


def represented_upload(upload: UploadState) -> dict[str, Any]:
    """How far an upload is, as its client sees it."""
    return {
        "offset": upload.offset,
        "complete": upload.is_complete,
        "rows": upload.rows,
        "rejected": upload.rejected,
    }


def cursor_after(last: Campaign) -> str:
    """Where a page of the list ended, as an opaque text."""
    return cursors.encode(Cursor(last.created_at, JobId(last.campaign_id)))


def position_of(cursor: str) -> CampaignPosition:
    """The reverse of ``cursor_after``. Raises ``ValueError`` for any other text."""
    found = cursors.decode(cursor)
    return CampaignPosition(found.created_at, found.job_id)


def id_in_path(given: str) -> str:
    """The id in the form that it is stored in. Raises ``CampaignNotFoundError`` for what none can be called."""
    if not is_uuid(given):
        raise CampaignNotFoundError
    return given.lower()
