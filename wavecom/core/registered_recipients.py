"""Recipients as people: whom an account knows by an id of its own, how each is reached, and what each wants."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from wavecom.core.lanes import Channel
from wavecom.core.local_hours import DailyHours
from wavecom.core.recipients import recipient_of

PUSH_TOKENS_LIMIT: Final = 20
#: No ``@`` and no ``+``, and not digits alone that may be a telephone number (E.164): an id stands in logs, and an
#: address or a number must not.
ID_PATTERN: Final = "(?![0-9]{10,15}$)[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
ID_RULE: Final = (
    "1 to 128 letters, digits and . _ : - characters, a letter or digit first; no address, and not 10 to 15 digits "
    "alone, which may be a telephone number: write c-1234567890"
)
_ID: Final = re.compile(ID_PATTERN)


#: Account and id.
RecipientKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PushToken:
    """A device or browser of a recipient. ``to`` is as in a notification of type ``push``; ``seen_at`` is aware UTC."""

    to: Mapping[str, Any] = field(repr=False)
    seen_at: datetime

    @property
    def address(self) -> str:
        """By which it is told apart: the token, or the endpoint of a subscription."""
        return recipient_of(Channel.PUSH, self.to) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredRecipient:
    """A person whom an account sends messages to, under an id of the account's own.

    Addresses are normalised (``core.recipients``), and never logged.
    """

    account: str
    recipient_id: str
    created_at: datetime
    updated_at: datetime
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    #: The one that was seen last first.
    push_tokens: tuple[PushToken, ...] = field(default=(), repr=False)
    is_email_verified: bool = False
    is_phone_verified: bool = False
    locale: str | None = None
    time_zone: str | None = None
    #: None: as the category says.
    quiet_hours: DailyHours | None = None
    #: Category → channel → whether it is wanted, as far as somebody has chosen.
    choices: Mapping[str, Mapping[Channel, bool]] = field(default_factory=dict)
    #: When the recipient stopped all that can be stopped; choices were made later than that.
    stopped_at: datetime | None = None
    #: When it was deleted: then all that is left is what it refused, for the case that it is registered again.
    removed_at: datetime | None = None
    #: Counts what was written: who writes has read the one before.
    revision: int = 0

    def choice(self, category: str, channel: Channel) -> bool | None:
        """Whether it is wanted; None: not chosen."""
        return self.choices.get(category, {}).get(channel)

    def address(self, channel: Channel) -> dict[str, Any] | None:
        """``to`` of a notification by this channel; None: there is no such address. Of push tokens the newest."""
        match channel:
            case Channel.EMAIL:
                return None if self.email is None else {"email": self.email}
            case Channel.SMS:
                return None if self.phone is None else {"phone": self.phone}
            case Channel.PUSH:
                return dict(self.push_tokens[0].to) if self.push_tokens else None

    def is_verified(self, channel: Channel) -> bool:
        """Whether the account has made sure that the address is the recipient's; a push token comes from the app."""
        match channel:
            case Channel.EMAIL:
                return self.is_email_verified
            case Channel.SMS:
                return self.is_phone_verified
            case Channel.PUSH:
                return True


def refusals(choices: Mapping[str, Mapping[Channel, bool]]) -> dict[str, dict[Channel, bool]]:
    """Of what was chosen each no."""
    return {
        name: kept
        for name, channels in choices.items()
        if (kept := {channel: False for channel, is_wanted in channels.items() if not is_wanted})
    }


def remainder(recipient: RegisteredRecipient, now: datetime) -> RegisteredRecipient | None:
    """What is kept of a recipient who is deleted: what he refused, under his id, and no address. None: nothing.

    A list of recipients that is sent again, each night say, must not take back what people have said no to.
    """
    refused = refusals(recipient.choices)
    if not refused and recipient.stopped_at is None:
        return None
    return RegisteredRecipient(
        account=recipient.account,
        recipient_id=recipient.recipient_id,
        created_at=recipient.created_at,
        updated_at=now,
        choices=refused,
        stopped_at=recipient.stopped_at,
        removed_at=now,
        revision=recipient.revision,
    )


def is_recipient_id(text: str) -> bool:
    """Whether a recipient may be called so."""
    return _ID.fullmatch(text) is not None


def newest_tokens(tokens: Collection[PushToken]) -> tuple[PushToken, ...]:
    """Each once, the one that was seen last first, and no more than may be kept."""
    by_address: dict[str, PushToken] = {}
    for token in tokens:
        known = by_address.get(token.address)
        if known is None or token.seen_at >= known.seen_at:
            by_address[token.address] = token
    return tuple(sorted(by_address.values(), key=lambda each: each.seen_at, reverse=True)[:PUSH_TOKENS_LIMIT])


class RecipientStore(Protocol):
    """All recipients. Raises ``StoreError``, for writes ``UncertainWriteError`` too. Thread-safe."""

    def find(self, account: str, recipient_ids: Collection[str]) -> dict[str, RegisteredRecipient]:
        """Those that there are, by id, and what is left of those that were deleted (``removed_at``). One read."""
        ...

    def find_each(self, keys: Collection[RecipientKey]) -> dict[RecipientKey, RegisteredRecipient]:
        """The same for recipients of any accounts. One read."""
        ...

    def save(self, recipients: Sequence[RegisteredRecipient]) -> list[bool]:
        """Keep each as the next revision of the one that was read; False for one that was written since.

        ``revision`` is that of the one that was read, 0: there was none.
        """
        ...

    def remove(self, recipient: RegisteredRecipient) -> bool:
        """Leave nothing of it; False for one that was written since it was read."""
        ...

    def page(self, account: str, limit: int, after: str | None) -> Sequence[RegisteredRecipient]:
        """At most ``limit``, by id, of those whose id comes after ``after``, without those that were deleted."""
        ...

    def forget_token(self, account: str, recipient_id: str, address: str, seen_by: datetime) -> bool:
        """Take a push token away that is gone, unless it was seen after ``seen_by``; whether it was there."""
        ...

    def holders(self, account: str, addresses: Collection[str]) -> Sequence[RegisteredRecipient]:
        """Who has any of these push tokens. One read."""
        ...
