"""A campaign, the pieces that its rows are kept in, and the store of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.lanes import Channel
from wavecom.core.quota import UNLIMITED, Limits
from wavecom.core.states import Status

#: Rows that a campaign may have.
ROWS_LIMIT: Final = 1_000_000
#: So long a campaign, and what is wrong with its rows, is kept after its last change.
KEPT: Final = timedelta(days=90)


class CampaignStatus(StrEnum):
    """How far a campaign is."""

    #: Its rows are being uploaded.
    UPLOADING = "uploading"
    #: All rows are here; somebody has to start it.
    READY = "ready"
    #: Started, and so large that a second person must agree.
    AWAITING_APPROVAL = "awaitingApproval"
    #: Its rows become notifications, as fast as its pace allows.
    RUNNING = "running"
    PAUSED = "paused"
    #: No further row is sent, and its notifications that wait are being cancelled.
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    #: Every row has become a notification, or was refused.
    FINISHED = "finished"


#: Nothing happens to the rows of these any more.
ENDED: Final = frozenset({CampaignStatus.CANCELLED, CampaignStatus.FINISHED})
#: A runner has something to do for these.
ACTIVE: Final = frozenset({CampaignStatus.RUNNING, CampaignStatus.CANCELLING})


class RowFormat(StrEnum):
    """What the rows are written in; told by the first part of the upload."""

    CSV = "csv"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class UploadState:
    """How far the upload of rows is, durably. A part that goes on at ``offset`` loses nothing and repeats nothing."""

    #: The byte that comes next, counted in the rows as they are without compression.
    offset: int = 0
    #: Lines before it, the one that names the columns included.
    lines: int = 0
    #: Rows before it.
    rows: int = 0
    #: Those of them in which something is wrong.
    rejected: int = 0
    format: RowFormat | None = None
    #: The names in the first line of CSV.
    header: tuple[str, ...] = ()
    #: What parts its columns.
    delimiter: str = ","
    is_complete: bool = False
    #: Of all rows before it: so two who upload other rows to the same place are told apart.
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """How far rows have become notifications, and how that goes on."""

    #: Rows before this one, counted from 0, have been dealt with.
    row: int = 0
    #: Rows that became notifications.
    queued: int = 0
    #: Rows that were right when they were uploaded and were refused when their turn came.
    refused: int = 0
    #: Until when the pace has been used up; None: it has not begun, or begins anew after a pause.
    paced_until: datetime | None = None
    #: Why no row is sent now, in a word (``pacing.CampaignHold``); empty: rows are sent.
    waits_for: str = ""
    #: When that will be over, where it is known.
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many notifications of the campaign have each status, as counted ``at``."""

    by_status: Mapping[Status, int] = field(default_factory=dict)
    at: datetime | None = None
    #: Nothing will change any more, or what was counted begins to be deleted: not to be counted again.
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign. Times are aware UTC with millisecond precision; people are named as in jobs (``Actor.name``)."""

    campaign_id: str
    account: str
    name: str
    channel: Channel
    #: What the rows have in common, as the body of a single notification would say it; its template names a version.
    notification: Mapping[str, Any]
    #: Column → where its values belong in that body: ``to.email``, ``locale``, ``variables.name``.
    columns: Mapping[str, str]
    pace: Pace
    created_at: datetime
    updated_at: datetime
    created_by: str
    status: CampaignStatus = CampaignStatus.UPLOADING
    start_at: datetime | None = None
    window: CampaignWindow | None = None
    #: How long each notification may wait for its delivery once it is one; None: as long as any.
    ttl_seconds: int | None = None
    upload: UploadState = UploadState()
    run: RunState = RunState()
    outcomes: Outcomes = Outcomes()
    started_at: datetime | None = None
    started_by: str | None = None
    approved_by: str | None = None
    cancelled_by: str | None = None
    #: Who sent rows of it, in the order in which they began.
    uploaded_by: tuple[str, ...] = ()
    #: Of whom keys share one (``core/quota``) is one person: the budgets of who made it and who sent rows.
    budgets: tuple[str, ...] = ()
    finished_at: datetime | None = None
    #: What its notifications are held against: the budget and limits of the key that started it (``core/quota``).
    budget: str | None = None
    limits: Limits = UNLIMITED
    #: Until then a runner that held it before the one of now may still store notifications that it had begun to make.
    fenced_until: datetime | None = None
    #: The number of its changes by people: compare-and-set goes by it.
    version: int = 0

    @property
    def valid_rows(self) -> int:
        """Rows that may become notifications."""
        return self.upload.rows - self.upload.rejected

    @property
    def rejected(self) -> int:
        """Rows that were wrong when they were uploaded, or refused when their turn came."""
        return self.upload.rejected + self.run.refused

    @property
    def waiting(self) -> int:
        """Rows that have not become notifications yet; of one that was cancelled those that never will."""
        return self.valid_rows - self.run.queued - self.run.refused


class RowProblem(NamedTuple):
    """What is wrong with a row: ``field`` is a column, or a JSON pointer where no column is at fault."""

    field: str
    code: str
    message: str


class RejectedRow(NamedTuple):
    """A row that becomes no notification. ``row`` counts from 1, ``line`` too, in the file as it was uploaded."""

    row: int
    line: int
    problems: tuple[RowProblem, ...]


class RejectedPage(NamedTuple):
    """Some of the rejected rows; ``next`` leads to those that follow, None: there are no more."""

    rows: Sequence[RejectedRow]
    next: str | None


class StoredRow(NamedTuple):
    """A row that was found right: its number, from 0, and its notification as ``core/campaigns/codec`` writes it."""

    row: int
    notification: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some hundred rows of an upload that are stored together. Its campaign and ``begin`` say which it is."""

    campaign_id: str
    #: The state of the upload before and after its rows.
    begin: UploadState
    end: UploadState
    rows: Sequence[StoredRow]
    rejected: Sequence[RejectedRow] = ()


class CampaignPosition(NamedTuple):
    """A place in the list of campaigns, the newest first: that of the last one seen."""

    created_at: datetime
    campaign_id: str


class DueCampaign(NamedTuple):
    """A campaign that a runner has to look at, and when."""

    campaign_id: str
    due_at: datetime


class CampaignStore(Protocol):
    """All campaigns with their rows. Raises ``StoreError``. May be called from several threads at once."""

    def add(self, campaign: Campaign) -> None:
        """Keep a new one, unless there is one of its id. May be repeated."""
        ...

    def get(self, campaign_id: str, account: str | None = None) -> Campaign | None:
        """One of them; None too where it belongs to another account than ``account``."""
        ...

    def newest(self, account: str | None, limit: int, after: CampaignPosition | None = None) -> Sequence[Campaign]:
        """Campaigns of an account, or of all, the newest first; with ``after`` those that follow it."""
        ...

    def change(self, campaign: Campaign) -> bool:
        """Write what people change of a campaign: status, times and names, budget. False: its version is not that of
        ``campaign`` any more.

        The version rises by one. Upload, run and outcomes stay as they are in the store.
        """
        ...

    def add_chunk(self, chunk: Chunk, now: datetime) -> UploadState:
        """Store a chunk, durably, and then count it; answers where the upload stands then.

        Nothing is counted where the upload is not at ``begin`` any more, or the campaign is not ``uploading``; what is
        not counted is as if it were not there, and goes. May be repeated.
        """
        ...

    def note_uploader(self, campaign_id: str, name: str, budget: str | None) -> None:
        """Keep who sends rows of it, and the budget of theirs. May be repeated."""
        ...

    def complete_upload(self, campaign_id: str, offset: int, now: datetime) -> bool:
        """All rows are here: the campaign is ready. False: the upload is at another offset."""
        ...

    def chunk_at(self, campaign: Campaign, row: int) -> Chunk | None:
        """The chunk that holds this row, or the next one that holds a row after it; None: there is none any more.

        Of those alone that were counted in ``campaign.upload``.
        """
        ...

    def due(self, until: datetime, limit: int) -> Sequence[DueCampaign]:
        """Active campaigns whose turn comes by then, the earliest first.

        Whatever somebody changes of a campaign, or a runner records, gives it a turn at once.
        """
        ...

    def rest(self, campaign: Campaign, token: str, until: datetime) -> None:
        """Its next turn comes then; of one that this runner holds, and that nobody has changed since."""
        ...

    def hold(self, campaign_id: str, token: str, now: datetime, until: datetime) -> Campaign | None:
        """Take the campaign for one runner until then, if no other holds it and it is active; renews a hold.

        Its next turn comes behind those of all that wait for theirs ``now``. Where the hold of another has run out, the
        campaign is fenced until ``until``.
        """
        ...

    def advance(self, campaign_id: str, token: str, before: RunState, after: RunState, now: datetime) -> bool:
        """Record how far its rows are. False: another runner holds it, or it was not at ``before.row`` any more."""
        ...

    def end(self, campaign_id: str, token: str, status: CampaignStatus, now: datetime) -> bool:
        """Record that a campaign that this runner holds has come to its end, if it is still active."""
        ...

    def release(self, token: str) -> None:
        """Let other runners take at once what this one holds: it stores nothing more."""
        ...

    def keep_refused(self, campaign_id: str, step: int, rows: Sequence[RejectedRow]) -> None:
        """Keep the rows that a step from row ``step`` on refused, in place of all that it had refused before."""
        ...

    def rejected(self, campaign_id: str, after: str | None = None) -> RejectedPage:
        """The next rejected rows, in their order, and behind them all that were refused."""
        ...

    def uncounted(self, now: datetime, limit: int) -> Sequence[Campaign]:
        """Campaigns that have notifications of which the outcome is not final, longest not counted first."""
        ...

    def keep_outcomes(self, campaign_id: str, outcomes: Outcomes) -> None:
        """Keep what was counted."""
        ...

    def drop_chunks(self, campaign_id: str, now: datetime) -> None:
        """Let go of the rows of a campaign that has ended; what was rejected is kept for as long as the campaign is."""
        ...

    def sweep_chunks(self, now: datetime, after: str, limit: int) -> str:
        """Let go of the rows of up to ``limit`` campaigns that have ended or are not there any more.

        Looks at campaigns in the order of their ids, behind ``after``; answers the last one, empty behind all of them.
        """
        ...


class OutcomeCounter(Protocol):
    """Counts notifications of campaigns. Raises ``StoreError``."""

    def count(self, campaign_id: str) -> Mapping[Status, int]:
        """How many have each status now."""
        ...
