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

#: The same notifications, written by a template.
TEMPLATE_NAME = "load"
TEMPLATE_SOURCE: Mapping[str, Any] = {
    "variables": {
        "number": {"type": "text", "example": "1042"},
        "total": {"type": "money", "required": False, "example": {"amount": "1250.00", "currency": "EUR"}},
    },
    "contents": {
        "en": {
            "email": {
                "subject": "Payment received",
                "text": "Dear customer, we have received your payment number {{ number }} over {{ total }}. "
                "Your balance is up to date. This message was sent automatically; please do not reply to it.",
            },
            "sms": {"text": "Your one-time password is {{ number }}. Never tell it to anybody."},
            "push": {"title": "Parcel", "body": "Parcel {{ number }} is on its way and will arrive today."},
        }
    },
}
#: As ``CONTENTS``.
TEMPLATED: Mapping[str, bytes] = {
    "email": b'"to":{"email":"customer%d@example.com"},"template":"load",'
    b'"variables":{"number":"%d","total":{"amount":"1250.00","currency":"EUR"}}',
    "sms": b'"to":{"phone":"+4474%08d"},"template":"load","variables":{"number":"%d"}',
    "push": b'"to":{"platform":"fcm","token":"c3RhbmQtaW4tZm9yLWEtcmVnaXN0cmF0aW9uLXRva2Vu-%d"},'
    b'"template":"load","variables":{"number":"%d"}',
}


def content(channel: str, number: int) -> dict[str, Any]:
    """``to`` and ``payload`` of the notification of this number."""
    found: dict[str, Any] = json.loads(b"{%b}" % (CONTENTS[channel] % (number, number)))
    return found
