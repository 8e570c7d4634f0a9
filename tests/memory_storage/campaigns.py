"""Campaigns, kept in dictionaries."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from wavecom.core.campaigns.audit import CampaignEvent
from wavecom.core.campaigns.model import (
    ACTIVE,
    ENDED,
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
from wavecom.core.job import Job
from wavecom.core.states import Status

_BEFORE = {
    CampaignStatus.FINISHED: CampaignStatus.RUNNING,
    CampaignStatus.CANCELLED: CampaignStatus.CANCELLING,
}


class MemoryCampaignStore:
    """``wavecom.core.campaigns.model.CampaignStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._campaigns: dict[str, Campaign] = {}
        self._leases: dict[str, tuple[str, datetime]] = {}
        self._counted_at: dict[str, datetime] = {}
        self._due_at: dict[str, datetime] = {}
        self._chunks: dict[tuple[str, int, str], Chunk] = {}
        self._refused: dict[tuple[str, int], Sequence[RejectedRow]] = {}

    def add(self, campaign: Campaign) -> None:
        """See the port."""
        with self._lock:
            if campaign.campaign_id not in self._campaigns:
                self._campaigns[campaign.campaign_id] = campaign
                self._due_at[campaign.campaign_id] = campaign.updated_at

    def get(self, campaign_id: str, account: str | None = None) -> Campaign | None:
        """See the port."""
        found = self._campaigns.get(campaign_id)
        return None if found is None or account not in {None, found.account} else found

    def newest(self, account: str | None, limit: int, after: CampaignPosition | None = None) -> Sequence[Campaign]:
        """See the port."""
        found = sorted(
            (each for each in self._campaigns.values() if account in {None, each.account}), key=_place, reverse=True
        )
        return [each for each in found if after is None or _place(each) < after][:limit]

    def change(self, campaign: Campaign) -> bool:
        """See the port."""
        with self._lock:
            known = self._campaigns.get(campaign.campaign_id)
            if known is None or known.version != campaign.version:
                return False
            self._campaigns[campaign.campaign_id] = replace(
                campaign,
                upload=known.upload,
                run=known.run,
                outcomes=known.outcomes,
                uploaded_by=known.uploaded_by,
                budgets=known.budgets,
                fenced_until=known.fenced_until,
                version=known.version + 1,
            )
            self._due_at[campaign.campaign_id] = campaign.updated_at
            return True

    def add_chunk(self, chunk: Chunk, now: datetime) -> UploadState:
        """See the port."""
        with self._lock:
            known = self._campaigns.get(chunk.campaign_id)
            if known is None:
                return UploadState()
            place = chunk.begin.offset, chunk.begin.digest
            if known.status is CampaignStatus.UPLOADING and (known.upload.offset, known.upload.digest) == place:
                self._chunks[chunk.campaign_id, chunk.begin.offset, chunk.end.digest] = chunk
                known = self._set(chunk.campaign_id, upload=chunk.end, updated_at=now)
            return known.upload

    def note_uploader(self, campaign_id: str, name: str, budget: str | None) -> None:
        """See the port."""
        with self._lock:
            known = self._campaigns[campaign_id]
            names = dict.fromkeys((*known.uploaded_by, name))
            budgets = dict.fromkeys((*known.budgets, *(() if budget is None else (budget,))))
            self._set(campaign_id, uploaded_by=tuple(names), budgets=tuple(budgets))

    def complete_upload(self, campaign_id: str, offset: int, now: datetime) -> bool:
        """See the port."""
        with self._lock:
            known = self._campaigns[campaign_id]
            if known.status is not CampaignStatus.UPLOADING or known.upload.offset != offset:
                return False
            upload = replace(known.upload, is_complete=True)
            self._set(
                campaign_id, status=CampaignStatus.READY, upload=upload, updated_at=now, version=known.version + 1
            )
            return True

    def chunk_at(self, campaign: Campaign, row: int) -> Chunk | None:
        """See the port."""
        found = [chunk for chunk in self._chunks_of(campaign.campaign_id) if chunk.rows]
        return next((chunk for chunk in found if chunk.rows[-1].row >= row), None)

    def due(self, until: datetime, limit: int) -> Sequence[DueCampaign]:
        """See the port."""
        found = [
            DueCampaign(each.campaign_id, self._due_at[each.campaign_id])
            for each in self._campaigns.values()
            if each.status in ACTIVE and self._due_at[each.campaign_id] <= until
        ]
        return sorted(found, key=lambda each: each.due_at)[:limit]

    def rest(self, campaign: Campaign, token: str, until: datetime) -> None:
        """See the port."""
        campaign_id = campaign.campaign_id
        with self._lock:
            if self._holder(campaign_id) == token and self._campaigns[campaign_id].version == campaign.version:
                self._due_at[campaign_id] = until

    def hold(self, campaign_id: str, token: str, now: datetime, until: datetime) -> Campaign | None:
        """See the port."""
        with self._lock:
            known = self._campaigns.get(campaign_id)
            holder, ends = self._leases.get(campaign_id, ("", now))
            if known is None or known.status not in ACTIVE or (holder != token and ends > now):
                return None
            if holder not in {"", token}:
                known = self._set(campaign_id, fenced_until=until)
            self._leases[campaign_id] = token, until
            self._due_at[campaign_id] = now
            return known

    def advance(self, campaign_id: str, token: str, before: RunState, after: RunState, now: datetime) -> bool:
        """See the port."""
        with self._lock:
            known = self._campaigns[campaign_id]
            if self._holder(campaign_id) != token or known.run.row != before.row:
                return False
            self._set(campaign_id, run=after, updated_at=now)
            if after.queued > before.queued:
                self._counted_at[campaign_id] = now
                self._set(campaign_id, outcomes=replace(known.outcomes, is_last=False))
            return True

    def end(self, campaign_id: str, token: str, status: CampaignStatus, now: datetime) -> bool:
        """See the port."""
        with self._lock:
            known = self._campaigns[campaign_id]
            if self._holder(campaign_id) != token or known.status is not _BEFORE[status]:
                return False
            run = replace(known.run, waits_for="", waits_until=None)
            self._set(campaign_id, status=status, finished_at=now, updated_at=now, run=run, version=known.version + 1)
            return True

    def release(self, token: str) -> None:
        """See the port."""
        with self._lock:
            self._leases = {each: lease for each, lease in self._leases.items() if lease[0] != token}

    def keep_refused(self, campaign_id: str, step: int, rows: Sequence[RejectedRow]) -> None:
        """See the port."""
        with self._lock:
            self._refused[campaign_id, step] = rows

    def rejected(self, campaign_id: str, after: str | None = None) -> RejectedPage:
        """See the port; all on one page."""
        chunks = self._chunks_of(campaign_id)
        with self._lock:
            refused = [rows for (owner, _), rows in sorted(self._refused.items()) if owner == campaign_id]
        rejected = [row for chunk in chunks for row in chunk.rejected]
        return RejectedPage([*rejected, *(row for rows in refused for row in rows)], None)

    def _chunks_of(self, campaign_id: str) -> list[Chunk]:
        with self._lock:
            return [chunk for (owner, _, _), chunk in sorted(self._chunks.items()) if owner == campaign_id]

    def uncounted(self, now: datetime, limit: int) -> Sequence[Campaign]:
        """See the port."""
        with self._lock:
            found = sorted((at, campaign_id) for campaign_id, at in self._counted_at.items() if at <= now)
        return [self._campaigns[campaign_id] for _, campaign_id in found[:limit]]

    def keep_outcomes(self, campaign_id: str, outcomes: Outcomes) -> None:
        """See the port."""
        with self._lock:
            self._set(campaign_id, outcomes=outcomes)
            if outcomes.is_last or outcomes.at is None:
                self._counted_at.pop(campaign_id, None)
            else:
                self._counted_at[campaign_id] = outcomes.at

    def drop_chunks(self, campaign_id: str, now: datetime) -> None:
        """See the port."""
        with self._lock:
            for key in [key for key in self._chunks if key[0] == campaign_id]:
                self._chunks[key] = replace(self._chunks[key], rows=())

    def sweep_chunks(self, now: datetime, after: str, limit: int) -> str:
        """See the port."""
        with self._lock:
            owners = sorted({owner for owner, _, _ in self._chunks if owner > after})[:limit]
            for owner in owners:
                if owner not in self._campaigns:
                    self._chunks = {key: chunk for key, chunk in self._chunks.items() if key[0] != owner}
                elif self._campaigns[owner].status in ENDED:
                    self.drop_chunks(owner, now)
        return owners[-1] if len(owners) == limit else ""

    def _holder(self, campaign_id: str) -> str:
        return self._leases.get(campaign_id, ("", None))[0]

    def _set(self, campaign_id: str, **changes: object) -> Campaign:
        self._campaigns[campaign_id] = replace(self._campaigns[campaign_id], **changes)  # type: ignore[arg-type]
        return self._campaigns[campaign_id]


class MemoryOutcomeCounter:
    """``OutcomeCounter`` over jobs in memory."""

    def __init__(self, jobs: Callable[[], Iterable[Job]]) -> None:
        self._jobs = jobs

    def count(self, campaign_id: str) -> Mapping[Status, int]:
        """See the port."""
        return Counter(job.status for job in self._jobs() if job.campaign == campaign_id)


class MemoryCampaignAudit:
    """``CampaignAudit`` that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[CampaignEvent] = []

    def record_campaign_event(self, event: CampaignEvent) -> None:
        """See the port."""
        self.events.append(event)


def _place(campaign: Campaign) -> CampaignPosition:
    return CampaignPosition(campaign.created_at, campaign.campaign_id)
