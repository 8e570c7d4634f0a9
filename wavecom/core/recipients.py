"""Recipients: how each is written in one form, told apart without being kept, and where a mail goes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.job import Job, recipient_text
from wavecom.core.lanes import Channel

#: No country's code begins with a zero (ITU-T E.164): 00 is what is dialled before it, one zero a number without it.
_NUMBER: Final = re.compile(r"(?:\+|00)?([1-9][0-9]{1,14})")


def e164(text: str) -> str | None:
    """A number as providers write it, in the form in which recipients are stored: ``+447700900123``.

    Of the same with ``00`` or nothing for the plus too. None for anything else, such as a name, or a number without
    its country.
    """
    found = _NUMBER.fullmatch(text.strip())
    return f"+{found[1]}" if found else None


def recipient_key(job: Job) -> str:
    """Short, the same for the same address, number or token, whatever the recipient is called."""
    parts = sorted((name, str(value)) for name, value in job.to.items() if name != "name")
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def recipient_of(channel: Channel, to: Mapping[str, Any]) -> str | None:
    """Where a message goes, in one text for all channels and in the form that is searched for (``recipient_text``).

    The address of a mail, the number of an SMS, the token of a push message or the endpoint of its subscription.
    None for a job whose ``to`` has none of it, which only who stores jobs himself can make.
    """
    match channel:
        case Channel.EMAIL:
            address = to.get("email")
        case Channel.SMS:
            address = to.get("phone")
        case Channel.PUSH:
            subscription = to.get("subscription")
            endpoint = subscription.get("endpoint") if isinstance(subscription, Mapping) else None
            address = to.get("token") or endpoint
    return recipient_text(address) if isinstance(address, str) else None


def destination_of(job: Job) -> str:
    """The domain that a mail goes to, in lower case; "" for other channels."""
    if job.type is not Channel.EMAIL:
        return ""
    return str(job.to.get("email", "")).rpartition("@")[2].casefold()
