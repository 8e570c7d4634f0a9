"""What a notification is before it is accepted, and the job that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from wavecom.core import unsubscribe
from wavecom.core.client_events import EventAccounts
from wavecom.core.engine import Policy
from wavecom.core.job import FallbackStep, Job, LogEntry, TemplateUse, UnknownOutcomePolicy
from wavecom.core.job_ids import make_job_id
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.preferences import WaitUntil
from wavecom.core.regions import Regions
from wavecom.core.regions import problems as region_problems
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.core.states import Status
from wavecom.core.traces import TraceSampler
from wavecom.core.unsubscribe import UnsubscribeLinks
from wavecom.errors import Problem

#: How long a notification may wait for its delivery when its sender does not say.
DEFAULT_TIME_TO_LIVE: Final = timedelta(hours=72)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """A validated request. Shapes of ``to`` and ``payload``: ``wavecom.web.api.schemas``.

    ``fingerprint`` tells two bodies apart that came with the same ``idempotency_key``; ``created_by`` is an
    ``Actor.name``, ``traceparent`` the header as it came.
    """

    client: str
    type: Channel
    to: Mapping[str, Any]
    payload: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    #: Where it is to be delivered; None: as the rules of ``core/regions.py`` say.
    region: str | None = None
    #: None: as many as the policy says.
    max_attempts: int | None = None
    on_unknown_outcome: UnknownOutcomePolicy = UnknownOutcomePolicy.RETRY
    send_at: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    created_by: str | None = None
    #: By what ``payload`` was written; None: the sender gave it.
    template: TemplateUse | None = None
    traceparent: str | None = None
    #: Whose address ``to`` is; None: the sender gave the address.
    recipient: RegisteredRecipient | None = None
    category: str | None = None
    #: It may not start earlier, and why; ``core/preference_rules.py`` finds it.
    hold: WaitUntil | None = None
    #: The id of the campaign of which it is a row; None: of none.
    campaign: str | None = None
    #: Of which fallback it is a step; None: it is a notification of its own.
    parent: FallbackStep | None = None

    def starts_at(self, now: datetime) -> datetime:
        """When it may be delivered first, accepted ``now``."""
        wanted = max(self.send_at or now, now)
        return wanted if self.hold is None else max(wanted, self.hold.at)

    @property
    def lane(self) -> Lane:
        """What its delivery messages will travel in; its region, where it names none, is settled when it is stored."""
        return Lane.of(self.type, self.priority, self.client, self.region or "")


class JobMaker:
    """Makes jobs of notifications: all that a deployment adds to what the sender gave. Does no I/O; thread-safe."""

    def __init__(
        self,
        policy: Policy,
        random_bytes: Callable[[int], bytes],
        *,
        unsubscribe_links: UnsubscribeLinks | None = None,
        regions: Regions | None = None,
        event_accounts: EventAccounts | None = None,
        traces: TraceSampler | None = None,
    ) -> None:
        self._policy = policy
        self._random_bytes = random_bytes
        self._unsubscribe_links = unsubscribe_links
        self._regions = regions
        self._event_accounts = event_accounts
        self._traces = traces

    def problems(self, new: NewNotification) -> list[Problem]:
        """What in a notification this deployment can't do."""
        found = unsubscribe.problems(new.payload, self._unsubscribe_links)
        return found if new.region is None else [*found, *region_problems(new.region, self._regions)]

    def make(self, new: NewNotification, now: datetime) -> Job:
        """The job of ``new``, accepted ``now``."""
        starts_at = new.starts_at(now)
        is_scheduled = starts_at > now
        expires_at = new.expires_at or starts_at + DEFAULT_TIME_TO_LIVE
        due_at = starts_at if is_scheduled else now + self._policy.message_grace
        payload = new.payload
        if "unsubscribe" in payload:
            page = None
            if new.recipient is not None:
                page = unsubscribe.PreferenceTarget(new.client, new.recipient.recipient_id, new.category or "")
            payload = unsubscribe.with_link(payload, self._unsubscribe_links, new.client, new.type, new.to, page)
        logs: tuple[LogEntry, ...] = (LogEntry(now, "accepted"),)
        if new.hold is not None:
            logs = (*logs, LogEntry(now, "held", code=new.hold.reason.value, next_attempt_at=starts_at))
        return Job(
            job_id=make_job_id(now, self._random_bytes(10), new.client, new.idempotency_key),
            client=new.client,
            type=new.type,
            to=new.to,
            payload=payload,
            metadata=new.metadata,
            status=Status.SCHEDULED if is_scheduled else Status.QUEUED,
            priority=new.priority,
            region="" if self._regions is None else self._regions.of(new.region, new),
            max_attempts=new.max_attempts or self._policy.max_attempts,
            on_unknown_outcome=new.on_unknown_outcome,
            idempotency_key=new.idempotency_key,
            fingerprint=new.fingerprint,
            created_at=now,
            updated_at=now,
            send_at=new.send_at,
            expires_at=expires_at,
            queued_at=None if is_scheduled else now,
            due_at=min(due_at, expires_at),
            created_by=new.created_by,
            logs=logs,
            log_count=len(logs),
            records_events=self._event_accounts is not None and new.client in self._event_accounts.names,
            template=new.template,
            campaign=new.campaign,
            trace=None if self._traces is None else self._traces.begin(new.traceparent),
            recipient_id=None if new.recipient is None else new.recipient.recipient_id,
            category=new.category,
            held_until=None if new.hold is None else starts_at,
            parent=new.parent,
        )
