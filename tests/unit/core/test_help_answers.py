from __future__ import annotations

from typing import Any

import pytest

from tests.factories import NOW, make_job
from tests.fakes import FakeClock
from wavecom.core.help_answers import HelpAnswers
from wavecom.core.keywords import Keywords
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.receipts import InboundMessage
from wavecom.core.submission import Accepted
from wavecom.errors import ChannelNotServedError, StoreError

NUMBER = "+12025550143"
TEXTS = {"en": "Acme alerts. Reply STOP to stop.", "de": "Acme-Meldungen. Mit STOPP ist Schluss."}


class Answering:
    """Answers, and what they accept: one for each idempotency key, as the store does."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.clock = FakeClock(NOW)
        self.accepted: dict[tuple[str, str | None], NewNotification] = {}
        self.refusal: Exception | None = None
        self.count = 0
        self.answers = HelpAnswers(
            self.accept, texts=texts, keywords=Keywords(), clock=self.clock, on_answered=self.on_answered
        )

    def accept(self, new: NewNotification) -> Accepted:
        if self.refusal is not None:
            raise self.refusal
        key = new.client, new.idempotency_key
        is_replay = key in self.accepted
        self.accepted.setdefault(key, new)
        return Accepted(make_job(client=new.client), is_replay)

    def on_answered(self) -> None:
        self.count += 1

    def asks(self, text: str = "HELP", number: str = NUMBER, accounts: tuple[str, ...] = ("bank", "acme")) -> None:
        self.answers.answer(InboundMessage(event_id="m-1", sender=number, text=text), accounts)

    def sent(self) -> list[NewNotification]:
        return list(self.accepted.values())


@pytest.fixture
def answering() -> Answering:
    return Answering(TEXTS)


def test_help_is_answered_to_who_asks_on_behalf_of_one_who_has_sent_to_him(answering: Answering) -> None:
    answering.asks()

    [new] = answering.sent()
    assert (new.client, new.type, new.to, new.payload) == (
        "acme",
        Channel.SMS,
        {"phone": NUMBER},
        {"text": TEXTS["en"]},
    )
    # Who has said STOP gets it, too.
    assert new.priority is Priority.HIGH
    assert answering.count == 1


@pytest.mark.parametrize(("text", "language"), [("Hilfe!", "de"), ("info", "en"), ("ayuda", "en"), ("Was?", "en")])
def test_the_answer_is_in_the_language_of_the_word_where_there_is_one(
    answering: Answering, text: str, language: str
) -> None:
    answering.asks(text)

    assert [new.payload["text"] for new in answering.sent()] == [TEXTS[language]]


def test_two_machines_do_not_answer_each_other_for_ever(answering: Answering) -> None:
    for _ in range(100):
        answering.asks()
        answering.asks("Hilfe")
        answering.clock.advance(60)
    assert len(answering.sent()) == answering.count <= 2

    count = answering.count
    answering.asks(number="+12025550199")
    answering.clock.advance(86_400)
    answering.asks()

    assert answering.count == count + 2


def test_nobody_is_answered_whom_we_never_wrote_to_nor_without_a_text(answering: Answering) -> None:
    answering.asks(accounts=())
    silent = Answering({})
    silent.asks()

    assert (answering.sent(), silent.sent()) == ([], [])


def test_where_no_route_is_for_it_the_provider_need_not_report_it_again(answering: Answering) -> None:
    answering.refusal = ChannelNotServedError(Channel.SMS, [])

    answering.asks()

    assert answering.count == 0


def test_where_the_store_is_away_the_provider_has_to_report_it_again(answering: Answering) -> None:
    answering.refusal = StoreError("away")

    with pytest.raises(StoreError):
        answering.asks()


def test_an_answer_is_worth_sending_for_an_hour_and_names_no_number(answering: Answering) -> None:
    answering.asks()

    [new] = answering.sent()
    outside: dict[str, Any] = {"key": new.idempotency_key, "metadata": new.metadata}
    assert NUMBER[1:] not in str(outside)
    assert new.expires_at is not None
    assert (new.expires_at - NOW).total_seconds() == 3600
