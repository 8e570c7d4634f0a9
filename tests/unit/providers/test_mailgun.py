"""What Mailgun is sent: a form, or the mail itself, read by werkzeug's and the standard library's parsers."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from io import BytesIO
from typing import Any

import pytest
from werkzeug.formparser import parse_form_data

from tests.mail_apis import BLOB, EVERYTHING, INVITATION, LOGO, PDF, mail, request_of
from wavecom.core.ports import Message
from wavecom.providers.base import UnsendableError

TABLE = """
type = "mailgun"
domain = "mg.bank.example"
api_key = "$SECRET"
sender = "Bank <bank@mg.bank.example>"
"""
JOB = "0193a7b0-0000-7000-8000-000000000001"


def form_of(message: Message) -> tuple[str, dict[str, str], dict[str, bytes]]:
    """The path, and the fields and files as a server reads them."""
    request = request_of(TABLE, message)
    environ = {
        "wsgi.input": BytesIO(request.body),
        "CONTENT_LENGTH": str(len(request.body)),
        "CONTENT_TYPE": request.headers["Content-Type"],
        "REQUEST_METHOD": "POST",
    }
    _, fields, files = parse_form_data(environ)
    path = request.url.removeprefix("https://api.mailgun.net")
    held = {}
    for name, file in files.items():
        with file.stream:
            held[name] = file.read()
    return path, fields.to_dict(), held


def test_the_key_goes_as_the_password_of_api() -> None:
    assert request_of(TABLE, mail()).headers["Authorization"] == "Basic YXBpOnMzY3JldA=="


def test_a_domain_of_the_eu_is_called_there() -> None:
    request = request_of(TABLE + 'base_url = "https://api.eu.mailgun.net"', mail())

    assert request.url == "https://api.eu.mailgun.net/v3/mg.bank.example/messages"


def test_a_mail_of_text_goes_as_a_form() -> None:
    everything = {key: value for key, value in EVERYTHING.items() if key != "attachments"}

    path, fields, files = form_of(mail(everything))

    assert path == "/v3/mg.bank.example/messages"
    assert fields == {
        "from": "=?utf-8?b?TcO8bGxlciwgU8O2aG5l?= <shop@example.org>",
        "to": '"Ada" <ada@example.org>',
        "subject": everything["subject"],
        "text": everything["text"],
        "html": everything["html"],
        "h:Reply-To": 'help@example.org, "Boss" <boss@example.org>',
        "h:Message-Id": f"<{JOB}@example.org>",
        "h:X-Campaign": "spring",
        "h:List-Unsubscribe": "<https://example.org/u>",
        "h:X-Note": "=?utf-8?b?R3LDvMOfZQ==?=",
        "v:wavecom_job_id": JOB,
    }
    assert files == {}


@pytest.mark.parametrize("payload", [EVERYTHING, {"subject": "Come", "text": "Come", "calendar": INVITATION}])
def test_a_mail_with_files_or_an_invitation_goes_as_it_is(payload: dict[str, Any]) -> None:
    path, fields, files = form_of(mail(payload))

    assert path == "/v3/mg.bank.example/messages.mime"
    assert fields == {"to": "ada@example.org", "v:wavecom_job_id": JOB}
    read = message_from_bytes(files["message"], policy=default)
    assert read["Subject"] == payload["subject"]
    assert read["Message-ID"].startswith(f"<{JOB}@")
    held = [part.get_payload(decode=True) for part in read.walk() if not part.is_multipart()]
    if "attachments" in payload:
        assert {PDF, LOGO, BLOB} <= set(held)
        assert read["X-Campaign"] == "spring"
    else:
        assert any(b"BEGIN:VCALENDAR" in part for part in held)


def test_an_address_with_letters_beyond_ascii_is_left_to_others() -> None:
    with pytest.raises(UnsendableError, match=r"to\.email") as caught:
        request_of(TABLE, mail(to={"email": "jürgen@example.org"}))

    assert caught.value.is_final_here
