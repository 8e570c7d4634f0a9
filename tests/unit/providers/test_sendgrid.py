"""What SendGrid is sent, with the builder of its own library as the judge."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from sendgrid.helpers import mail as theirs

from tests.mail_apis import BLOB, EVERYTHING, INVITATION, LOGO, PDF, mail, request_of
from wavecom.providers.base import UnsendableError

TABLE = 'type = "sendgrid"\napi_key = "$SECRET"\nsender = "Bank <bank@example.org>"'


def content_of(table: str, **payload: Any) -> dict[str, Any]:
    return dict(json.loads(request_of(table, mail(payload)).body))


def test_the_address_and_the_key_are_sendgrids() -> None:
    request = request_of(TABLE, mail())

    assert (request.method, request.url) == ("POST", "https://api.sendgrid.com/v3/mail/send")
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Content-Type"] == "application/json"


def test_another_host_is_called_where_the_file_says_so() -> None:
    request = request_of(TABLE + '\nbase_url = "https://api.eu.sendgrid.com/"', mail())

    assert request.url == "https://api.eu.sendgrid.com/v3/mail/send"


def test_a_plain_mail_is_what_sendgrids_library_makes() -> None:
    judge = theirs.Mail(
        ("bank@example.org", "Bank"), subject="Hello", plain_text_content="Text", html_content="<b>H</b>"
    )
    person = theirs.Personalization()
    person.add_to(theirs.To("ada@example.org", "Ada"))
    person.add_custom_arg(theirs.CustomArg("wavecom_job_id", "0193a7b0-0000-7000-8000-000000000001"))
    judge.add_personalization(person)

    assert content_of(TABLE, subject="Hello", text="Text", html="<b>H</b>") == judge.get()


def test_every_field_is_sent_as_sendgrids_library_sends_it() -> None:
    judge = theirs.Mail(
        ("shop@example.org", "Müller, Söhne"),
        subject=EVERYTHING["subject"],
        plain_text_content=EVERYTHING["text"],
        html_content=EVERYTHING["html"],
    )
    person = theirs.Personalization()
    person.add_to(theirs.To("ada@example.org", "Ada"))
    person.add_custom_arg(theirs.CustomArg("wavecom_job_id", "0193a7b0-0000-7000-8000-000000000001"))
    judge.add_personalization(person)
    judge.reply_to_list = [theirs.ReplyTo("help@example.org"), theirs.ReplyTo("boss@example.org", "Boss")]
    for name, value in EVERYTHING["headers"].items():
        judge.add_header(theirs.Header(name, value if value.isascii() else "=?utf-8?b?R3LDvMOfZQ==?="))
    for file, name, kind, content_id in (
        (PDF, "Verträge.pdf", "application/pdf", None),
        (LOGO, "logo.png", "image/png", "logo"),
        (BLOB, "large.bin", "application/octet-stream", None),
    ):
        judge.add_attachment(
            theirs.Attachment(
                base64.b64encode(file).decode(), name, kind, "inline" if content_id else "attachment", content_id
            )
        )
    expected = judge.get()
    # The library puts the last before the first.
    expected["attachments"].sort(key=lambda each: each["filename"])

    content = content_of(TABLE, **EVERYTHING)

    content["attachments"].sort(key=lambda each: each["filename"])
    assert content == expected


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"calendar": INVITATION}, "payload.calendar"),
        ({"headers": {"X-SG-EID": "1"}}, "payload.headers"),
        ({"from": "jürgen@example.org"}, "payload.from"),
        ({"replyTo": "jürgen@example.org"}, "payload.replyTo"),
    ],
)
def test_what_sendgrid_can_not_send_is_left_to_others_by_its_name(payload: dict[str, Any], place: str) -> None:
    with pytest.raises(UnsendableError, match=place) as caught:
        content_of(TABLE, subject="Hello", text="Hello", **payload)

    assert caught.value.is_final_here
