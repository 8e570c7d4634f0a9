"""Whatever the API takes comes back from the standard library's parser as it was, in lines that every server takes."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from wavecom.core import mail_headers
from wavecom.core.mail_headers import HeaderKind, HeaderValueError, canonical, kind_of
from wavecom.providers.mail.mime import CalendarPart, Mail, Mailbox
from wavecom.providers.mail.parts import MailAttachment
from wavecom.web.api.schemas.email import EmailPayload, MailHeaders

SCHEMA = EmailPayload()
#: All that the API takes as a line.
LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=998)
#: The same, fuller of what makes trouble.
_TROUBLESOME = [*'  =?<>@,;:()"\\ab', "ü", "é", "🧾", "=?utf-8?q?x?=", "a" * 200]
TROUBLE = st.lists(st.sampled_from(_TROUBLESOME), max_size=60).map("".join)
NAMES = [*sorted(MailHeaders.ALLOWED), *sorted(mail_headers.KINDS), "X-Campaign", "x-" + "n" * 74, "List-Software"]


def accepted(**fields: Any) -> dict[str, Any] | None:
    """The payload as the API stores it; None when it refuses it."""
    try:
        loaded: dict[str, Any] = SCHEMA.load({"subject": "x", "html": "y"} | fields)
    except ValidationError:
        return None
    return loaded


def sent(payload: dict[str, Any], recipient: Mailbox | None = None) -> tuple[bytes, EmailMessage]:
    given_reply_to = payload.get("replyTo", [])
    mail = Mail(
        sender=Mailbox.parse(payload.get("from", "noreply@bank.example")),
        recipient=recipient or Mailbox("ada@example.org"),
        subject=payload["subject"],
        html=payload["html"],
        headers=payload.get("headers"),
        reply_to=[Mailbox.parse(each) for each in given_reply_to],
        attachments=[
            MailAttachment(each["filename"], each["contentType"], each["content"], each.get("contentId"))
            for each in payload.get("attachments", ())
        ],
        calendar=CalendarPart(**payload["calendar"]) if "calendar" in payload else None,
        message_id="<job-1@bank.example>",
        date=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        key="job-1",
    )
    content = mail.content()
    whole = b"".join(content)
    assert len(whole) == content.size
    for line in whole.split(b"\r\n"):
        assert len(line) <= (76 if b"=?utf-8?" in line else 998), line
        assert b"\n" not in line
        assert b"\r" not in line
    # A line of blanks alone would end the header for some readers.
    assert not any(line.isspace() for line in whole.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    parsed = BytesParser(policy=policy.default).parsebytes(whole)
    assert isinstance(parsed, EmailMessage)
    return whole, parsed


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(value=LINE | TROUBLE)
def test_any_header_that_is_taken_comes_back_as_it_was_stored(name: str, value: str) -> None:
    payload = accepted(headers={name: value})
    if payload is None:
        return

    _, parsed = sent(payload)

    assert parsed[name] == payload["headers"][name]
    if kind_of(name) is HeaderKind.TEXT:
        assert payload["headers"][name] == value


@settings(max_examples=200, deadline=None)
@given(subject=LINE | TROUBLE)
def test_any_subject_that_is_taken_comes_back(subject: str) -> None:
    payload = accepted(subject=subject)
    if payload is not None:
        assert sent(payload)[1]["Subject"] == subject


@settings(max_examples=100, deadline=None)
@given(name=LINE | TROUBLE)
def test_no_name_breaks_a_line(name: str) -> None:
    payload = accepted(replyTo=[{"email": "a@example.org", "name": name}, {"email": "b@example.org", "name": name}])
    if payload is None:
        return

    _, parsed = sent(payload, Mailbox("ada@example.org", name))

    assert [each.addr_spec for each in parsed["To"].addresses] == ["ada@example.org"]
    assert [each.addr_spec for each in parsed["Reply-To"].addresses] == ["a@example.org", "b@example.org"]


def test_the_message_ids_of_a_long_thread_fold_at_their_blanks() -> None:
    ids = " ".join(f"<{number:024x}.notification@mail.example.com>" for number in range(120))

    whole, parsed = sent(accepted(headers={"References": ids}) or {})

    assert parsed["References"] == ids
    assert max(map(len, whole.split(b"\r\n"))) <= 78


#: Characters that make a URI, a host or a message id, and some that spoil it.
_URI_PIECES = [
    "https://",
    "mailto:",
    "x.example",
    "bücher.example",
    "/",
    "ü",
    "%",
    "%C3",
    "?a=",
    "&",
    "@",
    ":8080",
    "#",
]
_SPOILERS = ["a" * 400, "<", ">", ",", " ", "(c)", "|", '"', "[::1]", "http", "xn--", "🧾"]
PIECES = st.lists(st.sampled_from(_URI_PIECES + _SPOILERS), max_size=8).map("".join)


@pytest.mark.parametrize("name", ["List-Unsubscribe", "List-ID", "References", "In-Reply-To"])
@settings(max_examples=150, deadline=None)
@given(inner=PIECES, outer=PIECES)
def test_a_structured_header_is_converted_or_refused_and_never_encoded(name: str, inner: str, outer: str) -> None:
    payload = accepted(headers={name: f"{outer}<{inner}>"[:998]})
    if payload is None:
        return

    whole, parsed = sent(payload)

    assert parsed[name] == payload["headers"][name]
    if name != "List-ID":
        assert payload["headers"][name].isascii()
        assert b"=?utf-8?" not in whole
    assert canonical(name, payload["headers"][name]) == payload["headers"][name], "it is what it becomes"


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("List-Unsubscribe", "<https://x.example/ü>", "<https://x.example/%C3%BC>"),
        ("list-unsubscribe", "<https://x.example/a%20b?c=ü&d=%>", "<https://x.example/a%20b?c=%C3%BC&d=%25>"),
        ("List-Unsubscribe", "<https://bücher.example:8443/ä#ö>", "<https://xn--bcher-kva.example:8443/%C3%A4#%C3%B6>"),
        ("List-Unsubscribe", "<mailto:ab@x.example?subject=ä>,<https://x.example/>", None),
        ("List-Unsubscribe", "<mailto:grüße@bücher.example>", "<mailto:gr%C3%BC%C3%9Fe@xn--bcher-kva.example>"),
        ("List-Help", "<https://x.example/help>", "<https://x.example/help>"),
        ("List-Post", "no", "NO"),
        ("List-Unsubscribe-Post", "list-unsubscribe=one-click", "List-Unsubscribe=One-Click"),
        ("List-ID", "<weekly.bücher.example>", "<weekly.xn--bcher-kva.example>"),
        ("List-ID", "Wöchentlich  neu <weekly.example>", "Wöchentlich neu <weekly.example>"),
        ("References", "<1@x.example>   <2@x.example>", "<1@x.example> <2@x.example>"),
        ("Auto-Submitted", "auto-generated", "auto-generated"),
        ("Feedback-ID", "campaign:customer:bulk:bank", "campaign:customer:bulk:bank"),
        ("Keywords", "Übung, Prüfung", "Übung, Prüfung"),
        ("X-Anything", "  two  blanks ", "  two  blanks "),
    ],
)
def test_what_a_value_becomes(name: str, value: str, stored: str | None) -> None:
    expected = stored or "<mailto:ab@x.example?subject=%C3%A4>, <https://x.example/>"

    assert canonical(name, value) == expected
    assert sent({"subject": "x", "html": "y", "headers": {name: expected}})[1][name] == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", "https://x.example/u"),
        ("List-Unsubscribe", "<https://x.example/a b>"),
        ("List-Unsubscribe", "<x.example/u>"),
        ("List-Unsubscribe", "<>"),
        ("List-Unsubscribe", "<https://" + "ü" * 80 + ".example/>"),
        ("List-Unsubscribe", "<https://x.example/" + "ü" * 400 + ">"),
        ("List-Unsubscribe", "<https://x.example/" + "u" * 980 + ">"),
        ("List-Unsubscribe-Post", "yes"),
        ("List-ID", "weekly.example.com"),
        ("References", "1@x.example"),
        ("References", "<grüße@x.example>"),
        ("References", "<=?utf-8?q?x?=@x.example>"),
        ("List-Unsubscribe", "<https://mailto:ü>"),
        ("List-Unsubscribe", "<https://x.example:٣/ü>"),
        ("Precedence", "sehr dringend"),
        ("Importance", "höher"),
        ("Thread-Index", "ü"),
    ],
)
def test_what_has_no_place_in_a_grammar_is_refused_when_it_is_sent(name: str, value: str) -> None:
    with pytest.raises(HeaderValueError):
        canonical(name, value)
    assert accepted(headers={name: value}) is None


@pytest.mark.parametrize("length", [60, 66, 67, 68, 900, 975, 976, 977, 984, 985, 986, 996, 997, 998])
@pytest.mark.parametrize("name", ["X-Id", "List-Unsubscribe", "Feedback-ID", "References", "X-" + "n" * 74])
def test_a_value_without_blanks_is_taken_to_the_limit_of_a_line(name: str, length: int) -> None:
    values = {"List-Unsubscribe": "<https://x/{}>", "References": "<{}@x>"}
    frame = values.get(name, "{}")
    value = frame.format("a" * (length - len(frame) + 2))

    payload = accepted(headers={name: value})

    if len(name) + 2 + length <= 998 or (kind_of(name) is HeaderKind.TEXT and len(name) <= 53):
        assert payload is not None
        assert sent(payload)[1][name] == value
    else:
        assert payload is None


def test_a_run_of_blanks_that_can_not_fold_is_encoded() -> None:
    value = "a" + " " * 995 + "b"

    whole, parsed = sent({"subject": "x", "html": "y", "headers": {"X-Art": value}})

    assert parsed["X-Art"] == value
    assert b"=?utf-8?" in whole


# --- Files ----------------------------------------------------------------------------------------------------------


def disposition(name: str) -> str:
    whole, parsed = sent(
        {
            "subject": "x",
            "html": "y",
            "attachments": [{"filename": name, "contentType": "a/b", "content": "QQ=="}],
        }
    )
    [part] = parsed.iter_attachments()
    assert part.get_filename() == name
    found = re.search(rb"Content-Disposition: ([^\r\n]*(?:\r\n [^\r\n]*)*)", whole)
    assert found is not None
    return found[1].decode()


@pytest.mark.parametrize(
    "name",
    ["a.pdf", "Invoice 2026-11 (final), v2.pdf", 'say "hi" \\ now.txt', "a;b=c%41'.csv", "x" * 251 + ".pdf"],
)
def test_an_ascii_name_is_plain_and_quoted(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')

    assert disposition(name) == f'attachment;\r\n filename="{escaped}"'


@pytest.mark.parametrize(
    ("name", "fallback"),
    [
        ("größe.pdf", "grosse.pdf"),
        ("Überweisung für.csv", "Uberweisung fur.csv"),
        ("请求.pdf", "attachment.pdf"),
        ("مرفق 12.xlsx", "12.xlsx"),
        ("🧾", "attachment"),
        ("=?utf-8?q?x?=.txt", "utf-8_q_x.txt"),
        ("naïve.тхт", "naive"),
        (".größe", "attachment.grosse"),
        ("．．", "attachment"),
    ],
)
def test_beside_a_name_in_utf_8_old_readers_find_one_in_ascii(name: str, fallback: str) -> None:
    found = disposition(name)

    assert "filename*=utf-8''" in found
    assert found.endswith(f'filename="{fallback}"')


@settings(max_examples=150, deadline=None)
@given(name=LINE | TROUBLE)
def test_any_file_name_that_is_taken_comes_back(name: str) -> None:
    payload = accepted(attachments=[{"filename": name[:255], "contentType": "a/b", "content": ""}])
    if payload is None:
        return

    [part] = sent(payload)[1].iter_attachments()

    filename = part.get_filename()
    assert filename is not None
    # This reader strips names, and takes signs around the whole of one for quotes.
    if name[:1] not in {'"', "<"}:
        assert filename.strip() == name[:255].strip()
    assert part.get_payload(decode=True) == b""


END = ("END:VCALENDAR", "")
INVITE = "\r\n".join(
    ["BEGIN:VCALENDAR", "VERSION:2.0", "METHOD:REQUEST", "BEGIN:VEVENT", "SUMMARY:Prüfung", "END:VEVENT", *END]
)


def test_a_mail_of_every_part_is_built_as_readers_expect_it() -> None:
    image = base64.b64encode(b"\x89PNG" * 50).decode()
    payload = {
        "subject": "x",
        "html": '<img src="cid:logo@bank">',
        "calendar": {"method": "REQUEST", "content": INVITE},
        "attachments": [
            {"filename": "logo.png", "contentType": "image/png", "content": image, "contentId": "logo@bank"},
            {"filename": "terms.pdf", "contentType": "application/pdf", "content": "JVBERi0="},
        ],
    }

    _, parsed = sent(payload)

    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "multipart/related",
        "text/html",
        "image/png",
        "text/calendar",
        "application/pdf",
    ]
    related, html, logo, invite, terms = list(parsed.walk())[2:]
    assert related.get_param("type") == "text/html"
    assert (logo["Content-ID"], logo.get_content_disposition()) == ("<logo@bank>", "inline")
    assert logo.get_payload(decode=True) == b"\x89PNG" * 50
    assert (invite.get_param("method"), invite.get_content_charset()) == ("REQUEST", "utf-8")
    assert isinstance(invite, EmailMessage)
    assert invite.get_content().splitlines() == INVITE.splitlines()
    assert terms.get_content_disposition() == "attachment"
    assert isinstance(html, EmailMessage)
    assert html.get_content().strip() == payload["html"]


def test_an_image_alone_needs_no_mixed_part() -> None:
    payload = {
        "subject": "x",
        "html": "y",
        "attachments": [{"filename": "a.png", "contentType": "image/png", "content": "QQ==", "contentId": "a"}],
    }

    assert sent(payload)[1].get_content_type() == "multipart/related"
