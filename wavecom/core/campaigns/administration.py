"""What people do with campaigns: make one, start, approve, pause, resume, cancel, look."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from wavecom.core.actor import Actor
from wavecom.core.campaigns.audit import CampaignAction, CampaignAudit, CampaignEvent
from wavecom.core.campaigns.model import (
    ACTIVE,
    ENDED,
    Campaign,
    CampaignPosition,
    CampaignStatus,
    CampaignStore,
    RejectedPage,
)
from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.quota import UNLIMITED, Limits
from wavecom.errors import (
    CampaignNotFoundError,
    CampaignStatusError,
    ForbiddenError,
    IdempotencyMismatchError,
    InvalidRequestError,
    LostRaceError,
    Problem,
)

log = structlog.get_logger()

#: How far ahead a campaign may start, or be meant to be done: its rows are not kept for ever.
LONGEST_AHEAD: Final = timedelta(days=60)
_TRIES: Final = 5

_S = CampaignStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCampaign:
    """What somebody asks for; fields as those of ``Campaign``."""

    name: str
    channel: Channel
    notification: Mapping[str, Any]
    columns: Mapping[str, str]
    pace: Pace
    start_at: datetime | None = None
    window: CampaignWindow | None = None
    ttl_seconds: int | None = None


class CampaignAdministration:
    """The use cases behind ``/api/campaigns`` and its pages. The audit entry is written before the deed.

    ``approval_rows``: from so many rows on a second person must agree; None: nobody need. ``current_version`` tells
    which version of a template of an account is sent, ``has_version`` whether there is one. All raise ``StoreError``;
    those with an id ``CampaignNotFoundError``, and those that change one ``CampaignStatusError`` and ``LostRaceError``.
    """

    def __init__(
        self,
        *,
        store: CampaignStore,
        audit: CampaignAudit,
        clock: Clock,
        new_id: Callable[[], str],
        current_version: Callable[[str, str], int | None],
        has_version: Callable[[str, str, int], bool],
        usual_limits: Limits = UNLIMITED,
        approval_rows: int | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._current_version = current_version
        self._has_version = has_version
        self._usual_limits = usual_limits
        self.approval_rows = approval_rows

    def create(self, actor: Actor, new: NewCampaign, idempotency_key: str | None = None) -> Campaign:
        """Make one that waits for its rows. A template's version is the one that is current now, unless it is named.

        With an ``idempotency_key`` of the account's a repetition answers the campaign that the first one made. Raises
        ``InvalidRequestError``, and ``IdempotencyMismatchError`` where that was another.
        """
        campaign_id = self._new_id()
        if idempotency_key is not None:
            campaign_id = _id_of(actor.client, idempotency_key)
            if (earlier := self._store.get(campaign_id, actor.client)) is not None:
                return _repeated(earlier, new)
        now = self._clock.now()
        problems = _time_problems(new, now)
        notification = dict(new.notification)
        if "template" in notification and "version" not in notification:
            version = self._current_version(actor.client, notification["template"])
            if version is None:
                text = f"{notification['template']!r} has no published version in this account"
                problems.append(Problem("/notification/template", text, "unknown_value"))
            notification["version"] = version
        elif "template" in notification and not self._has_version(
            actor.client, notification["template"], notification["version"]
        ):
            text = f"there is no such version of {notification['template']!r} in this account"
            problems.append(Problem("/notification/version", text, "unknown_value"))
        if problems:
            raise InvalidRequestError(problems)
        campaign = Campaign(
            campaign_id=campaign_id,
            account=actor.client,
            name=new.name,
            channel=new.channel,
            notification=notification,
            columns=new.columns,
            pace=new.pace,
            start_at=new.start_at,
            window=new.window,
            ttl_seconds=new.ttl_seconds,
            created_at=now,
            updated_at=now,
            created_by=actor.name,
            budgets=() if actor.budget is None else (actor.budget,),
        )
        self._note(CampaignAction.CREATE, actor.name, campaign, self._new_id())
        self._store.add(campaign)
        # The first of two who ask at one time.
        return campaign if idempotency_key is None else _repeated(self.get(campaign_id, actor.client), new)

    def get(self, campaign_id: str, account: str | None) -> Campaign:
        """One of them; ``account`` None: whosever it is."""
        found = self._store.get(campaign_id, account)
        if found is None:
            raise CampaignNotFoundError
        return found

    def newest(self, account: str | None, limit: int, after: CampaignPosition | None = None) -> Sequence[Campaign]:
        """See ``CampaignStore.newest``."""
        return self._store.newest(account, limit, after)

    def rejected(self, campaign_id: str, after: str | None = None) -> RejectedPage:
        """See ``CampaignStore.rejected``."""
        return self._store.rejected(campaign_id, after)

    def start(self, actor: Actor, campaign_id: str, account: str | None) -> Campaign:
        """Have its rows sent; from ``approval_rows`` rows on once somebody else has agreed. Starting twice is once.

        From now on it goes on the account of ``actor``, whose daily quota its notifications use up.
        """

        def started(known: Campaign) -> Campaign | None:
            if known.status in ACTIVE - {_S.CANCELLING} | {_S.AWAITING_APPROVAL, _S.FINISHED}:
                return None
            if known.status is _S.UPLOADING:
                raise CampaignStatusError(
                    "Its rows are still being uploaded: send the last with `Upload-Complete: ?1`, then start it."
                )
            if known.status is not _S.READY:
                raise _not_allowed(known, "started")
            self._check_time(known)
            if not known.valid_rows:
                raise CampaignStatusError("None of its rows can be sent: see `rejected`, and make another campaign.")
            needs_approval = self.approval_rows is not None and known.valid_rows >= self.approval_rows
            return replace(
                known,
                status=_S.AWAITING_APPROVAL if needs_approval else _S.RUNNING,
                started_at=self._clock.now(),
                started_by=actor.name,
                budget=actor.budget,
                limits=limits_of(actor, self._usual_limits),
            )

        return self._move(CampaignAction.START, actor.name, campaign_id, account, started)

    def approve(self, actor: Actor, campaign_id: str, account: str | None) -> Campaign:
        """Agree to a campaign that somebody else has made and started. Raises ``ForbiddenError`` for these two."""

        def approved(known: Campaign) -> Campaign | None:
            if known.approved_by is not None:
                return None
            if known.status is not _S.AWAITING_APPROVAL:
                raise _not_allowed(known, "approved")
            self._check_time(known)
            if not self.may_approve(actor, known):
                raise ForbiddenError(
                    f"A campaign of {self.approval_rows} rows or more is approved by somebody else than who made it, "
                    "uploaded rows or started it: an operator, or a key of the same client with the scope manage that "
                    "was not made by one of theirs."
                )
            return replace(known, status=_S.RUNNING, approved_by=actor.name)

        return self._move(CampaignAction.APPROVE, actor.name, campaign_id, account, approved)

    def _check_time(self, campaign: Campaign) -> None:
        """What is late for its end would go as fast as it can, which nobody has asked for."""
        if campaign.pace.finish_by is not None and campaign.pace.finish_by <= self._clock.now():
            raise CampaignStatusError("It was to be done by a time that is over (`finishBy`): make another campaign.")

    @staticmethod
    def may_approve(actor: Actor, campaign: Campaign) -> bool:
        """Whether ``actor`` is a second person for it. Keys that share a budget were made by one another."""
        if actor.name in {campaign.created_by, campaign.started_by, *campaign.uploaded_by}:
            return False
        return actor.budget is None or actor.budget not in {campaign.budget, *campaign.budgets}

    def note_upload(self, actor: Actor, campaign: Campaign) -> None:
        """Note who sends rows of it, before the first of them is taken; later ones of the same are no news."""
        if actor.name in campaign.uploaded_by or campaign.status is not _S.UPLOADING:
            return
        self._note(CampaignAction.UPLOAD, actor.name, campaign, self._new_id())
        self._store.note_uploader(campaign.campaign_id, actor.name, actor.budget)

    def pause(self, actor: Actor, campaign_id: str, account: str | None) -> Campaign:
        """Send no further row, within about a second. What became a notification by then goes its way."""
        return self._move(
            CampaignAction.PAUSE, actor.name, campaign_id, account, _mover("paused", _S.PAUSED, {_S.RUNNING})
        )

    def resume(self, actor: Actor, campaign_id: str, account: str | None) -> Campaign:
        """Go on with one that was paused; where a key resumes it, on the account of that key from now on."""
        usual = self._usual_limits
        move = _mover("resumed", _S.RUNNING, {_S.PAUSED})

        def resumed(known: Campaign) -> Campaign | None:
            wanted = move(known)
            if wanted is None or actor.budget is None:
                return wanted
            return replace(wanted, started_by=actor.name, budget=actor.budget, limits=limits_of(actor, usual))

        return self._move(CampaignAction.RESUME, actor.name, campaign_id, account, resumed)

    def cancel(self, actor: Actor, campaign_id: str, account: str | None) -> Campaign:
        """Send no further row, and cancel its notifications that nobody has tried to deliver yet. There is no way back.

        Those that are on their way, or may have been sent, stay as they are.
        """

        def cancelled(known: Campaign) -> Campaign | None:
            if known.status in {_S.CANCELLING, _S.CANCELLED}:
                return None
            if known.status in {_S.RUNNING, _S.PAUSED, _S.FINISHED}:
                # Of one that is finished all rows are notifications; those that wait can be cancelled all the same.
                return replace(known, status=_S.CANCELLING, cancelled_by=actor.name)
            return replace(known, status=_S.CANCELLED, cancelled_by=actor.name, finished_at=self._clock.now())

        campaign = self._move(CampaignAction.CANCEL, actor.name, campaign_id, account, cancelled)
        if campaign.status is _S.CANCELLED:
            self._store.drop_chunks(campaign_id, self._clock.now())
        return campaign

    def _move(
        self,
        action: CampaignAction,
        actor: str,
        campaign_id: str,
        account: str | None,
        moved: Callable[[Campaign], Campaign | None],
    ) -> Campaign:
        # One entry, however often the race is lost.
        event_id = self._new_id()
        for _ in range(_TRIES):
            known = self.get(campaign_id, account)
            wanted = moved(known)
            if wanted is None:
                return known
            wanted = replace(wanted, updated_at=self._clock.now())
            self._note(action, actor, wanted, event_id)
            if self._store.change(wanted):
                return replace(wanted, version=wanted.version + 1)
        raise LostRaceError(f"The campaign {campaign_id} kept changing; ask again.")

    def _note(self, action: CampaignAction, actor: str, campaign: Campaign, event_id: str) -> None:
        details = {"campaignName": campaign.name, "rows": campaign.upload.rows}
        event = CampaignEvent(
            event_id, action, actor, self._clock.now(), campaign.account, campaign.campaign_id, details
        )
        self._audit.record_campaign_event(event)
        log.info(
            "campaign_changed",
            action=action.value,
            campaign_id=campaign.campaign_id,
            account=campaign.account,
            status=campaign.status.value,
            actor=actor,
        )


def _id_of(account: str, idempotency_key: str) -> str:
    """The id of the campaign that an account makes with this key: by name, so the same each time."""
    digest = hashlib.sha256(f"campaign\n{account}\n{idempotency_key}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=5))


def _repeated(known: Campaign, new: NewCampaign) -> Campaign:
    """``known``, if it was made of the same request. Raises ``IdempotencyMismatchError``."""
    common = dict(known.notification)
    if "version" not in new.notification:
        # The one that was current then.
        common.pop("version", None)
    made = (known.name, common, known.columns, known.pace, known.start_at, known.window, known.ttl_seconds)
    if made != (new.name, new.notification, new.columns, new.pace, new.start_at, new.window, new.ttl_seconds):
        raise IdempotencyMismatchError(known.created_at)
    return known


def limits_of(actor: Actor, usual: Limits) -> Limits:
    """What a campaign of an actor's is held against: the daily quota alone.

    Its pace is its own; a rate that it used up would shut out what is urgent of the same key.
    """
    if actor.budget is None:
        return UNLIMITED
    limits = usual if actor.limits.is_unlimited else actor.limits.or_else(usual)
    return Limits(None, limits.daily_quota)


def _mover(word: str, status: CampaignStatus, sources: set[CampaignStatus]) -> Callable[[Campaign], Campaign | None]:
    def moved(known: Campaign) -> Campaign | None:
        if known.status is status:
            return None
        if known.status not in sources:
            raise _not_allowed(known, word)
        return replace(known, status=status)

    return moved


def _not_allowed(campaign: Campaign, word: str) -> CampaignStatusError:
    ended = " any more" if campaign.status in ENDED else ""
    return CampaignStatusError(f"A campaign that is {campaign.status} can't be {word}{ended}.")


def _time_problems(new: NewCampaign, now: datetime) -> list[Problem]:
    problems = []
    latest = now + LONGEST_AHEAD
    start_at, finish_by = new.start_at, new.pace.finish_by
    if start_at is not None and start_at > latest:
        problems.append(Problem("/startAt", f"must be within {LONGEST_AHEAD.days} days", "out_of_range"))
    begin = max(start_at or now, now)
    if finish_by is not None and not begin < finish_by <= latest:
        text = f"must be after `startAt`, in the future, and within {LONGEST_AHEAD.days} days"
        problems.append(Problem("/pace/finishBy", text, "out_of_range"))
    elif finish_by is not None and new.window is not None and not new.window.open_seconds(begin, finish_by):
        text = "must leave its send window some time: the window never opens before it"
        problems.append(Problem("/pace/finishBy", text, "out_of_range"))
    return problems
