"""Campaigns: ``CampaignStore`` on the collections ``campaigns`` and ``campaign_chunks``, and the counts of their jobs.

A chunk's rows, right and wrong, are in one document, so that nothing tears them apart; its ``_id`` is made of campaign
and offset, so that there is one for each place of an upload, whoever stores it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.campaigns.model import (
    ACTIVE,
    ENDED,
    KEPT,
    Campaign,
    CampaignPosition,
    CampaignStatus,
    Chunk,
    DueCampaign,
    Outcomes,
    RejectedPage,
    RejectedRow,
    RunState,
    UploadState,
)
from wavecom.core.states import Status
from wavecom.storage.mongo.campaign_documents import (
    NEVER,
    begin_id,
    changes_of,
    chunk_document,
    chunk_id,
    document_of,
    refused_document,
    run_document,
    to_campaign,
    to_chunk,
    to_rejected,
    to_upload,
    upload_document,
)
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing

_ACTIVE: Final = sorted(ACTIVE)
#: Documents whose rejected rows are one page.
_PAGE: Final = 20
#: From which status a campaign comes to each end.
_BEFORE: Final = {
    CampaignStatus.FINISHED: CampaignStatus.RUNNING.value,
    CampaignStatus.CANCELLED: CampaignStatus.CANCELLING.value,
}


class MongoCampaignStore:
    """``wavecom.core.campaigns.model.CampaignStore``; safe to share between threads, one per process."""

    def __init__(self, database: Database[Document]) -> None:
        self._campaigns = durable(database["campaigns"])
        self._chunks = durable(database["campaign_chunks"])

    def add(self, campaign: Campaign) -> None:
        """See the port."""
        with writing(), suppress(DuplicateKeyError):
            self._campaigns.insert_one(document_of(campaign))

    def get(self, campaign_id: str, account: str | None = None) -> Campaign | None:
        """See the port."""
        where = {"_id": campaign_id} | ({} if account is None else {"account": account})
        with reading():
            found = self._campaigns.find_one(where)
        return None if found is None else to_campaign(found)

    def newest(self, account: str | None, limit: int, after: CampaignPosition | None = None) -> Sequence[Campaign]:
        """See the port."""
        where: Document = {} if account is None else {"account": account}
        if after is None:
            return self._list(where, limit)
        same = self._list(where | {"createdAt": after.created_at, "_id": {"$lt": after.campaign_id}}, limit)
        if len(same) == limit:
            return same
        return [*same, *self._list(where | {"createdAt": {"$lt": after.created_at}}, limit - len(same))]

    def _list(self, where: Document, limit: int) -> list[Campaign]:
        with reading():
            found = self._campaigns.find(where).sort([("createdAt", DESCENDING), ("_id", DESCENDING)]).limit(limit)
            return [to_campaign(each) for each in found]

    def change(self, campaign: Campaign) -> bool:
        """See the port."""
        where = {"_id": campaign.campaign_id, "version": campaign.version}
        changes = changes_of(campaign) | {"version": campaign.version + 1}
        with writing():
            return self._campaigns.update_one(where, {"$set": changes}).matched_count == 1

    def add_chunk(self, chunk: Chunk, now: datetime) -> UploadState:
        """See the port."""
        with writing():
            with suppress(DuplicateKeyError):
                self._chunks.insert_one(chunk_document(chunk))
            where = {
                "_id": chunk.campaign_id,
                "status": CampaignStatus.UPLOADING.value,
                "upload.offset": chunk.begin.offset,
                "upload.digest": chunk.begin.digest,
            }
            changes = {"upload": upload_document(chunk.end), "updatedAt": now, "purgeAt": now + KEPT}
            counted = self._campaigns.find_one_and_update(
                where, {"$set": changes}, {"upload": 1}, return_document=ReturnDocument.AFTER
            )
            if counted is not None:
                return to_upload(counted["upload"])
            found = self._campaigns.find_one({"_id": chunk.campaign_id}, {"upload": 1})
            upload = UploadState() if found is None else to_upload(found["upload"])
            if not self._is_counted(chunk.campaign_id, chunk.end, upload):
                self._chunks.delete_one({"_id": chunk_id(chunk)})
        return upload

    def _is_counted(self, campaign_id: str, end: UploadState, upload: UploadState) -> bool:
        """Whether a chunk that ends there belongs to the upload: another one goes on there, or the upload does."""
        if end.digest == upload.digest:
            return True
        behind = begin_id(campaign_id, end)
        where = {
            "_id": {"$gt": behind, "$lt": f"{behind[:-1]}0"},
            "begin.digest": end.digest,
            "begin.offset": {"$lt": upload.offset},
        }
        return self._chunks.find_one(where, {"_id": 1}) is not None

    def note_uploader(self, campaign_id: str, name: str, budget: str | None) -> None:
        """See the port."""
        added = {"uploadedBy": name} | ({} if budget is None else {"budgets": budget})
        with writing():
            self._campaigns.update_one({"_id": campaign_id}, {"$addToSet": added})

    def complete_upload(self, campaign_id: str, offset: int, now: datetime) -> bool:
        """See the port."""
        where = {"_id": campaign_id, "status": CampaignStatus.UPLOADING.value, "upload.offset": offset}
        changes = {"status": CampaignStatus.READY.value, "upload.isComplete": True, "updatedAt": now}
        with writing():
            found = self._campaigns.update_one(where, {"$set": changes, "$inc": {"version": 1}})
        return found.matched_count == 1

    def chunk_at(self, campaign: Campaign, row: int) -> Chunk | None:
        """See the port."""
        upload = campaign.upload
        where = {
            "campaignId": campaign.campaign_id,
            "lastRow": {"$gte": row},
            "begin.offset": {"$lt": upload.offset},
        }
        with reading():
            # By one: of almost every place of an upload there is one chunk alone.
            for found in self._chunks.find(where, batch_size=1).sort("lastRow", ASCENDING):
                if self._is_counted(campaign.campaign_id, to_upload(found["end"]), upload):
                    return to_chunk(found)
        return None

    def due(self, until: datetime, limit: int) -> Sequence[DueCampaign]:
        """See the port."""
        where = {"status": {"$in": _ACTIVE}, "dueAt": {"$lte": until}}
        with reading():
            # Not all of each: what notifications have in common may be long.
            found = self._campaigns.find(where, {"dueAt": 1}).sort("dueAt", ASCENDING).limit(limit)
            return [DueCampaign(each["_id"], each["dueAt"]) for each in found]

    def rest(self, campaign: Campaign, token: str, until: datetime) -> None:
        """See the port."""
        where = {"_id": campaign.campaign_id, "leaseToken": token, "version": campaign.version}
        with writing():
            self._campaigns.update_one(where, {"$set": {"dueAt": until}})

    def hold(self, campaign_id: str, token: str, now: datetime, until: datetime) -> Campaign | None:
        """See the port."""
        where: Document = {"_id": campaign_id, "status": {"$in": _ACTIVE}}
        lease = {"leaseToken": token, "leaseUntil": until, "dueAt": now}
        ways: list[tuple[Document, Document]] = [
            ({"leaseToken": token}, lease),
            ({"leaseToken": ""}, lease),
            ({"leaseUntil": {"$lte": now}}, lease | {"fencedUntil": until}),
        ]
        with writing():
            for free, changes in ways:
                found = self._campaigns.find_one_and_update(
                    where | free, {"$set": changes}, return_document=ReturnDocument.AFTER
                )
                if found is not None:
                    return to_campaign(found)
        return None

    def advance(self, campaign_id: str, token: str, before: RunState, after: RunState, now: datetime) -> bool:
        """See the port."""
        where = {"_id": campaign_id, "leaseToken": token, "run.row": before.row}
        changes: Document = {"run": run_document(after), "updatedAt": now, "purgeAt": now + KEPT}
        if after.queued > before.queued:
            # Its outcome is open again; counted soon.
            changes |= {"countedAt": now, "outcomes.isLast": False}
        with writing():
            return self._campaigns.update_one(where, {"$set": changes}).matched_count == 1

    def end(self, campaign_id: str, token: str, status: CampaignStatus, now: datetime) -> bool:
        """See the port."""
        where = {"_id": campaign_id, "leaseToken": token, "status": _BEFORE[status]}
        changes = {
            "status": status.value,
            "finishedAt": now,
            "updatedAt": now,
            "purgeAt": now + KEPT,
            "leaseUntil": now,
            "run.waitsFor": "",
            "run.waitsUntil": None,
        }
        with writing():
            found = self._campaigns.update_one(where, {"$set": changes, "$inc": {"version": 1}})
        return found.matched_count == 1

    def release(self, token: str) -> None:
        """See the port."""
        with writing():
            self._campaigns.update_many(
                {"status": {"$in": _ACTIVE}, "leaseToken": token},
                {"$set": {"leaseToken": "", "leaseUntil": NEVER}},
            )

    def keep_refused(self, campaign_id: str, step: int, rows: Sequence[RejectedRow]) -> None:
        """See the port."""
        document = refused_document(campaign_id, step, rows)
        with writing():
            if rows:
                self._chunks.replace_one({"_id": document["_id"]}, document, upsert=True)
            else:
                self._chunks.delete_one({"_id": document["_id"]})

    def rejected(self, campaign_id: str, after: str | None = None) -> RejectedPage:
        """See the port."""
        where = {
            "_id": {"$gt": after or f"{campaign_id}/", "$lt": f"{campaign_id}0"},
            "rejectedCount": {"$gt": 0},
        }
        with reading():
            campaign = self._campaigns.find_one({"_id": campaign_id}, {"upload": 1})
            upload = UploadState() if campaign is None else to_upload(campaign["upload"])
            found = list(self._chunks.find(where, {"rejected": 1, "end": 1}).sort("_id", ASCENDING).limit(_PAGE))
            rows = [
                row
                for document in found
                if "end" not in document or self._is_counted(campaign_id, to_upload(document["end"]), upload)
                for row in to_rejected(document)
            ]
        return RejectedPage(rows, found[-1]["_id"] if len(found) == _PAGE else None)

    def uncounted(self, now: datetime, limit: int) -> Sequence[Campaign]:
        """See the port."""
        with reading():
            found = self._campaigns.find({"countedAt": {"$lte": now}}).sort("countedAt", ASCENDING).limit(limit)
            return [to_campaign(each) for each in found]

    def keep_outcomes(self, campaign_id: str, outcomes: Outcomes) -> None:
        """See the port."""
        counts = {status.value: count for status, count in outcomes.by_status.items()}
        changes: Document = {"outcomes": {"byStatus": counts, "at": outcomes.at, "isLast": outcomes.is_last}}
        update: Document = {"$set": changes}
        if outcomes.is_last:
            update["$unset"] = {"countedAt": ""}
        else:
            changes["countedAt"] = outcomes.at
        with writing():
            self._campaigns.update_one({"_id": campaign_id}, update)

    def drop_chunks(self, campaign_id: str, now: datetime) -> None:
        """See the port."""
        with writing():
            # What is told of rejected rows needs their chunks' ends alone, and those of their neighbours.
            changes = {"$unset": {"rows": ""}, "$set": {"lastRow": -1, "purgeAt": now + KEPT}}
            self._chunks.update_many({"campaignId": campaign_id, "purgeAt": {"$exists": False}}, changes)

    def sweep_chunks(self, now: datetime, after: str, limit: int) -> str:
        """See the port."""
        last = after
        for _ in range(limit):
            with reading():
                found = self._chunks.find_one(
                    {"_id": {"$gt": f"{last}0"}} if last else {}, {"campaignId": 1}, sort=[("_id", 1)]
                )
                if found is None:
                    return ""
                last = found["campaignId"]
                campaign = self._campaigns.find_one({"_id": last}, {"status": 1})
            if campaign is None:
                with writing():
                    self._chunks.delete_many({"campaignId": last})
            elif campaign["status"] in ENDED:
                self.drop_chunks(last, now)
        return last


class MongoOutcomeCounter:
    """``wavecom.core.campaigns.model.OutcomeCounter`` on the collection ``jobs``."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = durable(database["jobs"])

    def count(self, campaign_id: str) -> Mapping[Status, int]:
        """See the port."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"campaign": campaign_id}},
            {"$group": {"_id": "$status", "count": {"$sum": 1}}},
        ]
        with reading():
            return {Status(each["_id"]): each["count"] for each in self._jobs.aggregate(pipeline)}
