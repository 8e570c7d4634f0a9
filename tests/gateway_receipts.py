"""A gateway that reports by Standard Webhooks, as tests and drills declare and play it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

SECRET = "whsec_" + base64.b64encode(b"a secret for tests only").decode()


def receipts_table(name: str) -> str:
    """The table ``receipts`` of the provider ``name``, of type http."""
    return f"""
[providers.{name}.receipts]
signature = "standard_webhooks"
secret = "{SECRET}"
events = "/events"
event_id = "/id"
kind = "/status"
job_id = "/reference"
message_id = "/message"
at = "/at"
code = "/error/code"
detail = "/error/text"
recipient = "/to"
unreachable_codes = ["31"]
sender = "/from"
to = "/to"
body = "/text"

[providers.{name}.receipts.kinds]
delivered = ["DELIVRD"]
failed = ["UNDELIV", "REJECTD"]
progress = ["ACCEPTD"]
complaint = ["SPAM"]
unsubscribed = ["OPTOUT"]
inbound = ["MO"]
"""


def signed(body: bytes, at: datetime, message_id: str = "msg-1", secret: str = SECRET) -> dict[str, str]:
    """The headers that sign ``body`` at ``at``. Written from the specification, not with the code under test."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    timestamp = str(int(at.timestamp()))
    mac = hmac.new(key, message_id.encode() + b"." + timestamp.encode() + b"." + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}",
    }


def events_body(events: Sequence[dict[str, Any]]) -> bytes:
    """The body of a report."""
    return orjson.dumps({"events": list(events)})
