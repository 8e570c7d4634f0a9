"""Which providers there are: the type written in the providers file → the class, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavecom.providers.base import BaseProvider
    from wavecom.providers.receipts import ReaderClass

#: Type, which is also the name of the module in this folder, and the class in it.
CLASSES = {
    "apns": "ApnsProvider",
    "apprise": "AppriseProvider",
    "fcm": "FcmProvider",
    "http": "HttpProvider",
    "infobip": "InfobipProvider",
    "mailgun": "MailgunProvider",
    "messagebird": "MessagebirdProvider",
    "postmark": "PostmarkProvider",
    "resend": "ResendProvider",
    "sandbox": "SandboxProvider",
    "sendgrid": "SendgridProvider",
    "ses": "SesProvider",
    "smtp": "SmtpProvider",
    "sns": "SnsProvider",
    "twilio": "TwilioProvider",
    "vonage": "VonageProvider",
    "webpush": "WebpushProvider",
}

#: Types that report receipts: the name of the module in ``receipts/``, and the class in it.
RECEIPTS: dict[str, str] = {
    "http": "HttpReceipts",
    "infobip": "InfobipReceipts",
    "mailgun": "MailgunReceipts",
    "messagebird": "MessagebirdReceipts",
    "postmark": "PostmarkReceipts",
    "resend": "ResendReceipts",
    "sendgrid": "SendgridReceipts",
    "ses": "SesReceipts",
    "sns": "SnsReceipts",
    "twilio": "TwilioReceipts",
    "vonage": "VonageReceipts",
}


def provider_class(type_name: str) -> type[BaseProvider[Any]]:
    """The class for a type of ``CLASSES``; KeyError for any other."""
    class_name = CLASSES[type_name]
    module = import_module(f"wavecom.providers.{type_name}")
    found: type[BaseProvider[Any]] = getattr(module, class_name)
    return found


def receipts_class(type_name: str) -> ReaderClass | None:
    """The class that reads receipts of a type of ``CLASSES``; None where it reports none."""
    class_name = RECEIPTS.get(type_name)
    if class_name is None:
        return None
    found: ReaderClass = getattr(import_module(f"wavecom.providers.receipts.{type_name}"), class_name)
    return found
