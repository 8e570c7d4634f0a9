"""``type = "vonage"`` keeps the contract of every provider, and reads every answer of Vonage as its table says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract, Way
from tests.peers import Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.providers.transport import HttpTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def taken(number: int = 1) -> dict[str, str]:
    return {
        "to": "12025550143",
        "message-id": f"0A000000012345{number:02}",
        "status": "0",
        "remaining-balance": "3.14159265",
        "message-price": "0.03330000",
        "network": "12345",
        "client-ref": "job-1",
    }


def refused(status: int) -> dict[str, str]:
    """As Vonage words it, with what it repeats of the message."""
    return {"to": "12025550143", "status": str(status), "error-text": "Invalid parameter: to=12025550143"}


def answer(*parts: Mapping[str, str]) -> bytes:
    return json.dumps({"message-count": str(len(parts)), "messages": parts}).encode()


def row(status: int, outcome: Outcome, reason: Reason | None = None, scope: Scope | None = None) -> AnswerRow:
    return AnswerRow(200, answer(refused(status)), outcome, f"vonage_{status}", reason, scope)


def account(status: int, reason: Reason) -> AnswerRow:
    return row(status, Outcome.UNAVAILABLE, reason, Scope.PROVIDER)


PARTIAL = "vonage_partial"


class TestVonageProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "vonage"
        api_key = "abcd1234"
        api_secret = "$SECRET"
        sender = "Bank"
        base_url = "{base_url}"
    """
    accepted_body = answer(taken())
    #: The body decides: where it did not come, nobody can tell.
    unreadable_success = Outcome.UNKNOWN
    outcomes: ClassVar[Mapping[str, Outcome]] = {"takes it and says no more": Outcome.UNKNOWN}
    rows: ClassVar[Sequence[AnswerRow]] = [
        AnswerRow(200, answer(taken()), Outcome.ACCEPTED),
        AnswerRow(200, answer(taken(1), taken(2), taken(3)), Outcome.ACCEPTED),
        row(1, Outcome.UNAVAILABLE),
        row(2, Outcome.UNAVAILABLE),
        row(3, Outcome.REJECTED, scope=Scope.MESSAGE),
        account(4, Reason.CREDENTIALS),
        row(5, Outcome.UNAVAILABLE),
        row(6, Outcome.REJECTED, Reason.RECIPIENT_INVALID, Scope.RECIPIENT),
        row(7, Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        account(8, Reason.BALANCE),
        account(9, Reason.BALANCE),
        row(10, Outcome.UNAVAILABLE),
        account(11, Reason.CREDENTIALS),
        row(12, Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        account(14, Reason.CREDENTIALS),
        account(15, Reason.SENDER),
        row(22, Outcome.REJECTED, scope=Scope.MESSAGE),
        row(23, Outcome.UNAVAILABLE),
        row(29, Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        account(32, Reason.CREDENTIALS),
        row(33, Outcome.REJECTED, Reason.RECIPIENT_GONE, Scope.RECIPIENT),
        # A status that the documentation doesn't name is no success.
        AnswerRow(200, answer(refused(99)), Outcome.UNAVAILABLE, "vonage_other"),
        # Some parts were taken: at the beginning, at the end, or in between.
        AnswerRow(200, answer(taken(1), refused(1)), Outcome.UNKNOWN, PARTIAL, scope=Scope.MESSAGE),
        AnswerRow(200, answer(refused(5), taken(2)), Outcome.UNKNOWN, PARTIAL, scope=Scope.MESSAGE),
        AnswerRow(200, answer(taken(1), refused(3), taken(3)), Outcome.UNKNOWN, PARTIAL, scope=Scope.MESSAGE),
        AnswerRow(200, answer(taken(1), refused(9)), Outcome.UNKNOWN, PARTIAL, Reason.BALANCE, Scope.MESSAGE),
        AnswerRow(401, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(403, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(422, b"", Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, b"", Outcome.UNAVAILABLE),
        AnswerRow(500, b"", Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    ]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.SMS

    def delivery_key(self, received: Received) -> str:
        return parse_qs(received.body.decode())["client-ref"][0]

    def test_a_text_that_was_taken_in_part_has_the_id_of_its_first_part(
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        result = self.played(peers.reply(200, answer(taken(1), refused(1))), channel, any_transport, way)

        assert result.message_id == "0A00000001234501"
        assert result.message == "1 of 2 parts were taken; the others: vonage_1"

    @pytest.mark.parametrize(
        "body",
        [
            b'{"message-count": "0", "messages": []}',
            b'{"messages": [{"to": "12025550143"}]}',
            b'{"messages": [{"status": 0}]}',
            b'{"messages": {"status": "0"}}',
        ],
    )
    def test_a_body_without_a_status_is_no_success(
        self, channel: Channel, any_transport: HttpTransport, way: Way, body: bytes
    ) -> None:
        result = self.played(peers.reply(200, body), channel, any_transport, way)

        assert result.outcome is Outcome.UNKNOWN
