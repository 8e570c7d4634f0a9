"""By which of a type's options its receipts are verified."""

from __future__ import annotations

from typing import Any, Final

#: A provider that lacks the option has no reader of receipts.
VERIFIED_WITH: Final = {
    "http": "receipts",
    "infobip": "webhook_password",
    "mailgun": "webhook_signing_key",
    "messagebird": "signing_key",
    "postmark": "webhook_password",
    "resend": "webhook_secret",
    "sendgrid": "webhook_public_key",
    "ses": "topic_arns",
    "sns": "topic_arns",
    "twilio": "auth_token",
    "vonage": "signature_secret",
}


def has_receipts(type_name: str, options: Any) -> bool:
    """Whether these options of the type hold what its receipts are verified with."""
    return bool(getattr(options, VERIFIED_WITH.get(type_name, ""), None))
