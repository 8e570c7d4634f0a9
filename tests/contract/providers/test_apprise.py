"""``type = "apprise"`` keeps the contract of every provider, before real servers of Apprise's generic services."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest

from tests import peers
from tests.contract.provider_contract import (
    TO,
    Outbox,
    Peer,
    ProviderContract,
    ProviderSetup,
    built,
    http_scripts,
)
from tests.peers import HttpPeer
from wavecom.core.job import Outcome, Scope
from wavecom.core.lanes import Channel
from wavecom.providers.transport.curl import CurlTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
# Apprise imports imghdr, which Python 3.11 and 3.12 call deprecated.
pytestmark = [pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")]


def table(*urls: str) -> str:
    return f'type = "apprise"\nurls = {json.dumps(urls)}'


def url_at(port: int, rest: str = "send", scheme: str = "json") -> str:
    """Of a generic service of Apprise on a port of this machine, with a secret in it."""
    separator = "&" if "?" in rest else "?"
    return f"{scheme}://user:s3cret@127.0.0.1:{port}/{rest}{separator}+Idempotency-Key={{delivery_key}}"


class TestAppriseProvider(ProviderContract):
    scheme: ClassVar[str] = "json"
    names_messages = False
    tells_how_long = False
    #: Apprise tells nothing of an answer, so whatever is not accepted may have been sent.
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "refuses it": Outcome.UNKNOWN,
        "is overloaded": Outcome.UNKNOWN,
        "nobody": Outcome.UNKNOWN,
        "refuses us": Outcome.UNKNOWN,
        "takes it and says no more": Outcome.UNKNOWN,
        "is overloaded and breaks off": Outcome.UNKNOWN,
        "refuses it with nonsense": Outcome.UNKNOWN,
    }

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.PUSH

    def open_peer(self, behaviour: str, channel: Channel, outbox: Outbox, opened: ExitStack) -> Peer:
        if behaviour == "nobody":
            return Peer(table(url_at(peers.free_port(), scheme=self.scheme)), list, TO[channel])
        peer = opened.enter_context(HttpPeer(http_scripts(b"{}")[behaviour]))
        return Peer(
            table(url_at(peer.port, scheme=self.scheme)),
            lambda: [each.headers["idempotency-key"] for each in peer.requests],
            TO[channel],
        )


class TestAppriseForms(TestAppriseProvider):
    scheme = "form"


@pytest.fixture
def transport() -> Iterator[CurlTransport]:
    made = CurlTransport()
    yield made
    made.close()


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with HttpPeer(peers.reply(200)) as opened:
        yield opened


def setup_of(transport: CurlTransport, channel: Channel, *urls: str, timeout_seconds: float = 10) -> ProviderSetup:
    provider = built(table(*urls), channel, timeout_seconds, transport, Outbox())
    return ProviderSetup(provider, channel, list, TO[channel])


@pytest.mark.parametrize(
    ("channel", "path"),
    [
        (Channel.EMAIL, "/to/ada%40example.org"),
        (Channel.SMS, "/to/%2B12025550143"),
        (Channel.PUSH, f"/to/{'Ada' * 40}"),
    ],
)
def test_the_recipient_stands_where_the_address_has_it(
    transport: CurlTransport, peer: HttpPeer, channel: Channel, path: str
) -> None:
    setup = setup_of(transport, channel, url_at(peer.port, "?-to={recipient}"))

    answer = setup.provider.send(setup.message())

    assert answer.outcome is Outcome.ACCEPTED
    [received] = peer.requests
    assert received.line.split()[1] == "/?" + path.removeprefix("/").replace("/", "=")


def test_a_recipient_can_add_nothing_to_the_address(transport: CurlTransport, peer: HttpPeer) -> None:
    setup = setup_of(transport, Channel.PUSH, url_at(peer.port, "?-to={recipient}"))
    token = "a/../b?retry=3&-admin=1#@evil.example:1"

    setup.provider.send(setup.message(to={"platform": "fcm", "token": token}))

    [received] = peer.requests
    assert parse_qs(received.line.split()[1].partition("?")[2]) == {"to": [token]}


@pytest.mark.parametrize(
    ("channel", "payload", "title", "text"),
    [
        (Channel.EMAIL, {"subject": "Grüße", "text": "Ihr Code", "html": "<b>Ihr Code</b>"}, "Grüße", "Ihr Code"),
        (Channel.EMAIL, {"subject": "Grüße", "html": "<b>Ihr Code</b>"}, "Grüße", "<b>Ihr Code</b>"),
        (Channel.SMS, {"text": "Ihr Code"}, "", "Ihr Code"),
        (Channel.PUSH, {"title": "Grüße", "body": "Ihr Code"}, "Grüße", "Ihr Code"),
        (Channel.PUSH, {"body": "Ihr Code"}, "", "Ihr Code"),
    ],
)
def test_title_and_text_arrive(
    transport: CurlTransport, peer: HttpPeer, channel: Channel, payload: dict[str, Any], title: str, text: str
) -> None:
    setup = setup_of(transport, channel, url_at(peer.port))

    setup.provider.send(setup.message(payload=payload))

    content = json.loads(peer.requests[0].body)
    assert (content["title"], content["message"].strip()) == (title, text)


@pytest.mark.parametrize(
    ("channel", "payload", "field"),
    [
        (Channel.EMAIL, {"subject": "S", "text": "T", "attachments": [{"filename": "a.pdf"}]}, "payload.attachments"),
        (Channel.EMAIL, {"subject": "S", "text": "T", "headers": {"List-Unsubscribe": "<x>"}}, "payload.headers"),
        (Channel.EMAIL, {"subject": "S", "text": "T", "from": {"email": "a@b.example"}}, "payload.from"),
        (Channel.SMS, {"text": "T", "senderId": "Bank"}, "payload.senderId"),
        (Channel.PUSH, {"title": "T", "data": {"order": "1"}}, "payload.data"),
        (Channel.PUSH, {}, "payload"),
    ],
)
def test_a_message_of_which_something_would_be_lost_goes_to_the_next_provider(
    transport: CurlTransport, peer: HttpPeer, channel: Channel, payload: dict[str, Any], field: str
) -> None:
    setup = setup_of(transport, channel, url_at(peer.port))

    answer = setup.provider.send(setup.message(payload=payload))

    assert (answer.outcome, answer.scope, answer.is_final_here) == (Outcome.UNAVAILABLE, Scope.MESSAGE, True)
    assert answer.message.startswith(f"{field}: ")
    assert peer.requests == []


def test_the_sender_of_a_route_is_for_other_providers(transport: CurlTransport, peer: HttpPeer) -> None:
    setup = setup_of(transport, Channel.SMS, url_at(peer.port))

    answer = setup.provider.send(setup.message(payload={"text": "T", "senderId": "Bank"}, has_route_sender=True))

    assert answer.outcome is Outcome.ACCEPTED


def test_without_the_recipient_that_the_address_needs_nobody_is_called(
    transport: CurlTransport, peer: HttpPeer
) -> None:
    setup = setup_of(transport, Channel.PUSH, url_at(peer.port, "?-to={recipient}"))

    answer = setup.provider.send(setup.message(to={"platform": "webpush", "subscription": {}}))

    assert (answer.outcome, answer.is_final_here) == (Outcome.UNAVAILABLE, True)
    assert peer.requests == []


@pytest.mark.parametrize(
    ("channel", "url", "to"),
    [
        # Apprise reads a name and an address: mail would go to hara@example.org.
        (Channel.EMAIL, "mailtos://u:p@gmail.com?to={recipient}", {"email": "o'hara@example.org"}),
        (Channel.EMAIL, "sendgrid://apikey12345:from@example.com/{recipient}", {"email": "o'hara@example.org"}),
        (
            Channel.EMAIL,
            "mailgun://user@example.com/apikey12345678901234567890/{recipient}",
            {"email": "o'h@example.org"},
        ),
        # Apprise takes no number of less than ten digits: a text would go to the sender.
        (Channel.SMS, f"twilio://AC{'a' * 32}:{'b' * 32}@+12025550100/{{recipient}}", {"phone": "+376312345"}),
        (Channel.SMS, "vonage://abcd1234:secretsecretsecret@+12025550100/{recipient}", {"phone": "+376312345"}),
        # Here nobody would be called.
        (Channel.SMS, "clicksend://u:k@{recipient}", {"phone": "+376312345"}),
        (Channel.SMS, "sns://AKIAIOSFODNN7EXAMPLE/wJalrXUtnFEMIK7MDENG/us-east-2/{recipient}", {"phone": "+376312345"}),
    ],
)
def test_a_recipient_whom_apprise_reads_as_another_or_as_none_goes_to_the_next_provider(
    transport: CurlTransport, channel: Channel, url: str, to: dict[str, str]
) -> None:
    source = f'{table(url)}\nchannels = ["{channel}"]'
    setup = ProviderSetup(built(source, channel, 1, transport, Outbox()), channel, list, to)

    answer = setup.provider.send(setup.message())

    assert (answer.outcome, answer.code, answer.is_final_here) == (Outcome.UNAVAILABLE, "unsendable", True)
    assert answer.message == f"to.{next(iter(to))}: is no recipient for this service of Apprise"


def test_a_message_that_some_addresses_took_is_unknown(transport: CurlTransport, peer: HttpPeer) -> None:
    with HttpPeer(peers.reply(500)) as refusing:
        setup = setup_of(transport, Channel.SMS, url_at(refusing.port), url_at(peer.port))

        answer = setup.provider.send(setup.message())

    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "apprise_partial")
    assert answer.message.startswith("1 of 2 addresses took it")
    assert [len(each.requests) for each in (refusing, peer)] == [1, 1]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(transport: CurlTransport, peer: HttpPeer, status: int) -> None:
    with HttpPeer(peers.reply(status, headers={"Location": peer.url})) as redirecting:
        setup = setup_of(transport, Channel.SMS, url_at(redirecting.port))

        answer = setup.provider.send(setup.message())

    assert answer.outcome is Outcome.UNKNOWN
    assert peer.requests == []


def test_no_address_is_called_once_the_time_is_up(transport: CurlTransport, peer: HttpPeer) -> None:
    gone_on = threading.Event()

    def wait(connection: peers.PeerConnection) -> bool:
        gone_on.wait(20)
        return peers.reply(200)(connection)

    with HttpPeer(wait) as slow:
        setup = setup_of(transport, Channel.SMS, url_at(slow.port), url_at(peer.port), timeout_seconds=0.3)

        answer = setup.provider.send(setup.message())
        gone_on.set()
        slow.closed_one.wait(20)

    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "timeout")
    assert peer.requests == []


def test_calls_that_do_not_end_leave_a_limited_number_of_threads(transport: CurlTransport) -> None:
    with HttpPeer(peers.be_silent) as silent:
        source = f"{table(url_at(silent.port))}\nmax_concurrency = 1"
        provider = built(source, Channel.SMS, 0.1, transport, Outbox())
        setup = ProviderSetup(provider, Channel.SMS, list, TO[Channel.SMS])

        answers = [provider.send(setup.message(number)) for number in range(3)]

    assert [each.outcome for each in answers] == [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.UNAVAILABLE]
    assert (answers[2].code, answers[2].scope) == ("not_begun", Scope.WORKER)


class Lines(logging.Handler):
    """Keeps what reaches the root logger, which is what WaveCom writes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("behaviour", [peers.reply(200), peers.reply(403), peers.hang_up])
def test_nothing_of_a_url_or_message_is_logged(
    transport: CurlTransport, lines: Lines, behaviour: peers.Behaviour
) -> None:
    with HttpPeer(behaviour) as answering:
        setup = setup_of(transport, Channel.SMS, url_at(answering.port, "services/T0KEN"))

        setup.provider.send(setup.message())
        # A name that no test of this process has given a level of its own.
        logging.getLogger("another_library").info("another library's line")

    assert lines.texts == ["another library's line"]
