"""Every provider keeps one contract: an answer for whatever its peer does, in time, from any thread, and never a raise.

Each provider stands before a real peer of its own; the sandbox, which has none, before its magic recipients.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import pytest

from tests import peers
from tests.peers import HttpPeer, SmtpPeer
from wavecom.core.job import Channel, JobId, Outcome, ProviderResult
from wavecom.core.ports import AsyncProvider, Message, Provider
from wavecom.errors import StoreError
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers
from wavecom.providers.file import parse_providers
from wavecom.providers.registry import CLASSES
from wavecom.providers.sandbox import MAGIC_RECIPIENTS
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

#: What a peer can be made to do. "nobody" is no peer at all.
BEHAVIOURS: Mapping[str, Outcome] = {
    "takes it": Outcome.ACCEPTED,
    "refuses it": Outcome.REJECTED,
    "is overloaded": Outcome.UNAVAILABLE,
    "nobody": Outcome.UNAVAILABLE,
    "refuses us": Outcome.UNAVAILABLE,
    "takes it and is silent": Outcome.UNKNOWN,
    "takes it and drips": Outcome.UNKNOWN,
    "takes it and hangs up": Outcome.UNKNOWN,
    "takes it and says no more": Outcome.ACCEPTED,
    "is overloaded and breaks off": Outcome.UNAVAILABLE,
    "refuses it with nonsense": Outcome.REJECTED,
}


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Outbox:
    """Keeps the delivery keys that were delivered; away while ``is_away``."""

    is_away: bool = False
    keys: list[str] = field(default_factory=list)

    def append(self, entry: Mapping[str, Any]) -> None:
        if self.is_away:
            raise StoreError("away")
        self.keys.append(entry["deliveryKey"])


@dataclass
class Stage:
    """One provider before its peer."""

    provider: Provider
    channel: Channel
    #: Delivery keys that the other side has taken.
    taken: Callable[[], list[str]]
    #: A recipient that brings the behaviour, where the recipient decides.
    to: Mapping[str, object]

    def message(self, number: int = 1, **changes: Any) -> Message:
        payloads: dict[Channel, dict[str, Any]] = {
            Channel.EMAIL: {"subject": "Grüße", "text": "Ihr Code: 123456", "html": "<b>123456</b>"},
            Channel.SMS: {"text": "Ihr Code: 123456"},
            Channel.PUSH: {"title": "Grüße", "body": "Ihr Code: 123456"},
        }
        fields: dict[str, Any] = {
            "job_id": JobId(f"job-{number}"),
            "delivery_key": f"job-{number}",
            "type": self.channel,
            "to": self.to,
            "payload": payloads[self.channel],
            "metadata": {"order": "A-17"},
            "attempt": 1,
        }
        return Message(**(fields | changes))


PRIVATE = ("s3cret", "ada@", "Ada", "5550143", "Ihr Code")

HTTP_SCRIPTS: Mapping[str, peers.Behaviour] = {
    "takes it": peers.reply(202, b'{"id": "m-1"}'),
    "refuses it": peers.reply(422, b'{"error": "ada@example.org +12025550143 s3cret"}'),
    "is overloaded": peers.reply(503, b"ada@example.org", headers={"Retry-After": "7"}),
    "takes it and is silent": peers.be_silent,
    "takes it and drips": peers.drip(peers.head(200, {"X-Long": "x" * 5000})),
    "takes it and hangs up": peers.hang_up,
    "refuses us": peers.reply(401, b"s3cret"),
    "takes it and says no more": peers.begin(200, {"Content-Length": "5000"}, b'{"id": "m-1"'),
    "is overloaded and breaks off": peers.send(peers.head(503, {"Content-Length": "5000", "Retry-After": "7"}) + b"a"),
    "refuses it with nonsense": peers.send(
        peers.head(422, {"Retry-After": "Fri, 01 Jan 99999999999 00:00:00 GMT", "X-Odd": "\x01"})
    ),
}
SMTP_SCRIPTS: Mapping[str, dict[str, peers.Reply]] = {
    "takes it": {},
    "refuses it": {"RCPT": b"550 5.1.1 <ada@example.org> unknown"},
    "is overloaded": {"RCPT": b"451 4.3.0 ada@example.org: not now"},
    "takes it and is silent": {"content": peers.be_silent},
    "takes it and drips": {"content": peers.drip(b"250-x\r\n" * 1000)},
    "takes it and hangs up": {"content": peers.hang_up},
    "refuses us": {"MAIL": b"530 5.7.0 s3cret: authentication required"},
    # A mail server's reply is its first line: there is no more of it to say or to break off.
    "takes it and says no more": {},
    "is overloaded and breaks off": {"RCPT": peers.send(b"451 4.3.0 not now\r\n")},
    "refuses it with nonsense": {"RCPT": b"550 5.1.1 \xff\xfe\x01"},
}
SANDBOX_NAMES: Mapping[str, str] = {
    "takes it": "accepted",
    "refuses it": "rejected",
    "is overloaded": "throttled",
    "takes it and is silent": "timeout",
    "takes it and drips": "timeout",
    "takes it and hangs up": "timeout",
    "refuses us": "unavailable",
    "takes it and says no more": "accepted",
    "is overloaded and breaks off": "throttled",
    "refuses it with nonsense": "rejected",
}

Raise = Callable[[str], Stage]


def built(table: str, timeout_seconds: float, transport: HttpTransport, outbox: Outbox) -> Provider:
    """From the providers file, as in life."""
    source = f"""
        [providers.it]
        timeout_seconds = {timeout_seconds}
        {table}
        [providers.box]
        type = "sandbox"
        [routes]
        email = ["it"]
        sms = ["box"]
        push = ["box"]
    """
    config = parse_providers(source, {"SECRET": "s3cret"})
    dependencies = ProviderDependencies(transport=transport, outbox=outbox, clock=Clock(), sleep=lambda _: None)
    return build_providers(config, dependencies)["it"]


def sent(provider: Provider, message: Message) -> ProviderResult:
    return provider.send(message)


def started(provider: Provider, message: Message) -> ProviderResult:
    """By ``start`` where a provider has it, as a worker does: what that leaves to ``send`` goes there."""
    answers: SimpleQueue[ProviderResult | Exception] = SimpleQueue()
    if not isinstance(provider, AsyncProvider) or not provider.start(message, answers.put):
        return provider.send(message)
    answer = answers.get(timeout=60)
    assert isinstance(answer, ProviderResult)
    return answer


Door = Callable[[Provider, Message], ProviderResult]


@pytest.fixture(params=[sent, started])
def door(request: pytest.FixtureRequest) -> Door:
    """Both ways to call a provider; a worker uses either."""
    chosen: Door = request.param
    return chosen


@pytest.fixture(
    params=[
        ("http", CurlTransport, Channel.EMAIL),
        ("http", RequestsTransport, Channel.SMS),
        ("smtp", CurlTransport, Channel.EMAIL),
        ("sandbox", CurlTransport, Channel.EMAIL),
        ("sandbox", CurlTransport, Channel.SMS),
    ],
    ids=lambda param: f"{param[0]}-{param[1].__name__}-{param[2]}",
)
def raise_curtain(request: pytest.FixtureRequest) -> Iterator[Raise]:
    """Puts a provider before a peer that behaves as told; both are closed after the test."""
    kind, transport_class, channel = request.param
    transport: HttpTransport = transport_class()
    outbox = Outbox()
    running: list[peers.Peer] = []
    providers: list[Provider] = []

    def opened(peer: Any) -> Any:
        running.append(peer.__enter__())
        return peer

    def make(behaviour: str) -> Stage:
        usual = {
            Channel.EMAIL: {"email": "ada@example.org", "name": "Ada"},
            Channel.SMS: {"phone": "+12025550143"},
        }
        to: Mapping[str, object] = usual[channel]
        port = peers.free_port()
        taken: Callable[[], list[str]] = lambda: outbox.keys  # noqa: E731
        if kind == "http":
            if behaviour != "nobody":
                peer = opened(HttpPeer(HTTP_SCRIPTS[behaviour]))
                port = peer.port
                taken = lambda: [each.headers["idempotency-key"] for each in peer.requests]  # noqa: E731
            table = f'type = "http"\nurl = "http://127.0.0.1:{port}/s"\nheaders = {{ Authorization = "$SECRET" }}'
        elif kind == "smtp":
            if behaviour != "nobody":
                mail_peer = opened(SmtpPeer(**SMTP_SCRIPTS[behaviour]))
                port = mail_peer.port
                taken = lambda: [_message_key(mail) for mail in mail_peer.mails]  # noqa: E731
            table = f'type = "smtp"\nhost = "127.0.0.1"\nport = {port}\nsender = "bank@example.org"\nhelo_name = "us"\n'
            table += "final_reply_seconds = 1.5"
        else:
            table = 'type = "sandbox"'
            outbox.is_away = behaviour == "nobody"
            name = SANDBOX_NAMES.get(behaviour)
            if name and name != "accepted":
                number = list(MAGIC_RECIPIENTS).index(name)
                to = {"email": f"{name}@sandbox.wavecom.test", "phone": f"+120255501{number:02}"}
        # Short only where it is waited for.
        timeout_seconds = 1.5 if behaviour.startswith("takes it and") else 10
        providers.append(built(table, timeout_seconds, transport, outbox))
        return Stage(providers[-1], channel, taken, to)

    yield make
    for provider in providers:
        provider.close()
    transport.close()
    for each in running:
        each.__exit__(None, None, None)


def _message_key(mail: bytes) -> str:
    head = mail.partition(b"\r\n\r\n")[0].decode()
    return next(line for line in head.split("\r\n") if line.startswith("Message-ID:")).split("<")[1].split("@")[0]


def test_every_provider_is_held_to_this_contract() -> None:
    assert set(CLASSES) == {"http", "smtp", "sandbox"}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("stops_on_unknown", [False, True])
def test_whatever_the_peer_does_there_is_an_answer(
    raise_curtain: Raise, door: Door, behaviour: str, stops_on_unknown: bool
) -> None:
    stage = raise_curtain(behaviour)

    answer = door(stage.provider, stage.message(stops_on_unknown=stops_on_unknown))

    assert answer.outcome is BEHAVIOURS[behaviour]
    assert answer.code.isascii()
    assert " " not in answer.code
    assert len(answer.code) <= 32


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_an_answer_holds_no_secret_no_recipient_and_no_content(
    raise_curtain: Raise, door: Door, behaviour: str
) -> None:
    stage = raise_curtain(behaviour)

    answer = door(stage.provider, stage.message())

    assert not [word for word in PRIVATE if word in f"{answer.code} {answer.message}"]
    assert not [word for word in PRIVATE if word in repr(stage.provider)]


def test_an_accepted_message_has_the_providers_name_for_it(raise_curtain: Raise, door: Door) -> None:
    stage = raise_curtain("takes it")

    answer = door(stage.provider, stage.message())

    assert answer.outcome is Outcome.ACCEPTED
    assert answer.message_id
    assert stage.taken() == ["job-1"]


def test_a_wish_to_wait_is_passed_on(raise_curtain: Raise, door: Door) -> None:
    stage = raise_curtain("is overloaded")

    answer = door(stage.provider, stage.message())

    # SMTP has no way to say how long.
    assert answer.retry_after_seconds in {7, 30, None}
    assert (answer.retry_after_seconds is None) is answer.code.startswith("smtp")


def test_the_key_of_a_message_is_the_same_at_every_attempt(raise_curtain: Raise, door: Door) -> None:
    stage = raise_curtain("takes it")

    for attempt in (1, 2):
        door(stage.provider, stage.message(attempt=attempt))

    assert stage.taken() == ["job-1", "job-1"]


def test_sixteen_threads_send_each_message_once(raise_curtain: Raise, door: Door) -> None:
    stage = raise_curtain("takes it")
    barrier = threading.Barrier(16)

    def work(thread: int) -> list[ProviderResult]:
        barrier.wait()
        return [door(stage.provider, stage.message(thread * 100 + number)) for number in range(10)]

    with ThreadPoolExecutor(16) as pool:
        answers = [answer for batch in pool.map(work, range(16)) for answer in batch]

    assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
    assert sorted(stage.taken()) == sorted(
        f"job-{thread * 100 + number}" for thread in range(16) for number in range(10)
    )


def test_closing_twice_is_allowed_before_and_after_use(raise_curtain: Raise) -> None:
    unused, used = raise_curtain("takes it"), raise_curtain("takes it")
    used.provider.send(used.message())

    for stage in (unused, used):
        stage.provider.close()
        stage.provider.close()


def test_what_a_provider_says_of_itself_is_what_the_worker_asks_for(raise_curtain: Raise) -> None:
    provider = raise_curtain("takes it").provider

    assert provider.name == "it"
    assert Channel.EMAIL in provider.channels
    assert provider.expects_receipts is False
    assert provider.is_idempotent in {True, False}
