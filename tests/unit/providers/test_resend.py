"""What Resend is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
import resend
from resend.http_client import HTTPClient

from tests.mail_apis import BLOB, EVERYTHING, INVITATION, LOGO, PDF, mail, request_of
from wavecom.providers.base import UnsendableError

TABLE = 'type = "resend"\napi_key = "$SECRET"\nsender = "Bank <bank@example.org>"'
JOB = "0193a7b0-0000-7000-8000-000000000001"


def test_the_address_and_the_keys_are_resends() -> None:
    request = request_of(TABLE, mail(delivery_key=f"{JOB}:2"))

    assert (request.method, request.url) == ("POST", "https://api.resend.com/emails")
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Idempotency-Key"] == f"{JOB}:2"


def test_every_attempt_sends_the_same_as_an_idempotency_key_demands() -> None:
    first, second = (request_of(TABLE, mail(EVERYTHING, attempt=attempt)) for attempt in (1, 2))

    assert (first.body, first.headers) == (second.body, second.headers)


def test_every_field_is_sent() -> None:
    content = json.loads(request_of(TABLE, mail(EVERYTHING)).body)

    assert content == {
        "from": "=?utf-8?b?TcO8bGxlciwgU8O2aG5l?= <shop@example.org>",
        "to": ['"Ada" <ada@example.org>'],
        "subject": EVERYTHING["subject"],
        "text": EVERYTHING["text"],
        "html": EVERYTHING["html"],
        "reply_to": ["help@example.org", '"Boss" <boss@example.org>'],
        "headers": EVERYTHING["headers"] | {"X-Note": "=?utf-8?b?R3LDvMOfZQ==?="},
        "attachments": [
            {
                "filename": "Verträge.pdf",
                "content_type": "application/pdf",
                "content": base64.b64encode(PDF).decode(),
            },
            {
                "filename": "logo.png",
                "content_type": "image/png",
                "content": base64.b64encode(LOGO).decode(),
                "content_id": "logo",
            },
            {
                "filename": "large.bin",
                "content_type": "application/octet-stream",
                "content": base64.b64encode(BLOB).decode(),
            },
        ],
        "tags": [{"name": "wavecom_job_id", "value": JOB}],
    }


class Recorder(HTTPClient):
    """Keeps what Resend's library would send, and sends nothing."""

    def request(self, method: str, url: str, **named: Any) -> tuple[bytes, int, Mapping[str, str]]:
        self.last = (method, url, named["headers"], named["json"])
        return b'{"id": "m-1"}', 200, {"content-type": "application/json"}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """In the place of the client of Resend's library."""
    made = Recorder()
    monkeypatch.setattr(resend, "default_http_client", made)
    monkeypatch.setattr(resend, "api_key", "s3cret")
    return made


@pytest.mark.parametrize("payload", [None, EVERYTHING], ids=["plain", "everything"])
def test_a_mail_is_sent_as_resends_library_sends_it(recorder: Recorder, payload: Mapping[str, Any] | None) -> None:
    request = request_of(TABLE, mail(payload))
    content = json.loads(request.body)

    resend.Emails.send(content, {"idempotency_key": request.headers["Idempotency-Key"]})

    method, url, headers, body = recorder.last
    assert (request.method, request.url, content) == (method.upper(), url, body)
    assert {name: request.headers[name] for name in ("Authorization", "Idempotency-Key")} == {
        name: headers[name] for name in ("Authorization", "Idempotency-Key")
    }
    assert content.keys() <= resend.Emails.SendParams.__annotations__.keys()
    names = resend.Attachment.__annotations__.keys() | resend.RemoteAttachment.__annotations__.keys()
    assert all(each.keys() <= names for each in content.get("attachments", []))


@pytest.mark.parametrize(
    ("payload", "to", "place"),
    [
        ({"calendar": INVITATION}, "ada@example.org", "payload.calendar"),
        ({}, "jürgen@example.org", r"to\.email"),
    ],
)
def test_what_resend_can_not_send_is_left_to_others(payload: dict[str, object], to: str, place: str) -> None:
    with pytest.raises(UnsendableError, match=place) as caught:
        request_of(TABLE, mail({"subject": "S", "text": "T"} | payload, to={"email": to}))

    assert caught.value.is_final_here
