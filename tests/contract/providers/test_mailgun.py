"""``type = "mailgun"`` keeps the contract of every provider, and reads every answer of Mailgun as its table says."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow, setup_of
from tests.contract.provider_contract import HttpProviderContract, Way
from tests.peers import HttpPeer, Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.providers.transport import HttpTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED = b'{"id": "<20261122120000.1.ABC@mg.bank.example>", "message": "Queued. Thank you."}'


def said(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


def account(status: int, body: bytes, reason: Reason, code: str | None = None) -> AnswerRow:
    return AnswerRow(status, body, Outcome.UNAVAILABLE, code, reason=reason, scope=Scope.PROVIDER)


class TestMailgunProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "mailgun"
        domain = "mg.bank.example"
        api_key = "$SECRET"
        sender = "Bank <bank@mg.bank.example>"
        base_url = "{base_url}"
    """
    accepted_body = ACCEPTED
    rows = (
        AnswerRow(200, ACCEPTED, Outcome.ACCEPTED),
        AnswerRow(
            400,
            said("Need at least one of 'text' or 'html' parameters specified"),
            Outcome.REJECTED,
            scope=Scope.MESSAGE,
        ),
        AnswerRow(
            400,
            said("'to' parameter is not a valid address. please check documentation"),
            Outcome.REJECTED,
            "mailgun_recipient",
            reason=Reason.RECIPIENT_INVALID,
            scope=Scope.RECIPIENT,
        ),
        account(
            400,
            said("'from' parameter is not a valid address. please check documentation"),
            Reason.SENDER,
            "mailgun_from",
        ),
        account(401, b"Forbidden", Reason.CREDENTIALS),
        account(402, said("Request Failed"), Reason.BALANCE),
        account(403, said("Domain mg.bank.example is not allowed to send: the account is disabled"), Reason.SENDER),
        account(404, said("Domain not found: mg.bank.example"), Reason.SENDER),
        AnswerRow(413, b"Request Entity Too Large", Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(422, said("no"), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, said("Too many requests"), Outcome.UNAVAILABLE),
        AnswerRow(500, said("Internal Server Error"), Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    )

    @pytest.mark.parametrize("status", [403, 404])
    def test_a_domain_that_may_not_send_is_every_messages_trouble(
        self, status: int, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        payload = {"from": "ada@mg.bank.example", "subject": "S", "text": "T"}
        with HttpPeer(peers.reply(status, said("Domain mg.bank.example is not allowed to send"))) as peer:
            provider = self.provider_at(peer.url, channel, any_transport)
            result = way(provider, setup_of(provider, channel).message(payload=payload))

        assert (result.reason, result.scope, result.is_final_here) == (Reason.SENDER, Scope.PROVIDER, False)

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL

    def delivery_key(self, received: Received) -> str:
        return parse_qs(received.body.decode())["v:wavecom_job_id"][0]
