"""Who did what to jobs, keys, sessions and providers: the collection ``audit``, a document each, never purged."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from pymongo import DESCENDING, WriteConcern
from pymongo.database import Database

from wavecom.core.audit import AuditAction, AuditPosition, FailureReason
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState
from wavecom.core.callback_audit import CallbackEvent
from wavecom.core.campaigns.audit import CampaignEvent
from wavecom.core.category_audit import CategoryEvent
from wavecom.core.keys import KeyEvent
from wavecom.core.provider_control import ProviderEvent
from wavecom.core.sessions import SessionBegun, SessionEnded
from wavecom.core.templates.audit import TemplateEvent
from wavecom.core.users import UserEvent
from wavecom.storage.mongo.documents import CODEC, Document
from wavecom.storage.mongo.errors import reading, writing

#: Whatever somebody did once: who, when, and the id under which it is kept.
_Event = (
    CallbackEvent
    | CampaignEvent
    | CategoryEvent
    | KeyEvent
    | ProviderEvent
    | SessionBegun
    | SessionEnded
    | TemplateEvent
    | UserEvent
)


class MongoAuditLog:
    """The audits of the core: bulk operations, keys, sessions, providers, users, templates, callbacks. Thread-safe."""

    def __init__(self, database: Database[Document]) -> None:
        self._entries = database["audit"].with_options(
            codec_options=CODEC, write_concern=WriteConcern("majority", j=True)
        )

    def newest(
        self,
        *,
        action: str | None = None,
        operator: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        behind: AuditPosition | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """See the port."""
        named = {name: value for name, value in (("action", action), ("operator", operator)) if value is not None}
        found: list[Document] = []
        with reading():
            if behind is not None:
                found = self._of_moment(named | {"_id": {"$lt": behind.entry_id}}, behind.at, limit)
                before = behind.at if before is None else min(before, behind.at)
            if len(found) < limit:
                bounds = {name: at for name, at in (("$gte", since), ("$lt", before)) if at is not None}
                found += self._before(named, bounds, limit - len(found))
        return [{"entryId": entry.pop("_id"), **entry} for entry in found]

    def _before(self, named: Document, bounds: Document, limit: int) -> list[Document]:
        """In order by time and id, though the index has the time alone: the last moment may have more than fit."""
        where = named | {"startedAt": bounds or {"$exists": True}}
        found = list(self._entries.find(where).sort([("startedAt", DESCENDING)]).limit(limit))
        found.sort(key=lambda entry: (entry["startedAt"], entry["_id"]), reverse=True)
        if len(found) < limit:
            return found
        last = found[-1]["startedAt"]
        whole = [entry for entry in found if entry["startedAt"] != last]
        return whole + self._of_moment(named, last, limit - len(whole))

    def _of_moment(self, where: Document, at: datetime, limit: int) -> list[Document]:
        return list(self._entries.find(where | {"startedAt": at}).sort("_id", DESCENDING).limit(limit))

    def record(self, operation: BulkOperation) -> None:
        """See the port. May be repeated: the entry of an operation is replaced whole."""
        with writing():
            self._entries.replace_one({"_id": operation.operation_id}, _document(operation), upsert=True)

    def find(self, operation_id: str) -> BulkOperation | None:
        """See the port."""
        with reading():
            found = self._entries.find_one({"_id": operation_id})
        # Keys, sessions and providers have entries of their own here, without a state.
        return None if found is None or "state" not in found else _operation(found)

    def record_key_event(self, event: KeyEvent) -> None:
        """See the port."""
        self._note(event, event.action, {"keyId": event.key_id, "client": event.client, **event.details})

    def record_session_begin(self, event: SessionBegun) -> None:
        """See the port."""
        self._note(event, "begin_session", {"sessionId": event.session_id, "address": event.address})

    def record_session_end(self, event: SessionEnded) -> None:
        """See the port."""
        self._note(event, "end_session", {"sessionId": event.session_id, "viewer": event.viewer})

    def record_user_event(self, event: UserEvent) -> None:
        """See the port."""
        self._note(event, event.action, {"user": event.user, **event.details})

    def record_template_event(self, event: TemplateEvent) -> None:
        """See the port."""
        self._note(
            event,
            event.action,
            {"client": event.client, "template": event.template, "version": event.version, **event.details},
        )

    def record_campaign_event(self, event: CampaignEvent) -> None:
        """See the port."""
        self._note(event, event.action, {"client": event.client, "campaignId": event.campaign_id, **event.details})

    def record_category_event(self, event: CategoryEvent) -> None:
        """See the port."""
        self._note(event, event.action, {"client": event.client, **event.details})

    def record_callback_event(self, event: CallbackEvent) -> None:
        """See the port."""
        self._note(event, event.action, {"client": event.client, "callbackId": event.callback_id, **event.details})

    def record_release(self, version: str, at: datetime) -> None:
        """Note that a process of this version has begun, unless the last one that was noted had the same."""
        where = {"action": AuditAction.RELEASE.value}
        with reading():
            newest = next(self._entries.find(where, {"version": 1}).sort("startedAt", DESCENDING).limit(1), None)
        if newest is not None and newest.get("version") == version:
            return
        # By the minute: the processes that begin together write one entry.
        entry_id = f"release-{version}-{at:%Y%m%dT%H%M}"
        document: Document = {**where, "operator": "wavecom", "startedAt": at, "version": version}
        with writing():
            self._entries.replace_one({"_id": entry_id}, document, upsert=True)

    def record_provider_event(self, event: ProviderEvent) -> None:
        """See the port."""
        given = {"until": event.until, "weight": event.weight, "percent": event.percent}
        details = {name: value for name, value in given.items() if value is not None}
        self._note(event, event.action, {"provider": event.provider, "reason": event.reason, **details})

    def _note(self, event: _Event, action: str, details: Document) -> None:
        """Keep an entry; the same event again replaces it."""
        document: Document = {
            "_id": event.event_id,
            "action": str(action),
            "operator": event.actor,
            "startedAt": event.at,
            **details,
        }
        with writing():
            self._entries.replace_one({"_id": event.event_id}, document, upsert=True)


def _document(operation: BulkOperation) -> Document:
    document: Document = {
        "_id": operation.operation_id,
        "action": operation.action.value,
        "operator": operation.operator,
        "startedAt": operation.started_at,
        "finishedAt": operation.finished_at,
        "state": operation.state.value,
        "filters": dict(operation.filters),
        "dryRun": operation.is_dry_run,
        "done": operation.done,
        "alreadyDone": operation.already_done,
        "inDoubt": operation.in_doubt or None,
        "unknown": operation.unknown,
        "unpublished": operation.unpublished,
        "firstJobId": operation.first_id,
        "lastJobId": operation.last_id,
        "position": operation.position,
        "resumes": operation.resumes,
        "asOf": operation.as_of,
        "reasons": [
            {"code": reason.code, "provider": reason.provider, "count": count}
            for reason, count in operation.reasons.most_common()
        ],
    }
    return {name: value for name, value in document.items() if value is not None}


def _operation(document: Document) -> BulkOperation:
    return BulkOperation(
        operation_id=document["_id"],
        action=AuditAction(document["action"]),
        operator=document["operator"],
        started_at=document["startedAt"],
        filters=document["filters"],
        is_dry_run=document["dryRun"],
        state=BulkOperationState(document["state"]),
        finished_at=document.get("finishedAt"),
        reasons=Counter({FailureReason(each["code"], each["provider"]): each["count"] for each in document["reasons"]}),
        already_done=document["alreadyDone"],
        in_doubt=document.get("inDoubt", 0),
        unknown=document["unknown"],
        unpublished=document["unpublished"],
        first_id=document.get("firstJobId"),
        last_id=document.get("lastJobId"),
        position=document.get("position"),
        resumes=document.get("resumes"),
        as_of=document.get("asOf"),
    )
