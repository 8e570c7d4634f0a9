"""The endpoint that WaveCom calls, and the signature that it goes by: Standard Webhooks, https://www.standardwebhooks.com.

There are libraries for this in most languages; it is short enough to see what they do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time

from flask import Blueprint, request
from werkzeug.datastructures import Headers

from .store import Store

#: A message of another time is refused, so that nobody sends again what was once overheard.
TOLERANCE_SECONDS = 300


def make_blueprint(store: Store) -> Blueprint:
    """``POST /wavecom``: 204 for what was noted, or was already; 401 for what WaveCom has not signed."""
    blueprint = Blueprint("callbacks", __name__)

    @blueprint.post("/wavecom")
    def wavecom() -> tuple[str, int]:
        secret = store.setting("secret")
        if secret is None or not is_genuine(secret, request.headers, request.get_data(), time.time()):
            return "The signature is wrong.", 401
        event = request.get_json()
        # `callback.test` tells of no message: that it was understood is all.
        if event["type"].startswith("notification."):
            store.record({**event, "eventId": request.headers["webhook-id"]}, "callback")
        return "", 204

    return blueprint


def is_genuine(secret: str, headers: Headers, body: bytes, now: float) -> bool:
    """Whether who knows ``secret`` (``whsec_…``) has signed ``body``, the bytes as they came; ``now`` is Unix time.

    While a secret is being changed there are several signatures, one of which must be right.
    """
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not webhook_id or not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    wanted = b"v1," + base64.b64encode(digest)
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(wanted, each.encode()) for each in given)
