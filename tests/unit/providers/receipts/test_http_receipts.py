"""Receipts of any gateway: signed in one of three ways, and read by the table of the providers file."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.fakes import FakeClock
from tests.gateway_receipts import SECRET, events_body, receipts_table, signed
from wavecom.core.job import Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)
from wavecom.errors import ProvidersFileError
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.file import parse_providers
from wavecom.providers.http import HttpProvider
from wavecom.providers.receipts import TOLERANCE, ReceiptDependencies
from wavecom.providers.receipts.http import HttpReceipts

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
GATEWAY = '[routes]\nsms = ["gw"]\n[providers.gw]\ntype = "http"\nurl = "https://gateway.example/"\n'
HEADER = """[providers.gw.receipts]
signature = "header"
header = "X-Secret"
secret = ["first secret of two", "second secret of two"]
"""
BASIC = '[providers.gw.receipts]\nsignature = "basic"\nusername = "gw"\nsecret = "pass:word with colon"\n'
REST = 'message_id = "/id"\nkind = "/s"\nkinds = { delivered = ["1"] }\n'


def no_fetch(url: str, *, ca_file: str | None = None) -> bytes:
    raise OSError(url)


def reader(table: str = receipts_table("gw")) -> HttpReceipts:
    config = parse_providers(GATEWAY + table, {}).providers["gw"]
    return HttpReceipts(config, ReceiptDependencies(fetch=no_fetch))


def request(body: bytes, headers: dict[str, str], at: datetime = NOW) -> ReceiptRequest:
    lower = {name.lower(): value for name, value in headers.items()}
    url = "https://notify.bank.example/receipts/gw"
    return ReceiptRequest(method="POST", url=url, query="", headers=lower, body=body, at=at)


def read(*events: Any, table: str = receipts_table("gw")) -> tuple[list[Receipt], list[InboundMessage], int]:
    body = events_body(events)
    batch = reader(table).read(request(body, signed(body, NOW)))
    return list(batch.receipts), list(batch.inbound), batch.unreadable


def test_a_signed_request_is_let_in() -> None:
    reader().verify(request(b"{}", signed(b"{}", NOW)))


@pytest.mark.parametrize("off", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
def test_an_old_signature_is_refused_and_so_is_one_of_the_future(off: timedelta) -> None:
    with pytest.raises(SignatureError, match="time"):
        reader().verify(request(b"{}", signed(b"{}", NOW), NOW + off))


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2,abc v1a,def"},
        {"webhook-signature": "\xff\xfe"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "-1"},
        {"webhook-id": "msg-2"},
        {"webhook-id": ""},
    ],
    ids=repr,
)
def test_a_changed_header_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        reader().verify(request(b"{}", signed(b"{}", NOW) | changed))


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(SignatureError):
        reader().verify(request(b"{ }", signed(b"{}", NOW)))


def test_two_secrets_are_valid_while_one_takes_the_others_place() -> None:
    other = "whsec_" + base64.b64encode(b"the secret after this").decode()
    rotating = reader(receipts_table("gw").replace(f'secret = "{SECRET}"', f'secret = ["{SECRET}", "{other}"]'))

    for secret in (SECRET, other):
        rotating.verify(request(b"{}", signed(b"{}", NOW, secret=secret)))
    both = signed(b"{}", NOW)
    both["webhook-signature"] = "v1,AAAA " + both["webhook-signature"]
    rotating.verify(request(b"{}", both))


@pytest.mark.parametrize("secret", ["first secret of two", "second secret of two"])
def test_a_shared_secret_in_a_header(secret: str) -> None:
    reader(HEADER + REST).verify(request(b"{}", {"X-Secret": secret}))


@pytest.mark.parametrize("headers", [{}, {"X-Secret": ""}, {"X-Secret": "first secret of tw"}, {"X-Secret": "é"}])
def test_another_secret_in_the_header_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        reader(HEADER + REST).verify(request(b"{}", headers))


def test_basic_auth() -> None:
    given = base64.b64encode(b"gw:pass:word with colon").decode()
    reader(BASIC + REST).verify(request(b"{}", {"Authorization": f"Basic {given}"}))

    for wrong in (f"Bearer {given}", "Basic", "Basic " + base64.b64encode(b"gw:other").decode()):
        with pytest.raises(SignatureError):
            reader(BASIC + REST).verify(request(b"{}", {"Authorization": wrong}))


def test_a_receipt_is_read_as_the_table_says() -> None:
    [receipt], _, _ = read(
        {
            "id": "e-1",
            "status": "UNDELIV",
            "reference": "019cebab-8995-7000-8000-000000000001",
            "message": 4711,
            "at": "2026-03-14T10:26:50+01:00",
            "error": {"code": 31, "text": "unknown subscriber"},
            "to": "+447700900123",
        }
    )

    assert (receipt.event_id, receipt.kind, receipt.job_id, receipt.message_id) == (
        "e-1",
        ReceiptKind.FAILED,
        "019cebab-8995-7000-8000-000000000001",
        "4711",
    )
    assert (receipt.at, receipt.code, receipt.text) == (NOW - timedelta(seconds=3), "31", "unknown subscriber")
    assert (receipt.reason, receipt.recipient) == (Reason.RECIPIENT_INVALID, "+447700900123")


@pytest.mark.parametrize("at", ["yesterday", 1e300, True, None, [], "0000-00-00"])
def test_a_time_that_is_none_costs_only_itself(at: Any) -> None:
    [receipt], _, unreadable = read({"id": "1", "status": "DELIVRD", "message": "m", "at": at})

    assert (receipt.at, unreadable) == (None, 0)


def test_a_word_may_stand_for_progress_that_every_message_makes() -> None:
    table = receipts_table("gw").replace('progress = ["ACCEPTD"]', 'progress = ["DELAYED"]\nroutine = ["ACCEPTD"]')

    receipts, _, _ = read({"status": "ACCEPTD", "reference": "j"}, {"status": "DELAYED", "reference": "j"}, table=table)

    assert [(each.kind, each.is_routine) for each in receipts] == [
        (ReceiptKind.PROGRESS, True),
        (ReceiptKind.PROGRESS, False),
    ]


def test_what_people_write_is_read() -> None:
    _, [message], _ = read({"id": "i-1", "status": "MO", "from": "+447700900123", "to": "84433", "text": "STOP"})

    assert (message.sender, message.to, message.text) == ("+447700900123", "84433", "STOP")


@pytest.mark.parametrize("sender", ["447700900123", "00447700900123", 447700900123])
def test_who_wrote_is_told_as_recipients_are_stored(sender: object) -> None:
    """Else his STOP would be kept for a number that nobody ever writes to."""
    _, [message], _ = read({"id": "i-1", "status": "MO", "from": sender, "to": "84433", "text": "STOP"})

    assert message.sender == "+447700900123"


@pytest.mark.parametrize(
    "event",
    [
        {"status": "NEWWORD", "message": "m"},
        {"status": "DELIVRD"},
        {"message": "m"},
        {"status": ["DELIVRD"], "message": "m"},
        {"status": "MO", "text": "STOP"},
        {"status": "MO", "from": "07700900123", "text": "STOP"},
        "DELIVRD",
        None,
        [[]],
    ],
    ids=repr,
)
def test_an_event_that_cannot_be_read_costs_only_itself(event: Any) -> None:
    receipts, inbound, unreadable = read(event, {"status": "DELIVRD", "message": "m"})

    assert (len(receipts), len(inbound), unreadable) == (1, 0, 1)


def test_without_an_id_of_its_own_an_event_is_known_by_its_place_in_the_message_or_by_its_content() -> None:
    event = {"status": "DELIVRD", "message": "m"}
    [first, second], _, _ = read(event, event)
    assert (first.event_id, second.event_id) == ("msg-1:0", "msg-1:1")

    body = orjson.dumps([{"s": 1, "id": "m"}, {"id": "m", "s": 1}, {"id": "n", "s": 1}])
    same, again, other = reader(HEADER + REST).read(request(body, {})).receipts
    assert same.event_id == again.event_id != other.event_id


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"events": ' + b"[" * 5000, b"[" + b"1," * 10_001 + b"1]"])
def test_a_body_that_is_no_list_of_events_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableReceiptError):
        reader(HEADER + REST).read(request(body, {}))


def test_a_gateway_that_reports_makes_what_it_accepts_sent() -> None:
    unused: Any = object()
    dependencies = ProviderDependencies(transport=unused, outbox=unused, clock=FakeClock())
    for table, expects in (("", False), (receipts_table("gw"), True)):
        config = parse_providers(GATEWAY + table, {}).providers["gw"]
        assert HttpProvider(config, dependencies).expects_receipts is expects


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"standard_webhooks"', '"md5"', "must be one of"),
        (f'secret = "{SECRET}"', 'secret = "short"', "16 characters"),
        (f'secret = "{SECRET}"', 'secret = "whsec_no base64 at all!"', "base64"),
        ('kind = "/status"', 'kind = "status"', "JSON pointer"),
        ('kind = "/status"', 'knd = "/status"', "did you mean"),
        ('delivered = ["DELIVRD"]', 'deliverd = ["DELIVRD"]', "is no kind"),
        ('failed = ["UNDELIV", "REJECTD"]', 'failed = ["DELIVRD"]', "one meaning"),
        ('sender = "/from"', "", "inbound"),
        ('kind = "/status"', 'kind = "/status"\nmethods = ["post"]', "a list of: POST, PUT, PATCH"),
        ('kind = "/status"', 'kind = "/status"\nmethods = ["GET"]', "a list of: POST, PUT, PATCH"),
        ('kind = "/status"', 'kind = "/status"\nmethods = []', "a list of: POST, PUT, PATCH"),
    ],
)
def test_a_mistake_in_the_table_is_named(old: str, new: str, word: str) -> None:
    table = receipts_table("gw")
    assert old in table

    with pytest.raises(ProvidersFileError) as refusal:
        parse_providers(GATEWAY + table.replace(old, new), {})

    assert word in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert all("receipts" in problem.message for problem in refusal.value.problems)
