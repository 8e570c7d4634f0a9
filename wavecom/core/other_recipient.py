"""A notification's message for another recipient: what of the first holds for it, and what does not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wavecom.core.job import Job
from wavecom.core.new_notification import DEFAULT_TIME_TO_LIVE, NewNotification
from wavecom.core.unsubscribe import UnsubscribeLinks, without_link


def for_other_recipient(
    job: Job,
    to: Mapping[str, Any],
    now: datetime,
    *,
    idempotency_key: str,
    fingerprint: str,
    created_by: str,
    links: UnsubscribeLinks | None,
) -> NewNotification:
    """The message of ``job`` as a notification of the same client to ``to``.

    It stays in its region, which may be a duty, has as many attempts and as long to live, three days at most, and does
    not offer the first recipient's link to unsubscribe.
    """
    lifetime = min(job.expires_at - (job.send_at or job.created_at), DEFAULT_TIME_TO_LIVE)
    return NewNotification(
        client=job.client,
        type=job.type,
        to=to,
        payload=without_link(job.payload, links),
        metadata=job.metadata,
        priority=job.priority,
        region=job.region or None,
        max_attempts=job.max_attempts,
        expires_at=now + lifetime,
        on_unknown_outcome=job.on_unknown_outcome,
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        created_by=created_by,
        template=job.template,
    )
