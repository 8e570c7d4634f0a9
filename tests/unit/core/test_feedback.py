from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.factories import NOW, later, make_job, make_job_id
from tests.fakes import FakeClock
from tests.memory_storage import MemoryJobRepository, MemorySuppressionStore
from wavecom.core.feedback import SuppressionFeedback
from wavecom.core.job import Job, Reason
from wavecom.core.keywords import Keyword, Keywords
from wavecom.core.lanes import Channel
from wavecom.core.receipts import InboundMessage, MatchedReceipt, Receipt, ReceiptKind
from wavecom.core.states import Status
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.suppressions import (
    Suppression,
    SuppressionFilter,
    SuppressionScope,
    SuppressionSource,
    SuppressionState,
)

NUMBER = "+12025550143"


class Feedback:
    """What receipts tell, over stores in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.store = MemorySuppressionStore()
        self.jobs = MemoryJobRepository()
        self.keywords: list[Keyword] = []
        self.unknown_senders: list[str] = []
        self.helped: list[tuple[str, list[str]]] = []
        self.handler = SuppressionFeedback(
            suppressions=SuppressionList(self.store, self.clock),
            jobs=self.jobs,
            accounts=lambda: ["acme", "bank", "shop"],
            keywords=Keywords(),
            owners={"bank-twilio": "bank"},
            on_keyword=self.keywords.append,
            on_unknown_sender=self.unknown_senders.append,
            on_help=lambda message, accounts: self.helped.append((message.sender, sorted(accounts))),
        )

    def sent(self, client: str, provider: str = "twilio") -> None:
        job = make_job(
            type=Channel.SMS, to={"phone": NUMBER}, client=client, provider=provider, status=Status.DELIVERED
        )
        assert self.jobs.insert([job]) == [None]

    def writes(
        self,
        text: str,
        event_id: str = "m-1",
        provider: str = "twilio",
        sender: str = NUMBER,
        at: datetime | None = None,
    ) -> None:
        self.handler.on_inbound(provider, [InboundMessage(event_id=event_id, sender=sender, text=text, at=at)])

    def entries(self, state: SuppressionState = SuppressionState.ACTIVE) -> list[Suppression]:
        page = self.store.search(SuppressionFilter(state=state), 100, None, self.clock.now())
        return sorted(page.entries, key=lambda entry: (entry.account, entry.source))


@pytest.fixture
def feedback() -> Feedback:
    return Feedback()


def _matched(kind: ReceiptKind, job: Job | None = None, **overrides: Any) -> MatchedReceipt:
    receipt = Receipt(**{"event_id": "e-1", "kind": kind, "code": "hard_bounce"} | overrides)
    return MatchedReceipt(provider="sendgrid", receipt=receipt, job=job or make_job(type=Channel.EMAIL))


@pytest.mark.parametrize(
    ("kind", "reason", "source", "scope"),
    [
        (ReceiptKind.COMPLAINT, None, SuppressionSource.COMPLAINT, SuppressionScope.MARKETING),
        (ReceiptKind.UNSUBSCRIBED, None, SuppressionSource.UNSUBSCRIBE, SuppressionScope.MARKETING),
        (ReceiptKind.FAILED, Reason.RECIPIENT_INVALID, SuppressionSource.BOUNCE, SuppressionScope.ALL),
        (ReceiptKind.FAILED, Reason.RECIPIENT_GONE, SuppressionSource.BOUNCE, SuppressionScope.ALL),
        (ReceiptKind.FAILED, Reason.RECIPIENT_OPTED_OUT, SuppressionSource.UNSUBSCRIBE, SuppressionScope.MARKETING),
    ],
)
def test_a_receipt_about_a_recipient_suppresses_him(
    feedback: Feedback, kind: ReceiptKind, reason: Reason | None, source: SuppressionSource, scope: SuppressionScope
) -> None:
    matched = _matched(kind, reason=reason)

    feedback.handler.on_receipts([matched])

    [entry] = feedback.entries()
    assert (entry.account, entry.channel, entry.recipient) == ("acme", Channel.EMAIL, "amina@example.com")
    assert (entry.source, entry.scope, entry.by) == (source, scope, "provider sendgrid")
    assert matched.job.job_id in entry.reason


@pytest.mark.parametrize(
    "matched",
    [
        _matched(ReceiptKind.FAILED),
        _matched(ReceiptKind.FAILED, reason=Reason.BALANCE),
        _matched(ReceiptKind.COMPLAINT, make_job(type=Channel.EMAIL, client="acme:test")),
        # Who got a copy complains; the job's own recipient did not.
        _matched(ReceiptKind.COMPLAINT, recipient="bela@example.com"),
    ],
)
def test_other_receipts_suppress_nobody(feedback: Feedback, matched: MatchedReceipt) -> None:
    feedback.handler.on_receipts([matched])

    assert feedback.entries() == []


def test_names_of_events_have_a_bounded_length_in_a_history(feedback: Feedback) -> None:
    long = "x" * 100_000

    feedback.writes("STOP", event_id=long)
    feedback.handler.on_receipts([_matched(ReceiptKind.COMPLAINT, event_id=long)])

    entries = [feedback.store.get(entry.suppression_id, None) for entry in feedback.entries()]
    assert len(entries) == 4
    assert max(len(repr(entry)) for entry in entries) < 2_000


@pytest.mark.parametrize(
    "told",
    ["Amina@example.com", " amina@example.com", "Amina <amina@example.com>", '"Okafor, Amina" <Amina@example.com>'],
)
def test_the_recipient_is_known_however_the_provider_writes_him(feedback: Feedback, told: str) -> None:
    feedback.handler.on_receipts([_matched(ReceiptKind.COMPLAINT, recipient=told)])

    assert [entry.recipient for entry in feedback.entries()] == ["amina@example.com"]


def test_a_receipt_that_comes_again_does_not_undo_a_lift(feedback: Feedback) -> None:
    feedback.handler.on_receipts([_matched(ReceiptKind.COMPLAINT, recipient="Amina@example.com")])
    [entry] = feedback.entries()
    feedback.store.lift(entry.suppression_id, None, by="operator", reason="", now=NOW)

    feedback.handler.on_receipts([_matched(ReceiptKind.COMPLAINT)])
    assert feedback.entries() == []

    feedback.handler.on_receipts([_matched(ReceiptKind.COMPLAINT, event_id="e-2")])
    assert len(feedback.entries()) == 1


def test_stop_is_said_to_all_who_sent_from_that_provider(feedback: Feedback) -> None:
    feedback.sent("acme")
    feedback.sent("bank")
    feedback.sent("shop", "vonage")
    feedback.sent("acme:test")

    feedback.writes("Stop!")

    assert [(entry.account, entry.source, entry.scope, entry.by) for entry in feedback.entries()] == [
        ("acme", SuppressionSource.STOP, SuppressionScope.MARKETING, "recipient"),
        ("bank", SuppressionSource.STOP, SuppressionScope.MARKETING, "recipient"),
    ]
    assert feedback.keywords == [Keyword.STOP]


def test_stop_of_somebody_nobody_knows_holds_for_all_clients(feedback: Feedback) -> None:
    feedback.writes("stop")

    assert [entry.account for entry in feedback.entries()] == ["acme", "bank", "shop"]


def test_stop_to_a_clients_own_provider_is_said_to_that_client_alone(feedback: Feedback) -> None:
    feedback.writes("STOP", "m-1")
    feedback.writes("STOP", "m-2", "bank-twilio")
    feedback.writes("START", "m-3")
    assert feedback.entries() == []
    feedback.writes("STOP", "m-4", "bank-twilio")
    assert [entry.account for entry in feedback.entries()] == ["bank"]

    feedback.writes("START", "m-5", "bank-twilio")

    assert feedback.entries() == []


@pytest.mark.parametrize("sender", ["12025550143", "0012025550143", " +12025550143"])
def test_a_number_is_suppressed_in_the_form_of_recipients(feedback: Feedback, sender: str) -> None:
    feedback.sent("acme")

    feedback.writes("STOP", sender=sender)

    assert [(entry.account, entry.recipient) for entry in feedback.entries()] == [("acme", NUMBER)]


@pytest.mark.parametrize("sender", ["", "Bank", "07700900123"])
def test_stop_from_what_is_no_number_suppresses_nobody_and_is_counted(feedback: Feedback, sender: str) -> None:
    feedback.writes("STOP", sender=sender)

    assert (feedback.entries(), feedback.unknown_senders, feedback.keywords) == ([], ["twilio"], [])


def test_stop_reaches_who_sent_long_before_many_others(feedback: Feedback) -> None:
    feedback.sent("bank")
    for _ in range(300):
        feedback.sent("acme")

    feedback.writes("STOP")

    assert [entry.account for entry in feedback.entries()] == ["acme", "bank"]


def test_start_that_comes_late_lifts_no_newer_stop(feedback: Feedback) -> None:
    feedback.sent("acme")
    feedback.clock.advance(60)
    feedback.writes("STOP", "m-1", at=later(30))

    feedback.writes("START", "m-2", at=later(20))
    assert [entry.account for entry in feedback.entries()] == ["acme"]

    feedback.writes("START", "m-3", at=later(40))
    assert feedback.entries() == []


def test_words_of_one_request_count_in_their_order(feedback: Feedback) -> None:
    feedback.sent("acme")
    texts = ["STOP", "START", "STOP", "START"]
    messages = [InboundMessage(event_id=f"m-{number}", sender=NUMBER, text=text) for number, text in enumerate(texts)]

    feedback.handler.on_inbound("twilio", messages[:3])
    assert [entry.account for entry in feedback.entries()] == ["acme"]

    feedback.handler.on_inbound("twilio", messages[3:])
    assert feedback.entries() == []


def _unmatched(kind: ReceiptKind = ReceiptKind.COMPLAINT, **overrides: Any) -> Receipt:
    fields = {"event_id": "e-1", "kind": kind, "job_id": make_job_id(), "recipient": "Amina <Amina@example.com>"}
    return Receipt(**fields | overrides)


def test_a_complaint_about_a_notification_that_is_gone_suppresses_for_who_has_sent_to_him(feedback: Feedback) -> None:
    for client in ("acme", "acme:test"):
        feedback.jobs.insert([make_job(type=Channel.EMAIL, client=client, provider="ses", status=Status.DELIVERED)])

    feedback.handler.on_unmatched("ses", [_unmatched()])

    [entry] = feedback.entries()
    assert (entry.account, entry.channel, entry.recipient) == ("acme", Channel.EMAIL, "amina@example.com")
    assert (entry.source, entry.by) == (SuppressionSource.COMPLAINT, "provider ses")


@pytest.mark.parametrize(
    ("receipt", "accounts"),
    [
        (_unmatched(), ["acme", "bank", "shop"]),
        (_unmatched(ReceiptKind.FAILED, reason=Reason.RECIPIENT_GONE, recipient=NUMBER), ["acme", "bank", "shop"]),
        # Of another system that sends with the same account.
        (_unmatched(job_id=None), []),
        (_unmatched(recipient="dGhpcyBpcyBhIHRva2Vu"), []),
        (_unmatched(recipient=None), []),
        (_unmatched(ReceiptKind.FAILED, reason=Reason.BALANCE), []),
    ],
)
def test_a_notification_that_is_gone_was_anybodys_only_where_it_was_ours(
    feedback: Feedback, receipt: Receipt, accounts: list[str]
) -> None:
    feedback.handler.on_unmatched("ses", [receipt])

    assert [entry.account for entry in feedback.entries()] == accounts


def test_what_comes_by_a_clients_own_provider_holds_for_that_client_alone(feedback: Feedback) -> None:
    feedback.handler.on_unmatched("bank-twilio", [_unmatched()])

    assert [entry.account for entry in feedback.entries()] == ["bank"]


def test_a_receipt_by_a_clients_own_provider_that_names_no_notification_is_about_whom_he_has_written_to(
    feedback: Feedback,
) -> None:
    receipt = _unmatched(job_id=None, recipient=NUMBER)
    feedback.sent("acme", "bank-twilio")

    feedback.handler.on_unmatched("bank-twilio", [receipt])
    assert feedback.entries() == []

    feedback.sent("bank", "bank-twilio")
    feedback.handler.on_unmatched("bank-twilio", [receipt])
    assert [entry.account for entry in feedback.entries()] == ["bank"]


def test_a_clients_own_provider_suppresses_nobody_for_another(feedback: Feedback) -> None:
    jobs = [make_job(type=Channel.SMS, to={"phone": NUMBER}, client=client) for client in ("acme", "bank")]
    receipt = Receipt(event_id="e-1", kind=ReceiptKind.COMPLAINT)

    feedback.handler.on_receipts([MatchedReceipt(provider="bank-twilio", receipt=receipt, job=job) for job in jobs])

    assert [entry.account for entry in feedback.entries()] == ["bank"]


def test_start_lifts_what_stop_has_set_and_nothing_else(feedback: Feedback) -> None:
    feedback.sent("acme")
    invalid = _matched(
        ReceiptKind.FAILED, make_job(type=Channel.SMS, to={"phone": NUMBER}), reason=Reason.RECIPIENT_INVALID
    )
    feedback.handler.on_receipts([invalid])
    feedback.writes("STOP", "m-1")

    feedback.writes("START", "m-2")

    assert [entry.source for entry in feedback.entries()] == [SuppressionSource.BOUNCE]
    assert [entry.source for entry in feedback.entries(SuppressionState.LIFTED)] == [SuppressionSource.STOP]


def test_start_of_somebody_nobody_knows_takes_back_his_stop_to_that_provider(feedback: Feedback) -> None:
    feedback.writes("STOP", "m-1")

    feedback.writes("START", "m-2")

    assert feedback.entries() == []
    assert len(feedback.entries(SuppressionState.LIFTED)) == 3


def test_start_takes_back_a_stop_for_all_clients_when_one_has_written_meanwhile(feedback: Feedback) -> None:
    feedback.writes("STOP", "m-1")
    feedback.sent("acme")

    feedback.writes("START", "m-2")

    assert feedback.entries() == []


def test_start_said_to_one_provider_does_not_take_back_stop_said_to_another(feedback: Feedback) -> None:
    feedback.sent("bank")
    feedback.writes("STOP", "m-1")

    feedback.writes("start", "m-2", "vonage")

    assert [(entry.account, entry.source) for entry in feedback.entries()] == [("bank", SuppressionSource.STOP)]


def test_messages_that_come_again_in_any_order_leave_the_last_word(feedback: Feedback) -> None:
    feedback.sent("acme")
    for text, event_id in [("STOP", "m-1"), ("START", "m-2"), ("STOP", "m-1"), ("START", "m-2"), ("STOP", "m-1")]:
        feedback.writes(text, event_id)

    assert feedback.entries() == []


def test_help_is_for_who_has_sent_and_nothing_happens_for_anything_else(feedback: Feedback) -> None:
    feedback.sent("acme")

    feedback.writes("HELP")
    feedback.writes("Thank you, see you at five", "m-2")

    assert feedback.keywords == [Keyword.HELP]
    assert feedback.helped == [(NUMBER, ["acme"])]
    assert feedback.entries() == []


def test_help_by_a_clients_own_provider_is_for_whom_he_has_written_to(feedback: Feedback) -> None:
    feedback.writes("HELP", provider="bank-twilio")
    feedback.sent("bank", "bank-twilio")
    feedback.writes("HELP", "m-2", provider="bank-twilio")

    assert feedback.helped == [(NUMBER, []), (NUMBER, ["bank"])]
