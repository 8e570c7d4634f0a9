"""``type = "infobip"`` keeps the contract of every provider, and reads every answer of Infobip as its table says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

import pytest
from infobip_api_client import ApiClient, Configuration
from infobip_api_client.api.sms_api import SmsApi
from infobip_api_client.models import SmsRequest

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import (
    TO,
    Clock,
    HttpProviderContract,
    Outbox,
    ProviderSetup,
    built,
    table_at,
)
from tests.peers import HttpPeer, Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.providers.transport.curl import CurlTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


GROUPS = {0: "ACCEPTED", 1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}


def answer(group: int, name: str, **status: object) -> bytes:
    """In the form of its documentation's example, with what it repeats of the message."""
    found = {
        "groupId": group,
        "groupName": GROUPS.get(group, "NEW"),
        "id": 26,
        "name": name,
        "description": "+12025550143",
    } | status
    message = {"messageId": "2250be2d4219-3af1", "status": found, "destination": "12025550143"}
    return json.dumps({"bulkId": "1688025180464000013", "messages": [message]}).encode()


def row(
    group: int,
    name: str,
    outcome: Outcome,
    code: str | None = None,
    reason: Reason | None = None,
    scope: Scope | None = None,
) -> AnswerRow:
    short = code or name.removeprefix("REJECTED_")
    return AnswerRow(200, answer(group, name), outcome, f"infobip_{short}", reason, scope)


ACCEPTED = answer(1, "PENDING_ACCEPTED")
ERROR = b'{"errorCode": "E400", "description": "to: 12025550143", "violations": []}'
UNAVAILABLE, REJECTED = Outcome.UNAVAILABLE, Outcome.REJECTED


class TestInfobipProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "infobip"
        base_url = "{base_url}"
        api_key = "$SECRET"
        sender = "Bank"
        webhook_password = "$SECRET"
    """
    accepted_body = ACCEPTED
    expects_receipts = True
    #: The body decides: where it did not come, nobody can tell.
    unreadable_success = Outcome.UNKNOWN
    outcomes: ClassVar[Mapping[str, Outcome]] = {"takes it and says no more": Outcome.UNKNOWN}
    rows: ClassVar[Sequence[AnswerRow]] = [
        AnswerRow(200, ACCEPTED, Outcome.ACCEPTED),
        AnswerRow(200, answer(3, "DELIVERED_TO_HANDSET"), Outcome.ACCEPTED),
        row(5, "REJECTED_PREFIX_MISSING", REJECTED, None, Reason.RECIPIENT_INVALID, Scope.RECIPIENT),
        row(5, "REJECTED_NOT_ENOUGH_CREDITS", UNAVAILABLE, None, Reason.BALANCE, Scope.PROVIDER),
        row(5, "REJECTED_PREPAID_PACKAGE_EXPIRED", UNAVAILABLE, None, Reason.BALANCE, Scope.PROVIDER),
        row(5, "REJECTED_SENDER", UNAVAILABLE, None, Reason.SENDER, Scope.PROVIDER),
        row(5, "REJECTED_SOURCE", UNAVAILABLE, None, Reason.SENDER, Scope.PROVIDER),
        row(5, "REJECTED_SYSTEM_ERROR", UNAVAILABLE),
        row(2, "UNDELIVERABLE_NOT_DELIVERED", UNAVAILABLE, "group_2", scope=Scope.MESSAGE),
        row(4, "EXPIRED_EXPIRED", UNAVAILABLE, "group_4", scope=Scope.MESSAGE),
        row(5, "REJECTED_NETWORK", UNAVAILABLE, "group_5", scope=Scope.MESSAGE),
        row(9, "SOMETHING_NEW", UNAVAILABLE, "other"),
        AnswerRow(400, ERROR, UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(401, ERROR, UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(403, ERROR, UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(404, ERROR, UNAVAILABLE),
        AnswerRow(422, ERROR, REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, ERROR, UNAVAILABLE),
        AnswerRow(500, ERROR, UNAVAILABLE),
        AnswerRow(503, b"", UNAVAILABLE),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    ]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.SMS

    def delivery_key(self, received: Received) -> str:
        return str(json.loads(received.body)["messages"][0]["webhooks"]["callbackData"])


@pytest.mark.parametrize("seconds", [None, 600])
def test_a_message_is_sent_as_infobips_library_sends_it(seconds: int | None) -> None:
    expires_at = None if seconds is None else Clock().now() + timedelta(seconds=seconds)
    transport = CurlTransport()
    with HttpPeer(peers.reply(200, ACCEPTED, headers={"Content-Type": "application/json"})) as peer:
        provider = built(table_at(TestInfobipProvider.table, peer.url), Channel.SMS, 10, transport, Outbox())
        message = ProviderSetup(provider, Channel.SMS, list, TO[Channel.SMS]).message(expires_at=expires_at)

        provider.send(message)
        ours = json.loads(peer.requests[0].body)
        settings = Configuration(host=peer.url.removesuffix("/send"), api_key="s3cret")
        SmsApi(ApiClient(settings)).send_sms_messages(SmsRequest.from_dict(ours))

        first, second = peer.requests
    transport.close()
    assert first.line == second.line
    assert ours == json.loads(second.body)
    assert {name: first.headers[name] for name in ("authorization", "content-type", "accept")} == {
        name: second.headers[name] for name in ("authorization", "content-type", "accept")
    }
