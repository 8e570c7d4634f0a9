"""A mail built by hand is read back whole by the standard library's parser, and can't be broken out of."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavecom.providers.base import UnsendableError
from wavecom.providers.mail.mime import Mail, Mailbox
from wavecom.providers.mail.parts import MailAttachment

#: All of Unicode but what ends lines or can't be seen, as the API lets through.
LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=300)
#: Of names readers keep the words, not each blank.
NAME = LINE.map(lambda name: " ".join(name.split()))
BODY = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=2000)


def mail(**changes: Any) -> Mail:
    fields: dict[str, Any] = {
        "sender": Mailbox("noreply@bank.example", "Bank"),
        "recipient": Mailbox("ada@example.org"),
        "subject": "Your code",
        "text": "Your code is 123456.",
        "message_id": "<job-1@bank.example>",
        "date": datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        "key": "job-1",
    }
    return Mail(**(fields | changes))


def as_bytes(mail: Mail) -> bytes:
    return b"".join(mail.content())


def parsed(content: bytes) -> EmailMessage:
    """As a strict reader sees it; any defect is an error."""
    message = BytesParser(policy=policy.SMTPUTF8.clone(raise_on_defect=True)).parsebytes(content)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects
        # A name in ASCII beside the one in UTF-8 is on purpose, though this reader calls it a duplicate.
        headers = [header for name, header in part.items() if name != "Content-Disposition"]
        assert not any(header.defects for header in headers)
    return message


def body_of(message: EmailMessage, *kinds: str) -> str:
    part = message.get_body(kinds)
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def recipient_of(content: bytes) -> tuple[str, str]:
    """By the older of the two parsers: the newer one puts blanks between encoded words of a name."""
    name, address = parseaddr(BytesParser().parsebytes(content)["To"])
    return str(make_header(decode_header(name))), address


def assert_fit_for_any_server(content: bytes) -> None:
    assert content.isascii()
    assert content.endswith(b"\r\n")
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)


# --- Structure ----------------------------------------------------------------------------------------------------


def test_a_plain_mail() -> None:
    content = as_bytes(mail())

    assert content.decode() == (
        'From: "Bank" <noreply@bank.example>\r\n'
        "To: ada@example.org\r\n"
        "Subject: Your code\r\n"
        "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
        "Message-ID: <job-1@bank.example>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "Your code is 123456.\r\n"
    )


def test_html_alone_is_html() -> None:
    message = parsed(as_bytes(mail(text=None, html="<p>Hi</p>")))

    assert message.get_content_type() == "text/html"
    assert body_of(message, "html") == "<p>Hi</p>\n"


def test_text_and_html_are_alternatives_the_better_last() -> None:
    message = parsed(as_bytes(mail(html="<p>Your code is <b>123456</b>.</p>")))

    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body_of(message, "plain") == "Your code is 123456."
    assert body_of(message, "html") == "<p>Your code is <b>123456</b>.</p>"


@pytest.mark.parametrize("html", [None, "<p>Hi</p>"])
def test_attachments_stand_beside_the_body(html: str | None) -> None:
    files = [
        MailAttachment("receipt.pdf", "application/pdf", base64.b64encode(bytes(range(256)) * 500).decode()),
        MailAttachment(
            "مرفق — “größe” 100%.csv", 'text/csv; charset="utf-8"', base64.b64encode("a;ä\r\n".encode()).decode()
        ),
        MailAttachment("empty.bin", "application/octet-stream", ""),
    ]

    content = as_bytes(mail(html=html, attachments=files))

    assert_fit_for_any_server(content)
    message = parsed(content)
    found = list(message.iter_attachments())
    assert [part.get_filename() for part in found] == [each.filename for each in files]
    assert [part.get_content_type() for part in found] == ["application/pdf", "text/csv", "application/octet-stream"]
    assert [part.get_payload(decode=True) for part in found] == [base64.b64decode(each.content) for each in files]
    assert all(part.get_content_disposition() == "attachment" for part in found)
    assert body_of(message, "plain") == "Your code is 123456."


def test_a_text_that_holds_the_border_stays_one_text() -> None:
    text = "--=_job-1_a\n--=_job-1_m--\nContent-Type: text/html\n\n.\n..\nFrom here\n"

    message = parsed(as_bytes(mail(text=text, html="<p>", attachments=[MailAttachment("a", "a/b", "")])))

    assert body_of(message, "plain") == text
    assert len(list(message.walk())) == 5


# --- Any text -----------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(subject=LINE, name=NAME, text=BODY)
def test_any_text_comes_back_whole(subject: str, name: str, text: str) -> None:
    recipient = Mailbox("ada@example.org", name)

    content = as_bytes(mail(subject=subject, recipient=recipient, text=text, html=text))

    assert_fit_for_any_server(content)
    message = parsed(content)
    assert message["Subject"] == subject
    assert recipient_of(content) == (name, "ada@example.org")
    assert body_of(message, "plain") == text
    assert body_of(message, "html") == text


@settings(max_examples=80, deadline=None)
@given(LINE.map(str.strip).filter(bool))  # this reader strips names
def test_any_file_name_comes_back_whole(name: str) -> None:
    content = as_bytes(mail(attachments=[MailAttachment(name, "application/pdf", "QQ==")]))

    assert_fit_for_any_server(content)
    [part] = parsed(content).iter_attachments()
    assert part.get_filename() == name


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " leading and trailing ",
        "two  blanks",
        "=?utf-8?b?SGVsbG8=?=",
        "x" * 998,
        "x" * 3000,
        "word " * 199,
        "Ihre Überweisung über 1.234,56 € ist eingegangen — Grüße aus Köln " * 5,
        "رمز التحقق الخاص بك هو 123456",
        "קוד האימות שלך",
        "您的验证码是" * 40,
        "👩‍👩‍👧‍👦🏳️‍🌈" * 30,
        'a, b; c: <d> "e" (f) @g \\h',
    ],
)
def test_subjects_of_every_kind_come_back_whole(subject: str) -> None:
    content = as_bytes(mail(subject=subject))

    assert_fit_for_any_server(content)
    assert parsed(content)["Subject"] == subject


def test_long_lines_are_broken_and_come_back_whole() -> None:
    text = "x" * 5000 + " \n" + "ä" * 3000 + "\t\n\n" + "=" * 500

    content = as_bytes(mail(text=text, html=text + "<p>"))

    assert_fit_for_any_server(content)
    assert body_of(parsed(content), "plain") == text


@pytest.mark.parametrize("text", ["a\r\nb\r\nc", "a\nb\nc", "a\rb\rc", "a\r\nb\nc"])
def test_every_kind_of_line_end_is_one(text: str) -> None:
    assert body_of(parsed(as_bytes(mail(text=text, html="x"))), "plain") == "a\nb\nc"


# --- Header fields ------------------------------------------------------------------------------------------------


def test_further_headers_are_set_and_folded_without_a_change() -> None:
    references = " ".join(f"<message-{number}@bank.example>" for number in range(20))
    link = "<https://bank.example/unsubscribe?token=" + "t" * 300 + ">"
    headers = {"References": references, "List-Unsubscribe": link, "X-Campaign": "Frühling", "X-Empty": ""}

    content = as_bytes(mail(headers=headers))

    message = parsed(content)
    assert {name: message[name] for name in headers} == headers
    assert link.encode() in content
    assert max(len(line) for line in content.split(b"\r\n") if b"message-" in line) <= 78


def test_reply_to_is_set() -> None:
    message = parsed(as_bytes(mail(reply_to=[Mailbox("help@bank.example", "Hilfe & Rat, Köln")])))

    assert message["Reply-To"].addresses[0].display_name == "Hilfe & Rat, Köln"


@pytest.mark.parametrize("sign", ["\r\nBcc: eve@example.org", "\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize("place", ["subject", "name", "reply_to", "header", "filename", "content_type"])
def test_no_field_can_break_out_of_its_line(place: str, sign: str) -> None:
    bad = f"a{sign}b"
    changes: dict[str, Any] = {
        "subject": {"subject": bad},
        "name": {"recipient": Mailbox("ada@example.org", bad)},
        "reply_to": {"reply_to": [Mailbox("ada@example.org", bad)]},
        "header": {"headers": {"X-A": bad}},
        "filename": {"attachments": [MailAttachment(bad, "a/b", "")]},
        "content_type": {"attachments": [MailAttachment("a", f"text/plain; x={bad}", "")]},
    }

    with pytest.raises(UnsendableError) as caught:
        as_bytes(mail(**changes[place]))

    assert "eve" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["Bcc", "bcc", "From", "Content-Type", "content-transfer-encoding", "Resent-To", "X A", "X:A", "X\r\nA", "", "Ä"],
)
def test_headers_of_the_mail_itself_can_not_be_set(name: str) -> None:
    with pytest.raises(UnsendableError):
        as_bytes(mail(headers={name: "x"}))


@pytest.mark.parametrize("content_type", ["multipart/mixed", "Message/rfc822", "text", "text/", "a/b c", "tëxt/plain"])
def test_an_attachment_is_a_single_file(content_type: str) -> None:
    with pytest.raises(UnsendableError):
        as_bytes(mail(attachments=[MailAttachment("a", content_type, "")]))


@pytest.mark.parametrize("content", ["not base64!", "QQ", "ü"])
def test_an_attachment_that_is_not_base64_is_refused(content: str) -> None:
    with pytest.raises(UnsendableError):
        as_bytes(mail(attachments=[MailAttachment("a", "a/b", content)]))


# --- Addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "mailbox"),
    [
        ("ada@example.org", Mailbox("ada@example.org")),
        ({"email": "ada@example.org", "name": "Ada"}, Mailbox("ada@example.org", "Ada")),
        ({"email": "ada@example.org", "name": None}, Mailbox("ada@example.org")),
        ("ada@bücher.example", Mailbox("ada@xn--bcher-kva.example")),
        ("jürgen@bücher.example", Mailbox("jürgen@xn--bcher-kva.example")),
        ("o'hara+x=y@example.org", Mailbox("o'hara+x=y@example.org")),
    ],
)
def test_an_address_is_read_in_both_forms(value: object, mailbox: Mailbox) -> None:
    assert Mailbox.parse(value) == mailbox


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        {},
        "",
        "ada",
        "@example.org",
        "ada@",
        "a b@example.org",
        "ada@exa mple.org",
        "ada@ex\u2028ample.org",
        "ada@\u200b.example",
        "a\x00b@example.org",
        "ada@example.org\r\nRCPT TO:<eve@example.org>",
        "<ada@example.org>",
        "ada@example.org, eve@example.org",
        "ada@" + "ü" * 80 + ".example",
    ],
)
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(UnsendableError):
        Mailbox.parse(value)


def test_letters_beyond_ascii_in_an_address_stand_in_its_field_as_they_are() -> None:
    assert "\r\nTo: jürgen@example.org\r\n".encode() in as_bytes(mail(recipient=Mailbox("jürgen@example.org")))


def test_the_same_mail_is_built_the_same_every_time() -> None:
    first = as_bytes(mail(html="<p>", attachments=[MailAttachment("a", "a/b", "")]))

    assert as_bytes(mail(html="<p>", attachments=[MailAttachment("a", "a/b", "")])) == first
    assert re.findall(rb'boundary="([^"]+)"', first) == [b"=_job-1_m", b"=_job-1_a"]
