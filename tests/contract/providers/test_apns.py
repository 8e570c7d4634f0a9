"""``type = "apns"`` keeps the contract of every provider, before an HTTP/2 server that answers as APNs does."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import jwt
import pytest
import trustme

from tests import http2_peer, peers
from tests.contract.answer_contract import AnswerRow
from tests.contract.provider_contract import (
    HttpProviderContract,
    Outbox,
    Peer,
    ProviderSetup,
    Way,
    built,
    sent,
    started,
    table_at,
)
from tests.contract.push_services import P256_KEY, key_file
from tests.http2_peer import Http2Behaviour, Http2Peer
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.providers.account import AccountAspect
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.apns import ANSWERS
from wavecom.providers.base import BaseProvider
from wavecom.providers.transport.curl import CurlTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED, REJECTED, UNAVAILABLE, UNKNOWN = Outcome
TO: Mapping[str, object] = {"platform": "apns", "token": "ab" * 32}
TABLE = 'type = "apns"\nkey_id = "ABC123DEFG"\nteam_id = "DEF123GHIJ"\ntopic = "com.example.app"\n'


def reason(word: str) -> bytes:
    return json.dumps({"reason": word}).encode()


def scripts() -> Mapping[str, Http2Behaviour]:
    """What the server does for each of ``BEHAVIOURS``."""
    return {
        "takes it": http2_peer.reply(200, b"", {"apns-id": "eabeae54-14a8-11e5-b60b-1697f925ec7b"}),
        "refuses it": http2_peer.reply(422, b'{"error": "ada@example.org s3cret"}'),
        "is overloaded": http2_peer.reply(503, reason("Shutdown"), {"retry-after": "7"}),
        "takes it and is silent": http2_peer.be_silent,
        "takes it and drips": http2_peer.be_silent,
        "takes it and hangs up": http2_peer.hang_up,
        "refuses us": http2_peer.reply(403, reason("InvalidProviderToken")),
        "takes it and says no more": http2_peer.begin(200, {"apns-id": "e"}, b"{"),
        "is overloaded and breaks off": http2_peer.begin(503, {"retry-after": "7"}, b"{"),
        "refuses it with nonsense": http2_peer.reply(422, b"", {"retry-after": "Fri, 01 Jan 99999999999 00:00:00 GMT"}),
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def table(tmp_path: Path) -> str:
    return f'{TABLE}key_file = "{key_file(tmp_path)}"\nbase_url = "{{base_url}}"\n'


class TestApnsProvider(HttpProviderContract):
    @pytest.fixture(autouse=True)
    def written_table(self, table: str) -> None:
        self.table = table  # type: ignore[misc]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.PUSH

    def recipient_at(self, url: str, channel: Channel) -> Mapping[str, object]:
        return TO

    def resetting_peer(self) -> Http2Peer:
        return Http2Peer(lambda stream: peers.reset(stream.connection))

    def open_peer(self, behaviour: str, channel: Channel, outbox: Outbox, opened: ExitStack) -> Peer:
        if behaviour == "nobody":
            return Peer(table_at(self.table, f"http://127.0.0.1:{peers.free_port()}/"), list, TO)
        peer = opened.enter_context(Http2Peer(scripts()[behaviour]))
        return Peer(
            table_at(self.table, peer.url), lambda: [each.headers["apns-collapse-id"] for each in peer.requests], TO
        )


@pytest.fixture(params=[sent, started])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


class TestAnswers:
    """Each answer of APNs, over TLS, by both ways to call a provider."""

    rows: ClassVar[Sequence[AnswerRow]] = (
        AnswerRow(400, reason("BadDeviceToken"), REJECTED, None, None, Scope.RECIPIENT),
        AnswerRow(400, reason("DeviceTokenNotForTopic"), REJECTED, None, None, Scope.RECIPIENT),
        AnswerRow(400, reason("BadTopic"), UNAVAILABLE, None, Reason.SENDER, Scope.PROVIDER),
        AnswerRow(400, reason("MissingTopic"), UNAVAILABLE, None, Reason.SENDER, Scope.PROVIDER),
        AnswerRow(400, reason("TopicDisallowed"), UNAVAILABLE, None, Reason.SENDER, Scope.PROVIDER),
        *(
            AnswerRow(403, reason(word), UNAVAILABLE, None, Reason.CREDENTIALS, Scope.PROVIDER)
            for word in (
                "BadCertificate",
                "BadCertificateEnvironment",
                "BadEnvironmentKeyIdInToken",
                "ExpiredProviderToken",
                "Forbidden",
                "InvalidProviderToken",
                "MissingProviderToken",
                "UnrelatedKeyIdInToken",
            )
        ),
        AnswerRow(
            410,
            b'{"reason": "Unregistered", "timestamp": 1454948015990}',
            REJECTED,
            None,
            Reason.RECIPIENT_GONE,
            Scope.RECIPIENT,
        ),
        AnswerRow(410, reason("ExpiredToken"), REJECTED, None, Reason.RECIPIENT_GONE, Scope.RECIPIENT),
        AnswerRow(413, reason("PayloadTooLarge"), REJECTED, None, None, Scope.MESSAGE),
        AnswerRow(429, reason("TooManyRequests"), UNAVAILABLE, None, None, Scope.RECIPIENT),
        AnswerRow(429, reason("TooManyProviderTokenUpdates"), UNAVAILABLE, None, None, Scope.PROVIDER),
        AnswerRow(500, reason("InternalServerError"), UNAVAILABLE),
        AnswerRow(503, reason("ServiceUnavailable"), UNAVAILABLE, headers={"retry-after": "9"}, retry_after_seconds=9),
        AnswerRow(503, reason("Shutdown"), UNAVAILABLE),
        # Without a reason that is known the status counts.
        AnswerRow(400, reason("BadPriority"), REJECTED, "http_400", None, Scope.MESSAGE),
        AnswerRow(410, b"", REJECTED, "http_410", Reason.RECIPIENT_GONE, Scope.RECIPIENT),
        AnswerRow(401, b"[", UNAVAILABLE, "http_401", Reason.CREDENTIALS, Scope.PROVIDER),
        AnswerRow(403, b"", UNAVAILABLE, "http_403", Reason.CREDENTIALS, Scope.PROVIDER),
        AnswerRow(404, reason("BadPath"), UNAVAILABLE, "http_404", None, Scope.PROVIDER),
        AnswerRow(405, reason("MethodNotAllowed"), UNAVAILABLE, "http_405", None, Scope.PROVIDER),
        AnswerRow(413, b"", REJECTED, "http_413", None, Scope.MESSAGE),
        AnswerRow(422, b"", REJECTED, "http_422", None, Scope.MESSAGE),
        AnswerRow(429, b"", UNAVAILABLE, "http_429", headers={"retry-after": "30"}, retry_after_seconds=30),
        AnswerRow(500, b"<html>", UNAVAILABLE, "http_500"),
        AnswerRow(502, b"<html>", UNKNOWN, "http_502"),
        AnswerRow(503, b"", UNAVAILABLE, "http_503"),
        AnswerRow(302, b"", UNAVAILABLE, "http_302", None, Scope.PROVIDER),
    )

    @pytest.fixture
    def before(self, authority: trustme.CA, tmp_path: Path, table: str) -> Iterator[BeforePeer]:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        context.set_alpn_protocols(["h2"])
        with ExitStack() as opened:
            yield BeforePeer(opened, context, table + f'ca_file = "{tmp_path / "ca.pem"}"\n')

    def test_each_answer_means_what_the_table_says(self, answer_row: AnswerRow, before: BeforePeer, way: Way) -> None:
        peer, setup = before(http2_peer.reply(answer_row.status, answer_row.body, answer_row.headers))

        result = way(setup.provider, setup.message())

        assert (result.outcome, result.code) == (answer_row.outcome, code_of(answer_row))
        assert (result.reason, result.scope) == (answer_row.reason, answer_row.scope)
        assert result.retry_after_seconds == answer_row.retry_after_seconds
        assert len(peer.requests) == 1

    def test_every_row_of_the_table_is_played(self) -> None:
        played = {code_of(row) for row in self.rows}

        assert {f"apns_{code}" for code in ANSWERS.codes} <= played
        assert {f"http_{status}" for status in ANSWERS.statuses if isinstance(status, int)} <= played

    def test_what_is_sent_is_what_apns_wants(self, before: BeforePeer, way: Way) -> None:
        peer, setup = before(http2_peer.reply(200, b"", {"apns-id": "given"}))
        key = "0193a7b0-0000-7000-8000-000000000001"

        result = way(setup.provider, setup.message(delivery_key=key))

        [received] = peer.requests
        token = received.headers["authorization"].removeprefix("bearer ")
        claims = jwt.decode(token, P256_KEY.public_key(), ["ES256"], options={"verify_iat": False})
        assert result.message_id == "given"
        assert received.headers[":path"] == "/3/device/" + "ab" * 32
        assert received.headers["apns-id"] == received.headers["apns-collapse-id"] == key
        assert received.headers["apns-topic"] == "com.example.app"
        assert received.headers["apns-push-type"] == "alert"
        assert claims["iss"] == "DEF123GHIJ"
        assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "ABC123DEFG"}
        assert json.loads(received.body) == {"aps": {"alert": {"title": "Grüße", "body": "Ihr Code: 123456"}}}

    @pytest.mark.parametrize(
        ("status", "word", "aspects"),
        [
            (400, "BadDeviceToken", {AccountAspect.CREDENTIALS: True}),
            (403, "InvalidProviderToken", {AccountAspect.CREDENTIALS: False}),
            (400, "TopicDisallowed", {AccountAspect.CREDENTIALS: True, AccountAspect.SENDER: False}),
            (503, "Shutdown", {AccountAspect.CREDENTIALS: None}),
        ],
    )
    def test_the_account_check_asks_about_a_device_that_does_not_exist(
        self, before: BeforePeer, status: int, word: str, aspects: Mapping[AccountAspect, bool | None]
    ) -> None:
        peer, setup = before(http2_peer.reply(status, reason(word)))
        assert isinstance(setup.provider, BaseProvider)

        findings = setup.provider.check_account(HttpAccountClient())

        assert {each.aspect: each.is_good for each in findings} == aspects
        assert peer.requests[0].headers[":path"] == "/3/device/" + "0" * 64

    def test_an_account_check_without_an_answer_says_so(self, table: str) -> None:
        transport = CurlTransport()
        url = f"http://127.0.0.1:{peers.free_port()}/"
        provider = built(table_at(table, url), Channel.PUSH, 5, transport, Outbox())
        assert isinstance(provider, BaseProvider)

        with pytest.raises(OSError, match="refused or could not be made"):
            provider.check_account(HttpAccountClient())
        transport.close()


class BeforePeer:
    """Puts a provider before an HTTP/2 server with TLS that behaves as told."""

    def __init__(self, opened: ExitStack, context: ssl.SSLContext, table: str) -> None:
        self._opened, self._context, self._table = opened, context, table

    def __call__(self, behaviour: Http2Behaviour) -> tuple[Http2Peer, ProviderSetup]:
        peer = self._opened.enter_context(Http2Peer(behaviour, context=self._context))
        transport = CurlTransport()
        self._opened.callback(transport.close)
        provider = built(table_at(self._table, peer.url), Channel.PUSH, 5, transport, Outbox())
        return peer, ProviderSetup(provider, Channel.PUSH, list, TO)


def code_of(row: AnswerRow) -> str:
    """``apns_<reason>``, unless the row says otherwise."""
    return row.code or f"apns_{json.loads(row.body)['reason']}"
