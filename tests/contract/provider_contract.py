"""The contract of every provider, as a suite to derive from: docs/adding-a-provider.md shows how.

An answer for whatever the peer does, in time, from any thread, by either way to call a provider, and never a raise.
Each provider stands before a real peer of its own; the sandbox, which has none, before its magic recipients.
"""

from __future__ import annotations

import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import product
from queue import SimpleQueue
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import pytest
import trustme

from tests import peers
from tests.http2_peer import Http2Peer
from tests.peers import HttpPeer, Received
from wavecom.core.job import JobId, Outcome, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import AsyncProvider, Message, Provider
from wavecom.errors import StoreError
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers
from wavecom.providers.file import parse_providers
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport

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

PRIVATE = ("s3cret", "ada@", "Ada", "5550143", "Ihr Code")

TO: Mapping[Channel, Mapping[str, object]] = {
    Channel.EMAIL: {"email": "ada@example.org", "name": "Ada"},
    Channel.SMS: {"phone": "+12025550143"},
    Channel.PUSH: {"platform": "fcm", "token": "Ada" * 40},
}
PAYLOADS: Mapping[Channel, Mapping[str, object]] = {
    Channel.EMAIL: {"subject": "Grüße", "text": "Ihr Code: 123456", "html": "<b>123456</b>"},
    Channel.SMS: {"text": "Ihr Code: 123456"},
    Channel.PUSH: {"title": "Grüße", "body": "Ihr Code: 123456"},
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
class ProviderSetup:
    """A provider before its peer."""

    provider: Provider
    channel: Channel
    #: Delivery keys that the other side has taken.
    taken: Callable[[], list[str]]
    #: A recipient that brings the behaviour, where the recipient decides.
    to: Mapping[str, object]

    def message(self, number: int = 1, **changes: Any) -> Message:
        fields: dict[str, Any] = {
            "job_id": JobId(f"job-{number}"),
            "delivery_key": f"job-{number}",
            "type": self.channel,
            "to": self.to,
            "payload": PAYLOADS[self.channel],
            "metadata": {"order": "A-17"},
            "attempt": 1,
        }
        return Message(**(fields | changes))


@dataclass(frozen=True)
class Peer:
    """The other side of a provider, set up to behave in one way."""

    #: The provider's table in the providers file, without its name and ``timeout_seconds``; ``$SECRET`` is a secret.
    table: str
    #: Delivery keys that it has taken.
    taken: Callable[[], list[str]]
    #: A recipient that brings the behaviour.
    to: Mapping[str, object]


PeerT = TypeVar("PeerT", HttpPeer, Http2Peer)
ProviderBefore = Callable[[str], ProviderSetup]
Way = Callable[[Provider, Message], ProviderResult]


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


#: All ways to call a provider.
WAYS: Sequence[Way] = (sent, started)


class ProviderContract(ABC):
    """Derive from it, say how the peer is made to behave, and every test here runs for the provider."""

    @abstractmethod
    def open_peer(self, behaviour: str, channel: Channel, outbox: Outbox, opened: ExitStack) -> Peer:
        """A peer that does ``behaviour`` (of ``BEHAVIOURS``); what must be closed is entered into ``opened``."""

    @pytest.fixture(params=[CurlTransport], ids=lambda kind: kind.__name__)
    def transport(self, request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
        """The HTTP transports with which the provider is tried."""
        made: HttpTransport = request.param()
        yield made
        made.close()

    @pytest.fixture
    def channel(self) -> Channel:
        """The channel of the messages; to be overridden."""
        raise NotImplementedError

    @pytest.fixture(params=WAYS)
    def way(self, request: pytest.FixtureRequest) -> Way:
        """Both ways to call a provider; a worker uses either."""
        chosen: Way = request.param
        return chosen

    #: What a behaviour comes to for this provider where it is not what ``BEHAVIOURS`` says, and why: see its docs.
    outcomes: ClassVar[Mapping[str, Outcome]] = {}
    #: Where receipts go, as the provider is told; None: it is not told.
    receipts_url: ClassVar[str | None] = None
    #: Whether the answer has the provider's name for an accepted message, and how long to wait.
    names_messages: ClassVar[bool] = True
    tells_how_long: ClassVar[bool] = True
    #: Whether it expects receipts, configured as in ``Peer.table``.
    expects_receipts: ClassVar[bool] = False

    @pytest.fixture
    def provider_before(self, transport: HttpTransport, channel: Channel) -> Iterator[ProviderBefore]:
        """Puts a provider before a peer that behaves as told; both are closed after the test."""
        outbox = Outbox()
        with ExitStack() as opened:

            def make(behaviour: str) -> ProviderSetup:
                peer = self.open_peer(behaviour, channel, outbox, opened)
                # Short only where it is waited for.
                timeout_seconds = 2 if behaviour.startswith("takes it and") else 10
                provider = built(peer.table, channel, timeout_seconds, transport, outbox, self.receipts_url)
                opened.callback(provider.close)
                return ProviderSetup(provider, channel, peer.taken, peer.to)

            yield make

    @pytest.mark.parametrize("behaviour", BEHAVIOURS)
    def test_whatever_the_peer_does_there_is_an_answer_that_tells_no_secret(
        self, provider_before: ProviderBefore, behaviour: str
    ) -> None:
        setup = provider_before(behaviour)
        calls = [
            (way, setup.message(number, stops_on_unknown=stops_on_unknown))
            for number, (way, stops_on_unknown) in enumerate(product(WAYS, (False, True)))
        ]

        # All at once: where the peer is silent, each lasts until its deadline.
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = list(pool.map(lambda call: call[0](setup.provider, call[1]), calls))

        expected = {**BEHAVIOURS, **self.outcomes}[behaviour]
        assert [answer.outcome for answer in answers] == [expected] * len(calls), answers
        for answer in answers:
            assert answer.code.isascii()
            assert " " not in answer.code
            assert len(answer.code) <= 32
            assert not [word for word in PRIVATE if word in f"{answer.code} {answer.message}"]
        assert not [word for word in PRIVATE if word in repr(setup.provider)]

    def test_an_accepted_message_has_the_providers_name_for_it(self, provider_before: ProviderBefore, way: Way) -> None:
        setup = provider_before("takes it")

        answer = way(setup.provider, setup.message())

        assert answer.outcome is Outcome.ACCEPTED
        assert bool(answer.message_id) is self.names_messages
        assert setup.taken() == ["job-1"]

    def test_a_wish_to_wait_is_passed_on(self, provider_before: ProviderBefore, way: Way) -> None:
        setup = provider_before("is overloaded")

        answer = way(setup.provider, setup.message())

        assert answer.retry_after_seconds in ({7, 30} if self.tells_how_long else {None})

    def test_the_key_of_a_message_is_the_same_at_every_attempt(self, provider_before: ProviderBefore, way: Way) -> None:
        setup = provider_before("takes it")

        for attempt in (1, 2):
            way(setup.provider, setup.message(attempt=attempt))

        assert setup.taken() == ["job-1", "job-1"]

    def test_sixteen_threads_send_each_message_once(self, provider_before: ProviderBefore, way: Way) -> None:
        setup = provider_before("takes it")
        barrier = threading.Barrier(16)

        def work(thread: int) -> list[ProviderResult]:
            barrier.wait()
            return [way(setup.provider, setup.message(thread * 100 + number)) for number in range(10)]

        with ThreadPoolExecutor(16) as pool:
            answers = [answer for batch in pool.map(work, range(16)) for answer in batch]

        assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
        assert sorted(setup.taken()) == sorted(
            f"job-{thread * 100 + number}" for thread in range(16) for number in range(10)
        )

    def test_closing_twice_is_allowed_before_and_after_use(self, provider_before: ProviderBefore) -> None:
        unused, used = provider_before("takes it"), provider_before("takes it")
        used.provider.send(used.message())

        for setup in (unused, used):
            setup.provider.close()
            setup.provider.close()

    def test_what_a_provider_says_of_itself_is_what_the_worker_asks_for(self, provider_before: ProviderBefore) -> None:
        setup = provider_before("takes it")
        provider = setup.provider

        assert provider.name == "it"
        assert setup.channel in provider.channels
        assert provider.expects_receipts is self.expects_receipts
        assert provider.is_idempotent in {True, False}


class HttpProviderSetup:
    """How a provider over HTTP is set up for a test: its table, a good answer, and whom it sends to."""

    #: As in ``Peer.table``; ``{url}`` is an address on the server, ``{base_url}`` the server alone.
    table: ClassVar[str]
    #: The body of an answer that has the provider's id of the message in it.
    accepted_body: ClassVar[bytes] = b'{"id": "m-1"}'
    #: Of a server that speaks TLS.
    context: ssl.SSLContext | None = None

    def recipient_at(self, url: str, channel: Channel) -> Mapping[str, object]:
        """Whom its messages go to; overridden where the recipient's address is one on the server."""
        return TO[channel]


class HttpProviderContract(HttpProviderSetup, ProviderContract):
    """The same for a provider over HTTP: its peer is a server that answers with usual statuses."""

    def delivery_key(self, received: Received) -> str:
        """Where the provider sends it."""
        return received.headers["idempotency-key"]

    def scripts(self) -> Mapping[str, peers.Behaviour]:
        """What its server does for each of ``BEHAVIOURS``; overridden for the provider's own words."""
        return http_scripts(self.accepted_body)

    def open_peer(self, behaviour: str, channel: Channel, outbox: Outbox, opened: ExitStack) -> Peer:
        if behaviour == "nobody":
            url = f"{'http' if self.context is None else 'https'}://127.0.0.1:{peers.free_port()}/s"
            return Peer(table_at(self.table, url), list, self.recipient_at(url, channel))
        peer = opened.enter_context(HttpPeer(self.scripts()[behaviour], context=self.context))
        return Peer(
            table_at(self.table, peer.url),
            lambda: [self.delivery_key(each) for each in peer.requests],
            self.recipient_at(peer.url, channel),
        )

    def test_a_reset_after_the_message_went_out_leaves_an_unknown_outcome_and_no_second_call(
        self, transport: HttpTransport, channel: Channel, way: Way
    ) -> None:
        result, peer = self.called(self.resetting_peer(), transport, channel, way)

        assert result.outcome is Outcome.UNKNOWN
        assert len(peer.requests) == 1

    def test_a_server_with_a_strangers_certificate_is_sent_nothing(
        self, transport: HttpTransport, channel: Channel, way: Way
    ) -> None:
        stranger = HttpPeer(peers.reply(200, self.accepted_body), context=strangers_context())

        result, peer = self.called(stranger, transport, channel, way)

        assert (result.outcome, result.code) == (Outcome.UNAVAILABLE, "tls")
        assert peer.requests == []

    def resetting_peer(self) -> HttpPeer | Http2Peer:
        """A server that resets the connection when a request has come; overridden for another version of HTTP."""
        return HttpPeer(peers.reset, context=self.context)

    def called(self, peer: PeerT, transport: HttpTransport, channel: Channel, way: Way) -> tuple[ProviderResult, PeerT]:
        """The result of one call to ``peer``, which is opened for that."""
        with peer:
            provider = built(table_at(self.table, peer.url), channel, 10, transport, Outbox(), self.receipts_url)
            setup = ProviderSetup(provider, channel, list, self.recipient_at(peer.url, channel))
            result = way(provider, setup.message())
            provider.close()
        return result, peer

    def test_no_thread_waits_for_its_calls(self, provider_before: ProviderBefore, transport: HttpTransport) -> None:
        setup = provider_before("takes it")
        results: SimpleQueue[ProviderResult | Exception] = SimpleQueue()

        assert isinstance(setup.provider, AsyncProvider)
        assert setup.provider.start(setup.message(), results.put) is isinstance(transport, CurlTransport)


@cache
def strangers_context() -> ssl.SSLContext:
    """For a server whose certificate is of an authority that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def http_scripts(accepted_body: bytes) -> Mapping[str, peers.Behaviour]:
    """What a server does for each of ``BEHAVIOURS``."""
    return {
        "takes it": peers.reply(202, accepted_body),
        "refuses it": peers.reply(422, b'{"error": "ada@example.org +12025550143 s3cret"}'),
        "is overloaded": peers.reply(503, b"ada@example.org", headers={"Retry-After": "7"}),
        "takes it and is silent": peers.be_silent,
        "takes it and drips": peers.drip(peers.head(200, {"X-Long": "x" * 5000})),
        "takes it and hangs up": peers.hang_up,
        "refuses us": peers.reply(401, b"s3cret"),
        "takes it and says no more": peers.begin(200, {"Content-Length": "5000"}, accepted_body),
        "is overloaded and breaks off": peers.send(
            peers.head(503, {"Content-Length": "5000", "Retry-After": "7"}) + b"a"
        ),
        "refuses it with nonsense": peers.send(
            peers.head(422, {"Retry-After": "Fri, 01 Jan 99999999999 00:00:00 GMT", "X-Odd": "\x01"})
        ),
    }


def table_at(table: str, url: str) -> str:
    """A provider's table before the server of ``url``."""
    return table.replace("{url}", url).replace("{base_url}", "{0.scheme}://{0.netloc}".format(urlsplit(url)))


def built(
    table: str,
    channel: Channel,
    timeout_seconds: float,
    transport: HttpTransport,
    outbox: Outbox,
    receipts_url: str | None = None,
) -> Provider:
    """From the providers file, as in life."""
    source = f"""
        [providers.it]
        timeout_seconds = {timeout_seconds}
        {table}
        [routes]
        {channel} = ["it"]
    """
    config = parse_providers(source, {"SECRET": "s3cret"})
    dependencies = ProviderDependencies(
        transport=transport, outbox=outbox, clock=Clock(), sleep=lambda _: None, receipts_url=receipts_url
    )
    return build_providers(config, dependencies)["it"]
