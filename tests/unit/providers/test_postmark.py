"""What Postmark is sent."""

from __future__ import annotations

import base64
import json

import pytest

from tests.mail_apis import BLOB, EVERYTHING, INVITATION, LOGO, PDF, mail, request_of
from wavecom.providers.base import UnsendableError

TABLE = 'type = "postmark"\nserver_token = "$SECRET"\nsender = "Bank <bank@example.org>"'
JOB = "0193a7b0-0000-7000-8000-000000000001"


def test_the_address_and_the_token_are_postmarks() -> None:
    request = request_of(TABLE, mail())

    assert (request.method, request.url) == ("POST", "https://api.postmarkapp.com/email")
    assert request.headers["X-Postmark-Server-Token"] == "s3cret"
    assert request.headers["Accept"] == request.headers["Content-Type"] == "application/json"


def test_a_plain_mail_holds_what_it_needs_and_no_more() -> None:
    content = json.loads(request_of(TABLE + '\nmessage_stream = "codes"', mail()).body)

    assert content == {
        "From": '"Bank" <bank@example.org>',
        "To": '"Ada" <ada@example.org>',
        "Subject": "Hello",
        "TextBody": "Your code is 123456.",
        "MessageStream": "codes",
        "Metadata": {"wavecom_job_id": JOB},
    }


def test_every_field_is_sent() -> None:
    content = json.loads(request_of(TABLE, mail(EVERYTHING)).body)

    assert content == {
        "From": "=?utf-8?b?TcO8bGxlciwgU8O2aG5l?= <shop@example.org>",
        "To": '"Ada" <ada@example.org>',
        "Subject": EVERYTHING["subject"],
        "TextBody": EVERYTHING["text"],
        "HtmlBody": EVERYTHING["html"],
        "ReplyTo": 'help@example.org, "Boss" <boss@example.org>',
        "Headers": [
            {"Name": "X-Campaign", "Value": "spring"},
            {"Name": "List-Unsubscribe", "Value": "<https://example.org/u>"},
            {"Name": "X-Note", "Value": "=?utf-8?b?R3LDvMOfZQ==?="},
        ],
        "Attachments": [
            {"Name": "Verträge.pdf", "ContentType": "application/pdf", "Content": base64.b64encode(PDF).decode()},
            {
                "Name": "logo.png",
                "ContentType": "image/png",
                "Content": base64.b64encode(LOGO).decode(),
                "ContentID": "cid:logo",
            },
            {
                "Name": "large.bin",
                "ContentType": "application/octet-stream",
                "Content": base64.b64encode(BLOB).decode(),
            },
        ],
        "MessageStream": "outbound",
        "Metadata": {"wavecom_job_id": JOB},
    }


@pytest.mark.parametrize(
    ("payload", "to", "place"),
    [
        ({"calendar": INVITATION}, "ada@example.org", "payload.calendar"),
        ({}, "jürgen@example.org", r"to\.email"),
    ],
)
def test_what_postmark_can_not_send_is_left_to_others(payload: dict[str, object], to: str, place: str) -> None:
    with pytest.raises(UnsendableError, match=place) as caught:
        request_of(TABLE, mail({"subject": "S", "text": "T"} | payload, to={"email": to}))

    assert caught.value.is_final_here


@pytest.mark.parametrize("name", ["Ada\r\nBcc: eve@example.org", "Ada\u2028"])
def test_what_could_break_out_of_a_header_is_sent_by_nobody(name: str) -> None:
    with pytest.raises(UnsendableError) as caught:
        request_of(TABLE, mail(to={"email": "ada@example.org", "name": name}))

    assert not caught.value.is_final_here
