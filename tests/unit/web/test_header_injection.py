"""Whatever becomes a line of a mail or of a provider's request holds no end of a line: refused, naming the field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.web.conftest import WebEnvironment
from wavecom.core.ports import JobFilter

#: Everything that some reader of headers takes for the end of a line, or of a text.
BREAKS = ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"]
FILE = {"filename": "a.txt", "contentType": "text/plain", "content": "YQ=="}


def _mail(**payload: Any) -> dict[str, Any]:
    return {
        "type": "email",
        "to": {"email": "amina@example.com"},
        "payload": {"subject": "Hello", "text": "Hello", **payload},
    }


def _bodies(evil: str) -> dict[str, dict[str, Any]]:
    """By the pointer of the field in which ``evil`` stands."""
    address = "amina@example.com" + evil
    name = "Amina" + evil
    return {
        "/to/email": _mail() | {"to": {"email": address}},
        "/to/name": _mail() | {"to": {"email": "amina@example.com", "name": name}},
        "/payload/subject": _mail(subject="Hello" + evil),
        "/payload/from": _mail(**{"from": address}),
        "/payload/from/email": _mail(**{"from": {"email": address}}),
        "/payload/from/name": _mail(**{"from": {"email": "bank@example.com", "name": name}}),
        "/payload/replyTo": _mail(replyTo=address),
        "/payload/replyTo/email": _mail(replyTo={"email": address}),
        "/payload/replyTo/name": _mail(replyTo={"email": "bank@example.com", "name": name}),
        "/payload/headers/X-Campaign": _mail(headers={"X-Campaign": "spring" + evil}),
        f"/payload/headers/X-Campaign{evil}": _mail(headers={"X-Campaign" + evil: "spring"}),
        "/payload/attachments/0/filename": _mail(attachments=[FILE | {"filename": "a.txt" + evil}]),
        "/payload/attachments/0/contentType": _mail(attachments=[FILE | {"contentType": "text/plain" + evil}]),
        "/to/phone": {"type": "sms", "to": {"phone": "+447700900123" + evil}, "payload": {"text": "Hello"}},
        "/payload/senderId": {
            "type": "sms",
            "to": {"phone": "+447700900123"},
            "payload": {"text": "Hello", "senderId": "Bank" + evil},
        },
        "/to/token": {"type": "push", "to": {"platform": "fcm", "token": "t" + evil}, "payload": {"title": "Hello"}},
    }


@pytest.mark.parametrize("line_break", BREAKS, ids=[f"U+{ord(each[0]):04X}{len(each)}" for each in BREAKS])
@pytest.mark.parametrize("rest", ["", "Bcc: eve@example.com"], ids=["at the end", "with a header"])
def test_a_line_break_in_whatever_becomes_a_header_is_refused_naming_the_field(
    line_break: str, rest: str, shared_environment: WebEnvironment
) -> None:
    for pointer, body in _bodies(line_break + rest).items():
        answer = shared_environment.client().post("/api/notifications", json=body)

        assert (answer.status_code, answer.json["code"]) == (422, "invalid_request"), pointer
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert shared_environment.jobs.search(JobFilter(), 1).jobs == ()
