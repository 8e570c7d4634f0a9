"""What people write, and what receipts tell of recipients: from the request of a provider to the suppression list."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from tests.factories import make_job
from tests.unit.web.conftest import NOW, WebEnvironment, make_environment
from wavecom.core.job import Reason
from wavecom.core.lanes import Channel
from wavecom.core.receipts import InboundMessage, Receipt, ReceiptBatch, ReceiptKind, ReceiptRequest
from wavecom.core.states import Status
from wavecom.core.suppressions import SuppressionFilter, SuppressionSource, SuppressionState
from wavecom.settings import Settings

NUMBER = "+12025550143"


class ScriptedReader:
    """A reader of receipts that reads what the test has put into it."""

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self) -> None:
        self.batch = ReceiptBatch()

    def verify(self, _request: ReceiptRequest) -> None:
        """Lets everybody in."""

    def read(self, _request: ReceiptRequest) -> ReceiptBatch:
        return self.batch


class Provider:
    """Somebody who tells the app of messages and receipts."""

    def __init__(self, **settings: Any) -> None:
        self.reader = ScriptedReader()
        self.environment: WebEnvironment = make_environment(
            Settings(secret_key="a secret for tests only", **settings), readers={"twilio": self.reader}
        )
        self._client: FlaskClient = self.environment.app.test_client()
        self._messages = 0

    def writes(self, text: str) -> int:
        self._messages += 1
        message = InboundMessage(event_id=f"m-{self._messages}", sender=NUMBER, text=text)
        return self._tells(ReceiptBatch(inbound=(message,)))

    def reports(self, **receipt: Any) -> int:
        return self._tells(ReceiptBatch(receipts=(Receipt(event_id="e-1", **receipt),)))

    def found(self) -> list[tuple[str, SuppressionSource, SuppressionState]]:
        now = self.environment.clock.now()
        entries = self.environment.suppressions.search(SuppressionFilter(), 10, None, now).entries
        return sorted((entry.account, entry.source, entry.state(now)) for entry in entries)

    def _tells(self, batch: ReceiptBatch) -> int:
        self.reader.batch = batch
        return self._client.post("/receipts/twilio", data=b"x").status_code


def test_stop_and_start_reach_the_list_of_who_sent() -> None:
    provider = Provider()
    job = make_job(
        type=Channel.SMS, to={"phone": NUMBER}, client="acme", provider="twilio", status=Status.SENT, created_at=NOW
    )
    provider.environment.jobs.insert([job])

    assert provider.writes("Stop!") == 200
    assert provider.found() == [("acme", SuppressionSource.STOP, SuppressionState.ACTIVE)]

    assert provider.writes("START") == 200
    assert provider.found() == [("acme", SuppressionSource.STOP, SuppressionState.LIFTED)]


def test_stop_of_a_stranger_holds_for_every_client_that_has_a_key_and_for_the_operators() -> None:
    provider = Provider()

    provider.writes("STOP")

    assert [account for account, _, _ in provider.found()] == ["default", "operator"]


def test_words_are_those_of_the_settings() -> None:
    provider = Provider(keyword_languages=("en",), stop_words=("Genug jetzt",))

    provider.writes("Stopp")
    assert provider.found() == []

    provider.writes("genug, jetzt!")
    assert len(provider.found()) == 2


def test_a_hard_bounce_that_is_reported_suppresses_its_recipient() -> None:
    provider = Provider()
    job = make_job(
        type=Channel.SMS, to={"phone": NUMBER}, client="acme", provider="twilio", status=Status.SENT, created_at=NOW
    )
    provider.environment.jobs.insert([job])

    status = provider.reports(kind=ReceiptKind.FAILED, job_id=job.job_id, reason=Reason.RECIPIENT_INVALID)

    assert status == 200
    assert provider.found() == [("acme", SuppressionSource.BOUNCE, SuppressionState.ACTIVE)]


def test_a_list_that_cannot_be_kept_makes_the_provider_say_it_again() -> None:
    provider = Provider()
    provider.environment.suppressions.is_away = True

    assert provider.writes("STOP") == 503

    provider.environment.suppressions.is_away = False
    assert provider.writes("STOP") == 200
    assert len(provider.found()) == 2
