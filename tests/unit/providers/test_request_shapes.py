"""What is sent to providers is what their own OpenAPI files describe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.mail_apis import EVERYTHING, mail, request_of
from tests.openapi_judge import faults
from tests.unit.providers.conftest import NOW, Environment, message_for
from tests.unit.providers.sms import RECEIPTS_URL, sent_request, sms, sms_provider
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.base_http import json_body
from wavecom.providers.push.fcm_message import fcm_message
from wavecom.providers.transport import Request

MAIL_TABLES = {
    "postmark": 'type = "postmark"\nserver_token = "$SECRET"\nsender = "bank@example.org"\nmessage_stream = "codes"',
    "sendgrid": 'type = "sendgrid"\napi_key = "$SECRET"\nsender = "Bank <bank@example.org>"',
    "ses": """
        type = "ses"
        region = "eu-west-1"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "$SECRET"
        sender = "Bank <bank@example.org>"
        configuration_set = "wavecom"
    """,
}
SMS_TABLES = {
    "twilio": f'type = "twilio"\naccount_sid = "AC{"0" * 32}"\nauth_token = "t0ken"\nsender = "+15005550006"',
    "vonage": 'type = "vonage"\napi_key = "abcd1234"\napi_secret = "s3cret"\nsender = "Bank"\nsignature_secret = "k"',
}
#: What an address has before the paths of the file.
PREFIXES = {"sendgrid": "/v3", "vonage": "/sms"}
#: Names that are newer than the file; our pages say where they are documented.
NEWER = {"postmark": {"Metadata", "MessageStream"}}

PUSH_PAYLOADS: Sequence[Mapping[str, Any]] = [
    {"title": "Grüße", "body": "Ihr Code: 123456"},
    {"data": {"order": "A-17"}},
    {
        "title": "Grüße",
        "body": "Ihr Code",
        "data": {"order": "A-17"},
        "badge": 3,
        "sound": "default",
        "imageUrl": "https://bank.example/a.png",
        "clickUrl": "https://bank.example/a",
        "collapseKey": "otp",
        "ttlSeconds": 60,
    },
]


def without_newer(type_name: str, content: Any) -> Any:
    return {name: value for name, value in content.items() if name not in NEWER.get(type_name, ())}


def in_camel_case(content: Any) -> Any:
    """Google's JSON has two spellings for each name, of which its file has one. Names of ours stay as they are."""
    if not isinstance(content, Mapping):
        return content
    ours = {"data", "headers", "payload"}
    return {
        re.sub(r"_(\w)", lambda match: match[1].upper(), name): value if name in ours else in_camel_case(value)
        for name, value in content.items()
    }


@pytest.mark.parametrize("type_name", MAIL_TABLES)
@pytest.mark.parametrize(
    "message",
    [mail(), mail(EVERYTHING), mail({"subject": "S", "html": "<b>1</b>"}), mail({**EVERYTHING, "headers": {}})],
    ids=["plain", "everything", "html", "without headers"],
)
def test_a_mail(type_name: str, message: Message) -> None:
    request = request_of(MAIL_TABLES[type_name], message)

    found = faults(
        type_name,
        request,
        prefix=PREFIXES.get(type_name, ""),
        renamed=lambda content: without_newer(type_name, content),
    )
    assert found == []


@pytest.mark.parametrize("type_name", SMS_TABLES)
@pytest.mark.parametrize(
    "message",
    [sms(), sms("Привет 😀"), sms("a" * 400, seconds=600), sms(senderId="Shop")],
    ids=["plain", "unicode", "long", "own sender"],
)
def test_a_text_message(type_name: str, message: Message, environment: Environment) -> None:
    request = sent_request(environment, sms_provider(environment, SMS_TABLES[type_name], RECEIPTS_URL), message)

    assert faults(type_name, request, prefix=PREFIXES.get(type_name, "")) == []


@pytest.mark.parametrize("payload", PUSH_PAYLOADS, ids=["shown", "silent", "everything"])
def test_a_push_message(payload: Mapping[str, Any]) -> None:
    message = message_for(Channel.PUSH, to={"platform": "fcm", "token": "t-1"}, payload=payload)
    body = json_body({"message": fcm_message(message, NOW)})
    url = "https://fcm.googleapis.com/v1/projects/bank-app/messages:send"

    found = faults("fcm", Request(url, body, {"Content-Type": "application/json"}, 1), renamed=in_camel_case)

    assert found == []


@pytest.mark.parametrize("type_name", [*MAIL_TABLES, *SMS_TABLES])
def test_the_judge_sees_a_name_that_the_file_has_not(type_name: str, environment: Environment) -> None:
    if type_name in MAIL_TABLES:
        good = request_of(MAIL_TABLES[type_name], mail())
        bad = replace(good, body=good.body.replace(b"{", b'{"unheardOf": 1, ', 1))
    else:
        good = sent_request(environment, sms_provider(environment, SMS_TABLES[type_name]), sms())
        bad = replace(good, body=good.body + b"&unheardOf=1")

    found = faults(
        type_name,
        bad,
        prefix=PREFIXES.get(type_name, ""),
        renamed=lambda content: without_newer(type_name, content),
    )

    assert len(found) == 1
    assert "unheardOf" in found[0]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"body": b'{"From": "a@example.org", "Too": "b@example.org"}'}, "body: Additional properties are not allowed"),
        ({"body": b'{"From": 7}'}, "body/From: 7 is not of type 'string'"),
        ({"headers": {"Content-Type": "application/json"}}, "header X-Postmark-Server-Token: missing"),
        ({"url": "https://api.postmarkapp.com/mail"}, "POST /mail: there is no such operation"),
        ({"headers": {"X-Postmark-Server-Token": "t", "Content-Type": "text/plain"}}, "Content-Type text/plain: not"),
    ],
)
def test_the_judge_sees_what_is_wrong(changed: dict[str, Any], fault: str) -> None:
    good = request_of(
        MAIL_TABLES["postmark"].replace('message_stream = "codes"', ""), mail({"subject": "S", "text": "T"})
    )

    found = faults("postmark", replace(good, **changed), renamed=lambda content: without_newer("postmark", content))

    assert any(each.startswith(fault) for each in found), found
