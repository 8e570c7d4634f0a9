"""Signatures as the reference library of Standard Webhooks reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from wavecom.core.callback_signatures import headers, make_secret

BODY = b'{"type":"notification.delivered","data":{"metadata":{"order":"A-42 \xc3\xa9"}}}'
OLD, NEW, OTHER = (make_secret(bytes([number]) * 32) for number in (1, 2, 3))


def test_the_reference_library_takes_what_is_signed() -> None:
    sent = headers("event.1", datetime.now(UTC), BODY, [NEW])

    assert Webhook(NEW).verify(BODY, dict(sent))["type"] == "notification.delivered"


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_a_secret_is_rotated_receivers_with_either_take_it(secret: str) -> None:
    sent = headers("event.1", datetime.now(UTC), BODY, [NEW, OLD])

    assert Webhook(secret).verify(BODY, dict(sent))


@pytest.mark.parametrize("changed", ["body", "id", "timestamp", "secret"])
def test_the_reference_library_refuses_what_was_changed(changed: str) -> None:
    sent = dict(headers("event.1", datetime.now(UTC), BODY, [NEW]))
    body, secret = BODY, NEW
    if changed == "body":
        body = BODY.replace(b"A-42", b"A-43")
    elif changed == "id":
        sent["webhook-id"] = "event.2"
    elif changed == "timestamp":
        sent["webhook-timestamp"] = str(int(sent["webhook-timestamp"]) + 1)
    else:
        secret = OTHER

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, sent)


def test_a_secret_takes_enough_chance() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        make_secret(b"short")
