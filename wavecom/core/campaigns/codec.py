"""The notification of a row as it is kept until its turn comes: JSON of what the request had said, and back.

What belongs to all of a campaign (account, who sends, its keys) is not kept with each row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from wavecom.core.job import TemplateUse, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.errors import InvalidRequestError, Problem

if TYPE_CHECKING:
    from wavecom.core.campaigns.model import Campaign, StoredRow

#: The recipients of an account that there are of these, by id.
FindRecipients = Callable[[str, Collection[str]], Mapping[str, RegisteredRecipient]]

#: The same for all rows, or made anew when the row's turn comes.
_OF_CAMPAIGN: Final = frozenset(
    (
        "client",
        "created_by",
        "idempotency_key",
        "fingerprint",
        "campaign",
        "traceparent",
        "send_at",
        "expires_at",
        "hold",
    )
)
_OWN: Final = tuple(each for each in fields(NewNotification) if each.name not in _OF_CAMPAIGN)
_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "type": Channel,
    "priority": Priority,
    "on_unknown_outcome": UnknownOutcomePolicy,
    "template": lambda value: TemplateUse(**value),
}


def encode(new: NewNotification) -> bytes:
    """The notification of a row, as JSON. Raises ``TypeError`` for what JSON can't hold."""
    values: dict[str, Any] = {}
    for each in _OWN:
        value = getattr(new, each.name)
        if value is not None and (each.default is MISSING or value != each.default):
            values[each.name] = value
    if new.recipient is not None:
        # What he wants is looked up when the row's turn comes.
        values["recipient"] = new.recipient.recipient_id
    return orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS)


def decode(
    campaign: Campaign, rows: Sequence[StoredRow], now: datetime, find: FindRecipients
) -> list[NewNotification | InvalidRequestError]:
    """The notifications of some rows of a campaign, whose turn comes ``now``; an error for one whose recipient is gone.

    Each has an idempotency key made of campaign and row: whatever dies, a row is one notification. Raises what
    ``find`` raises.
    """
    values = [orjson.loads(row.notification) for row in rows]
    named = {each["recipient"] for each in values if "recipient" in each}
    recipients = find(campaign.account, named) if named else {}
    return [_decoded(campaign, row.row, each, now, recipients) for row, each in zip(rows, values, strict=True)]


def _decoded(
    campaign: Campaign,
    row: int,
    values: dict[str, Any],
    now: datetime,
    recipients: Mapping[str, RegisteredRecipient],
) -> NewNotification | InvalidRequestError:
    for name, read in _READ.items():
        if name in values:
            values[name] = read(values[name])
    if "recipient" in values:
        recipient = values["recipient"] = recipients.get(values["recipient"])
        if recipient is None:
            return InvalidRequestError([Problem("/to/recipient", "is no recipient of yours any more", "unknown_value")])
    new = NewNotification(
        client=campaign.account,
        created_by=campaign.started_by or campaign.created_by,
        idempotency_key=row_key(campaign.campaign_id, row),
        fingerprint=campaign.campaign_id,
        campaign=campaign.campaign_id,
        **values,
    )
    if campaign.ttl_seconds is None:
        return new
    return replace(new, expires_at=now + timedelta(seconds=campaign.ttl_seconds))


def row_key(campaign_id: str, row: int) -> str:
    """The idempotency key of the notification of a row, counted from 0; people count from 1."""
    return f"campaign/{campaign_id}/{row + 1}"
