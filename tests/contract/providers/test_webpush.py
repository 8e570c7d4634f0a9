"""``type = "webpush"`` keeps the contract of every provider, before a push service with TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import http_ece
import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pywebpush import Vapid

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract, Outbox, ProviderSetup, Way, built
from tests.contract.push_services import P256_KEY, key_file
from tests.peers import HttpPeer, Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.providers.tokens.jwt import base64url, from_base64url
from wavecom.providers.transport import HttpTransport
from wavecom.providers.webpush import topic_of

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED, REJECTED, UNAVAILABLE, UNKNOWN = Outcome
BROWSER_KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = bytes(range(16))
TOPICS = {topic_of(f"job-{number}"): f"job-{number}" for number in range(2_000)}


def subscription(url: str) -> Mapping[str, object]:
    public = BROWSER_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": base64url(public), "auth": base64url(SECRET)}
    return {"platform": "webpush", "subscription": {"endpoint": url, "keys": keys}}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestWebpushProvider(HttpProviderContract, AnswerContract):
    accepted_body = b'{"id": "not looked at"}'
    rows: ClassVar = (
        AnswerRow(201, b"", ACCEPTED),
        AnswerRow(400, b'{"code": 400, "errno": 110, "error": "Bad Request"}', REJECTED, scope=Scope.MESSAGE),
        AnswerRow(
            401,
            b'{"code": 401, "errno": 109, "error": "Unauthorized", "message": "VAPID public key mismatch"}',
            UNAVAILABLE,
        ),
        AnswerRow(
            403,
            b"the VAPID credentials in the authorization header do not correspond to the credentials used to create "
            b"the subscriptions.\n",
            REJECTED,
            scope=Scope.RECIPIENT,
        ),
        AnswerRow(404, b'{"code": 404, "errno": 102}', REJECTED, reason=Reason.RECIPIENT_GONE, scope=Scope.RECIPIENT),
        AnswerRow(
            410,
            b"push subscription has unsubscribed or expired.\n",
            REJECTED,
            reason=Reason.RECIPIENT_GONE,
            scope=Scope.RECIPIENT,
        ),
        AnswerRow(413, b'{"code": 413, "errno": 104}', REJECTED, scope=Scope.MESSAGE),
        AnswerRow(422, b"", REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, b"", UNAVAILABLE, headers={"Retry-After": "60"}, retry_after_seconds=60),
        AnswerRow(500, b'{"code": 500, "errno": 999}', UNAVAILABLE),
        AnswerRow(503, b'{"code": 503, "errno": 201}', UNAVAILABLE),
        AnswerRow(302, b"", REJECTED, scope=Scope.RECIPIENT, headers={"Location": "https://127.0.0.1:1/inside"}),
        AnswerRow(406, b"", UNAVAILABLE, scope=Scope.MESSAGE),
    )

    @pytest.fixture(autouse=True)
    def written_table(self, tmp_path: Path, authority: trustme.CA) -> None:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "push.test").configure_cert(self.context)
        self.table = (  # type: ignore[misc]
            f'type = "webpush"\nvapid_private_key_file = "{key_file(tmp_path)}"\n'
            f'vapid_subject = "mailto:ops@example.com"\nallowed_hosts = ["127.0.0.1"]\nca_file = "{tmp_path}/ca.pem"'
        )

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.PUSH

    def delivery_key(self, received: Received) -> str:
        return TOPICS[received.headers["topic"]]

    def scripts(self) -> Mapping[str, peers.Behaviour]:
        location = {"Location": "https://push.example/m/Zm9v"}
        more = {"Content-Length": "5000", **location}
        return {
            **super().scripts(),
            "takes it": peers.reply(201, b"", headers=location),
            "takes it and says no more": peers.begin(201, more, b"{"),
        }

    def recipient_at(self, url: str, channel: Channel) -> Mapping[str, object]:
        return subscription(url)

    def test_no_thread_waits_for_its_calls(self, provider_before: Any, transport: HttpTransport) -> None:
        setup = provider_before("takes it")
        # The first call to a host looks up its addresses, which takes a thread.
        assert not setup.provider.start(setup.message(), lambda _: None)
        setup.provider.send(setup.message())

        super().test_no_thread_waits_for_its_calls(lambda _: setup, transport)

    def test_a_browser_and_its_service_understand_what_is_sent(
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        payload = {"title": "Grüße", "data": {"order": "A-17"}, "ttlSeconds": 600, "clickUrl": "https://example.com/"}

        result = self.played(
            peers.reply(201, headers={"Location": "/m/4711"}), channel, any_transport, way, payload=payload
        )

        headers = self.peer.requests[-1].headers
        shown = http_ece.decrypt(
            self.peer.requests[-1].body, private_key=BROWSER_KEY, auth_secret=SECRET, version="aes128gcm"
        )
        token, _, key = headers["authorization"].removeprefix("vapid t=").partition(",k=")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_base64url(key))
        origin = self.peer.url.rpartition("/")[0]
        claims = jwt.decode(token, public, ["ES256"], audience=origin, options={"verify_exp": False})
        assert public == P256_KEY.public_key()
        assert result.message_id == "4711"
        assert json.loads(shown) == {
            "title": "Grüße",
            "data": {"order": "A-17"},
            "clickUrl": "https://example.com/",
        }
        assert claims["sub"] == "mailto:ops@example.com"
        assert (headers["ttl"], headers["urgency"]) == ("600", "high")
        assert headers["content-encoding"] == "aes128gcm"
        assert Vapid.verify(headers["authorization"])

    @pytest.mark.parametrize(
        ("host", "allowed"),
        [
            ("http://127.0.0.1", '["127.0.0.1"]'),
            ("https://127.0.0.1", '["push.example"]'),
            ("https://user@127.0.0.1", '["127.0.0.1"]'),
            ("https://localhost", '["127.0.0.1"]'),
            ("https://2130706433", '["2130706433"]'),
            ("https://10.0.0.7", '["10.0.0.7"]'),
            ("https://169.254.169.254", '["169.254.169.254"]'),
            ("https://[::ffff:10.0.0.7]", '["::ffff:10.0.0.7"]'),
        ],
    )
    def test_what_may_not_be_called_is_not_called(
        self, channel: Channel, any_transport: HttpTransport, way: Way, host: str, allowed: str
    ) -> None:
        table = self.table.replace('["127.0.0.1"]', allowed)
        with HttpPeer(peers.reply(201), context=self.context) as peer:
            provider = built(table, channel, 5, any_transport, Outbox())
            to = subscription(f"{host}:{peer.port}/s")

            result = way(provider, ProviderSetup(provider, channel, list, to).message())

            assert peer.connections == 0
        assert (result.outcome, result.code) == (REJECTED, "unsendable")
        assert "to.subscription.endpoint" in result.message
        assert str(peer.port) not in result.message

    def test_a_subscription_with_bad_keys_names_the_field(
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        provider = self.provider_at("", channel, any_transport)
        keys = {"p256dh": base64url(b"\x04" + bytes(64)), "auth": base64url(SECRET)}
        to = {"platform": "webpush", "subscription": {"endpoint": "https://127.0.0.1:9/s", "keys": keys}}

        result = way(provider, ProviderSetup(provider, channel, list, to).message())

        assert (result.outcome, result.message) == (REJECTED, "to.subscription.keys: are no keys of a browser")
