"""What SES is sent, with botocore's model of its API and its signer as the judges."""

from __future__ import annotations

import base64
import json
from email import message_from_bytes
from email.policy import default
from typing import Any

import botocore.session
import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator

from tests.mail_apis import BLOB, EVERYTHING, INVITATION, LOGO, PDF, mail, request_of
from tests.unit.providers.conftest import NOW
from wavecom.core.ports import Message
from wavecom.providers.base import UnsendableError
from wavecom.providers.transport import Request

TABLE = """
type = "ses"
region = "eu-west-1"
access_key_id = "AKID"
secret_access_key = "$SECRET"
sender = "Bank <bank@example.org>"
configuration_set = "wavecom"
"""
JOB = "0193a7b0-0000-7000-8000-000000000001"


def content_of(message: Message) -> dict[str, Any]:
    """What is sent, after botocore has found it to be an input of SendEmail."""
    content = dict(json.loads(request_of(TABLE, message).body))
    shape = botocore.session.get_session().get_service_model("sesv2").operation_model("SendEmail").input_shape
    report = ParamValidator().validate(content, shape)
    assert not report.has_errors(), report.generate_report()
    return content


def signature_of(request: Request) -> str:
    """The Authorization header that botocore makes for the same request."""
    headers = {name: request.headers[name] for name in ("Content-Type",)}
    theirs = AWSRequest(method=request.method, url=request.url, headers=headers, data=request.body)
    with time_machine.travel(NOW, tick=False):
        SigV4Auth(Credentials("AKID", "s3cret"), "ses", "eu-west-1").add_auth(theirs)
    return str(theirs.headers["Authorization"])


@pytest.mark.parametrize("base_url", ["", 'base_url = "http://127.0.0.1:4566"'])
def test_a_request_is_signed_as_botocore_signs_it(base_url: str) -> None:
    request = request_of(TABLE + base_url, mail())

    assert request.headers["Authorization"] == signature_of(request)
    assert request.url.endswith("/v2/email/outbound-emails")


def test_the_host_is_the_regions() -> None:
    assert request_of(TABLE, mail()).url.startswith("https://email.eu-west-1.amazonaws.com/")


def test_a_routes_sender_is_written_as_an_option_is() -> None:
    content = content_of(mail({"from": "Bank Two <two@example.org>", "subject": "S", "text": "T"}))

    assert content["FromEmailAddress"] == '"Bank Two" <two@example.org>'


def test_a_mail_of_text_goes_as_simple_content() -> None:
    content = content_of(mail({"subject": "Grüße", "text": "T", "html": "<b>H</b>", "replyTo": "help@example.org"}))

    assert content == {
        "FromEmailAddress": '"Bank" <bank@example.org>',
        "Destination": {"ToAddresses": ['"Ada" <ada@example.org>']},
        "ReplyToAddresses": ["help@example.org"],
        "Content": {
            "Simple": {
                "Subject": {"Data": "Grüße", "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": "T", "Charset": "UTF-8"},
                    "Html": {"Data": "<b>H</b>", "Charset": "UTF-8"},
                },
            }
        },
        "EmailTags": [{"Name": "wavecom_job_id", "Value": JOB}],
        "ConfigurationSetName": "wavecom",
    }


@pytest.mark.parametrize(
    "payload",
    [
        EVERYTHING,
        {"subject": "S", "text": "T", "calendar": INVITATION},
        {"subject": "S", "text": "T", "headers": {"X-Campaign": "spring"}},
    ],
)
def test_a_mail_with_more_than_text_goes_as_it_is(payload: dict[str, Any]) -> None:
    content = content_of(mail(payload))

    read = message_from_bytes(base64.b64decode(content["Content"]["Raw"]["Data"]), policy=default)
    assert read["Subject"] == payload["subject"]
    assert read["To"] == "Ada <ada@example.org>"
    held = [part.get_payload(decode=True) for part in read.walk() if not part.is_multipart()]
    if "attachments" in payload:
        assert {PDF, LOGO, BLOB} <= set(held)
    if "calendar" in payload:
        assert any(b"BEGIN:VCALENDAR" in part for part in held)
    if "headers" in payload:
        assert read["X-Campaign"] == "spring"
    assert content["EmailTags"] == [{"Name": "wavecom_job_id", "Value": JOB}]


def test_an_address_with_letters_beyond_ascii_is_left_to_others() -> None:
    with pytest.raises(UnsendableError, match=r"to\.email") as caught:
        request_of(TABLE, mail(to={"email": "jürgen@example.org"}))

    assert caught.value.is_final_here
