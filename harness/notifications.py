"""The notifications that clients submit, in benchmark and fault drill alike: what a bank, a shop and a carrier send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: Channel -> recipient and content, as members of the request's body, with the notification's number (%d) twice.
CONTENTS: Mapping[str, bytes] = {
    "email": b'"to":{"email":"customer%d@example.com"},"payload":{"subject":"Payment received",'
    b'"text":"Dear customer, we have received your payment number %d over 1,250.00 EUR. Your balance is up to date.'
    b' This message was sent automatically; please do not reply to it."}',
    "sms": b'"to":{"phone":"+4474%08d"},"payload":{"text":"Your one-time password is %d. Never tell it to anybody."}',
    "push": b'"to":{"platform":"fcm","token":"c3RhbmQtaW4tZm9yLWEtcmVnaXN0cmF0aW9uLXRva2Vu-%d"},'
    b'"payload":{"title":"Parcel","body":"Parcel %d is on its way and will arrive today."}',
}
CHANNELS = tuple(CONTENTS)


def content(channel: str, number: int) -> dict[str, Any]:
    """``to`` and ``payload`` of the notification of this number."""
    found: dict[str, Any] = json.loads(b"{%b}" % (CONTENTS[channel] % (number, number)))
    return found
