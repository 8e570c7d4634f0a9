"""``type = "fcm"`` keeps the contract of every provider, before a server that answers as FCM does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import ClassVar

import google.auth.transport.requests
import jwt
import pytest
from google.oauth2 import service_account as google_service_account

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import (
    TO,
    HttpProviderContract,
    Outbox,
    ProviderBefore,
    ProviderSetup,
    Way,
    built,
)
from tests.contract.push_services import RSA_KEY, assertion_in, service_account_file, token_server
from tests.peers import HttpPeer, Received
from wavecom.core.job import JobId, Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import AsyncProvider, Message, Provider
from wavecom.providers.account import AccountAspect
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.base import BaseProvider, UnsendableError
from wavecom.providers.push.fcm_message import fcm_message
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCEPTED, REJECTED, UNAVAILABLE, UNKNOWN = Outcome


def error(status: int, name: str, text: str, *details: object) -> bytes:
    """An error in Google's form."""
    content = {"code": status, "message": text, "status": name, **({"details": details} if details else {})}
    return json.dumps({"error": content}, indent=2).encode()


def fcm_error(code: str) -> object:
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


BAD_TOKEN = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.token", "description": "Invalid registration token"}],
}
BAD_DATA = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.data[0].value", "description": "Invalid value"}],
}
NOT_A_TOKEN = "The registration token is not a valid FCM registration token"


@pytest.fixture(scope="module")
def token_uri() -> Iterator[str]:
    with token_server() as peer:
        yield peer.url


class TestFcmProvider(HttpProviderContract, AnswerContract):
    accepted_body = b'{"name": "projects/bank-app/messages/0:1500415314455276%31bd1c9631bd1c96"}'
    rows: ClassVar = (
        AnswerRow(200, accepted_body, ACCEPTED),
        AnswerRow(
            400,
            error(400, "INVALID_ARGUMENT", NOT_A_TOKEN, fcm_error("INVALID_ARGUMENT")),
            REJECTED,
            "fcm_INVALID_TOKEN",
            Reason.RECIPIENT_INVALID,
            Scope.RECIPIENT,
        ),
        AnswerRow(
            400,
            error(400, "INVALID_ARGUMENT", "invalid argument", fcm_error("INVALID_ARGUMENT"), BAD_TOKEN),
            REJECTED,
            "fcm_INVALID_TOKEN",
            Reason.RECIPIENT_INVALID,
            Scope.RECIPIENT,
        ),
        AnswerRow(
            400,
            error(400, "INVALID_ARGUMENT", "Invalid value", BAD_DATA, fcm_error("INVALID_ARGUMENT")),
            REJECTED,
            "fcm_INVALID_ARGUMENT",
            scope=Scope.MESSAGE,
        ),
        AnswerRow(400, error(400, "INVALID_ARGUMENT", "Invalid JSON payload"), REJECTED, scope=Scope.MESSAGE),
        AnswerRow(
            404,
            error(404, "NOT_FOUND", "Requested entity was not found.", fcm_error("UNREGISTERED")),
            REJECTED,
            "fcm_UNREGISTERED",
            Reason.RECIPIENT_GONE,
            Scope.RECIPIENT,
        ),
        AnswerRow(
            404,
            error(404, "NOT_FOUND", "Project not found or deleted"),
            UNAVAILABLE,
            reason=Reason.CREDENTIALS,
            scope=Scope.PROVIDER,
        ),
        AnswerRow(
            403,
            error(403, "PERMISSION_DENIED", "SenderId mismatch", fcm_error("SENDER_ID_MISMATCH")),
            REJECTED,
            "fcm_SENDER_ID_MISMATCH",
            scope=Scope.RECIPIENT,
        ),
        AnswerRow(
            403,
            error(403, "PERMISSION_DENIED", "Permission 'cloudmessaging.messages.create' denied"),
            UNAVAILABLE,
            reason=Reason.CREDENTIALS,
            scope=Scope.PROVIDER,
        ),
        AnswerRow(
            401,
            error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
            UNAVAILABLE,
            reason=Reason.CREDENTIALS,
            scope=Scope.PROVIDER,
        ),
        AnswerRow(
            401,
            error(401, "UNAUTHENTICATED", "Auth error from APNS", fcm_error("THIRD_PARTY_AUTH_ERROR")),
            UNAVAILABLE,
            "fcm_THIRD_PARTY_AUTH_ERROR",
            scope=Scope.MESSAGE,
        ),
        AnswerRow(
            429,
            error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", fcm_error("QUOTA_EXCEEDED")),
            UNAVAILABLE,
            "fcm_QUOTA_EXCEEDED",
            headers={"Retry-After": "30"},
            retry_after_seconds=30,
        ),
        AnswerRow(429, b"", UNAVAILABLE, headers={"Retry-After": "9"}, retry_after_seconds=9),
        AnswerRow(500, error(500, "INTERNAL", "Internal error", fcm_error("INTERNAL")), UNAVAILABLE, "fcm_INTERNAL"),
        AnswerRow(500, b"", UNAVAILABLE),
        AnswerRow(
            503,
            error(503, "UNAVAILABLE", "The service is currently unavailable.", fcm_error("UNAVAILABLE")),
            UNAVAILABLE,
            "fcm_UNAVAILABLE",
            headers={"Retry-After": "12"},
            retry_after_seconds=12,
        ),
        AnswerRow(503, b"", UNAVAILABLE),
        AnswerRow(413, b"", REJECTED, scope=Scope.MESSAGE),
        AnswerRow(422, b"", REJECTED, scope=Scope.MESSAGE),
    )

    @pytest.fixture(autouse=True)
    def written_table(self, tmp_path: Path, token_uri: str) -> None:
        file = service_account_file(tmp_path, token_uri)
        self.table = f'type = "fcm"\nservice_account_file = "{file}"\nbase_url = "{{base_url}}"'  # type: ignore[misc]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.PUSH

    def delivery_key(self, received: Received) -> str:
        return str(json.loads(received.body)["message"]["android"]["notification"]["tag"])

    def test_no_thread_waits_for_its_calls(self, provider_before: ProviderBefore, transport: HttpTransport) -> None:
        setup = provider_before("takes it")
        results: SimpleQueue[ProviderResult | Exception] = SimpleQueue()
        assert isinstance(setup.provider, AsyncProvider)

        # The first call waits for its token, which takes a thread.
        assert not setup.provider.start(setup.message(), results.put)
        assert setup.taken() == []
        setup.provider.send(setup.message())

        assert setup.provider.start(setup.message(), results.put)
        assert isinstance(results.get(timeout=30), ProviderResult)

    def test_too_many_requests_moves_the_message_on(  # type: ignore[override]
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        # https://firebase.google.com/docs/cloud-messaging/scale-fcm: a minute where FCM doesn't say how long.
        result = self.played(peers.reply(429), channel, any_transport, way)

        assert (result.outcome, result.retry_after_seconds) == (UNAVAILABLE, 60)


class TestTokens:
    """The access token: got once, by Google's rules, kept for all calls, replaced when it is refused."""

    @pytest.fixture
    def opened(self) -> Iterator[ExitStack]:
        with ExitStack() as stack:
            yield stack

    def provider(
        self, opened: ExitStack, folder: Path, fcm: HttpPeer, token_uri: str, transport: HttpTransport | None = None
    ) -> Provider:
        file = service_account_file(folder, token_uri)
        table = f'type = "fcm"\nservice_account_file = "{file}"\nbase_url = "http://127.0.0.1:{fcm.port}"'
        made = transport or CurlTransport()
        opened.callback(made.close)
        provider = built(table, Channel.PUSH, 5, made, Outbox())
        opened.callback(provider.close)
        return provider

    def sent(self, provider: Provider, **changes: object) -> ProviderResult:
        return provider.send(ProviderSetup(provider, Channel.PUSH, list, TO[Channel.PUSH]).message(**changes))

    def test_the_assertion_is_one_that_google_takes_and_the_token_goes_with_each_call(
        self, opened: ExitStack, tmp_path: Path
    ) -> None:
        google = opened.enter_context(token_server())
        fcm = opened.enter_context(HttpPeer(peers.reply(200, b'{"name": "m"}')))
        provider = self.provider(opened, tmp_path, fcm, google.url)

        for _ in range(3):
            assert self.sent(provider).outcome is ACCEPTED

        [asked] = google.requests
        assertion = assertion_in(asked.body)
        claims = jwt.decode(
            assertion, RSA_KEY.public_key(), ["RS256"], audience=google.url, options={"verify_exp": False}
        )
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["iss"] == "wavecom@bank-app.iam.gserviceaccount.com"
        assert claims["exp"] - claims["iat"] == 3600
        assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
        assert {each.headers["authorization"] for each in fcm.requests} == {"Bearer token-1"}
        assert fcm.requests[0].line == "POST /v1/projects/bank-app/messages:send HTTP/1.1"

    def test_googles_own_library_signs_the_same_claims(self, tmp_path: Path, opened: ExitStack) -> None:
        google_peer = opened.enter_context(token_server())
        file = service_account_file(tmp_path, google_peer.url)
        fcm = opened.enter_context(HttpPeer(peers.reply(200, b"{}")))
        self.sent(self.provider(opened, tmp_path, fcm, google_peer.url))
        credentials = google_service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
            str(file), scopes=["https://www.googleapis.com/auth/firebase.messaging"]
        )

        credentials.refresh(google.auth.transport.requests.Request())

        ours, theirs = (
            jwt.decode(assertion_in(each.body), options={"verify_signature": False}) for each in google_peer.requests
        )
        assert theirs.keys() == ours.keys()
        assert {name: ours[name] for name in ("iss", "scope")} == {name: theirs[name] for name in ("iss", "scope")}

    def test_a_refused_token_is_replaced_once_and_then_it_is_our_credentials(
        self, opened: ExitStack, tmp_path: Path
    ) -> None:
        google_peer = opened.enter_context(token_server())
        refusal = peers.reply(401, error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."))
        fcm = opened.enter_context(HttpPeer(peers.reply(200, b"{}"), refusal))
        provider = self.provider(opened, tmp_path, fcm, google_peer.url)

        assert self.sent(provider).outcome is ACCEPTED
        # The token is seconds old: what is wrong is not its age.
        result = self.sent(provider)

        assert (result.outcome, result.reason, result.scope) == (UNAVAILABLE, Reason.CREDENTIALS, Scope.PROVIDER)
        assert len(google_peer.requests) == 1

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (peers.reply(400, b'{"error": "invalid_grant", "error_description": "s3cret"}'), Reason.CREDENTIALS),
            (peers.reply(401, b"s3cret"), Reason.CREDENTIALS),
            (peers.reply(503, b"s3cret"), None),
            (peers.reply(200, b"[]"), None),
            (peers.reply(200, b'{"access_token": "", "expires_in": 3599}'), None),
            (peers.hang_up, None),
        ],
    )
    def test_without_a_token_nothing_is_sent_and_the_next_provider_is_asked(
        self, opened: ExitStack, tmp_path: Path, answer: peers.Behaviour, reason: Reason | None
    ) -> None:
        google_peer = opened.enter_context(token_server(answer))
        fcm = opened.enter_context(HttpPeer(peers.reply(200, b"{}")))
        provider = self.provider(opened, tmp_path, fcm, google_peer.url)

        result = self.sent(provider)

        assert (result.outcome, result.code, result.reason) == (UNAVAILABLE, "fcm_token", reason)
        assert result.scope is Scope.PROVIDER
        assert "s3cret" not in result.message
        assert fcm.requests == []

    def test_the_account_check_asks_without_sending(self, opened: ExitStack, tmp_path: Path) -> None:
        google_peer = opened.enter_context(token_server())
        denied = peers.reply(403, error(403, "PERMISSION_DENIED", "Permission denied"))
        fcm = opened.enter_context(HttpPeer(peers.reply(200, b'{"name": "fake"}'), denied))
        provider = self.provider(opened, tmp_path, fcm, google_peer.url)
        assert isinstance(provider, BaseProvider)
        client = HttpAccountClient()
        opened.callback(client.close)

        [good], [bad] = provider.check_account(client), provider.check_account(client)

        assert (good.aspect, good.is_good) == (AccountAspect.CREDENTIALS, True)
        assert (bad.aspect, bad.is_good) == (AccountAspect.CREDENTIALS, False)
        assert all(json.loads(each.body)["validate_only"] is True for each in fcm.requests)


class TestMessage:
    """Each field of our payload is in the message, in FCM's words."""

    def message(self, payload: dict[str, object], **changes: object) -> dict[str, object]:
        message = Message(
            job_id=JobId("job-1"),
            delivery_key="job-1",
            type=Channel.PUSH,
            to={"platform": "fcm", "token": "t-1"},
            payload=payload,
            metadata={},
            attempt=1,
        )
        found = fcm_message(replace(message, **changes), NOW)  # type: ignore[arg-type]
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]

    def test_what_is_shown(self) -> None:
        payload = {
            "title": "Order",
            "body": "is on its way",
            "data": {"order": "A-17"},
            "badge": 3,
            "sound": "ding",
            "ttlSeconds": 600,
            "collapseKey": "order-A-17",
            "imageUrl": "https://example.com/a.png",
            "clickUrl": "https://example.com/orders/1",
        }

        assert self.message(payload) == {
            "token": "t-1",
            "notification": {"title": "Order", "body": "is on its way", "image": "https://example.com/a.png"},
            "data": {"order": "A-17", "clickUrl": "https://example.com/orders/1"},
            "android": {
                "priority": "HIGH",
                "ttl": "600s",
                "collapse_key": "order-A-17",
                "notification": {"tag": "order-A-17", "sound": "ding", "notification_count": 3},
            },
            "apns": {
                "headers": {
                    "apns-priority": "10",
                    "apns-collapse-id": "order-A-17",
                    "apns-expiration": str(int(NOW.timestamp()) + 600),
                },
                "payload": {"aps": {"badge": 3, "sound": "ding", "mutable-content": 1}},
                "fcm_options": {"image": "https://example.com/a.png"},
            },
            "webpush": {
                "headers": {"TTL": "600", "Urgency": "high"},
                "notification": {"tag": "order-A-17"},
                "fcm_options": {"link": "https://example.com/orders/1"},
            },
        }

    def test_what_is_silent_wakes_the_app_and_shows_nothing(self) -> None:
        found = self.message({"data": {"sync": "now"}, "badge": 0, "sound": "ding", "clickUrl": "myapp://a"})

        assert "notification" not in found
        assert found["data"] == {"sync": "now", "badge": "0", "sound": "ding", "clickUrl": "myapp://a"}
        assert found["android"] == {"priority": "NORMAL"}
        assert found["apns"]["payload"]["aps"]["content-available"] == 1  # type: ignore[index]
        assert found["webpush"] == {"headers": {"Urgency": "normal"}}

    def test_a_name_that_is_used_twice_is_refused_with_its_name(self) -> None:
        with pytest.raises(UnsendableError, match=r"payload\.data\.clickUrl"):
            self.message({"title": "a", "data": {"clickUrl": "x"}, "clickUrl": "https://example.com/"})

    def test_another_platform_is_for_another_provider(self) -> None:
        with pytest.raises(UnsendableError, match=r"to\.platform") as caught:
            self.message({"title": "a"}, to={"platform": "apns", "token": "ab"})

        assert caught.value.is_final_here
