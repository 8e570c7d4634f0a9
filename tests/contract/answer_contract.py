"""What every answer of a provider over HTTP means, as a suite to derive from beside ``HttpProviderContract``.

A module of an adapter lists ``rows``, one for each row of its answer table, with a body as the provider sends it. They
are played by a real server, by both ways to call a provider and both HTTP transports. The table and the rows are
held together: a row that nobody plays is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from tests import peers
from tests.contract.provider_contract import (
    PRIVATE,
    TO,
    HttpProviderSetup,
    Outbox,
    ProviderSetup,
    Way,
    built,
    started,
    table_at,
)
from tests.peers import HttpPeer
from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Provider
from wavecom.providers.base_http import BaseHttpProvider
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport
from wavecom.routing.evidence import HealthSignal, health_signal

PROXY_PAGE = b"<html><head><title>Bad Gateway</title></head><body>nginx ada@example.org</body></html>"
#: Bodies in which no provider finds what it looks for.
UNREADABLE = (b"", b"{", PROXY_PAGE, b"[]")

#: By these codes providers say that we call too fast, which is no failure for the breaker.
LIMITS = frozenset(
    {
        "fcm_QUOTA_EXCEEDED",
        "http_429",
        "ses_Throttling",
        "sns_Throttled",
        "sns_Throttling",
        "twilio_20429",
        "vonage_1",
    }
)


@dataclass(frozen=True)
class AnswerRow:
    """An answer of the provider's server, and what it means."""

    status: int
    body: bytes
    outcome: Outcome
    #: The result's code; None: ``http_<status>``.
    code: str | None = None
    reason: Reason | None = None
    scope: Scope | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        return self.code or f"http_{self.status}"

    @property
    def expected_code(self) -> str:
        return self.code or f"http_{self.status}"


class AnswerContract(HttpProviderSetup):
    """Mixed into a class of tests that derives from ``HttpProviderContract``."""

    #: One for each row of the provider's table, and whatever else needs a body of its own.
    rows: ClassVar[Sequence[AnswerRow]]
    #: What a proxy's page with 502 comes to, and a 2xx whose body is empty, cut off, or no JSON.
    proxy_outcome: ClassVar[Outcome] = Outcome.UNKNOWN
    unreadable_success: ClassVar[Outcome] = Outcome.ACCEPTED

    #: The server that was called last.
    peer: HttpPeer

    #: Where the provider's receipts come in, as in ``ProviderContract``.
    receipts_url: ClassVar[str | None]

    @pytest.fixture
    def any_transport(self, way: Way) -> Iterator[HttpTransport]:
        """Each way with a transport of its own, so that two calls try both ways and both transports.

        More could differ in nothing: no provider learns which of them it is, and requests has no calls to start.
        """
        made: HttpTransport = CurlTransport() if way is started else RequestsTransport()
        yield made
        made.close()

    def played(
        self, behaviour: peers.Behaviour, channel: Channel, transport: HttpTransport, way: Way, **changes: Any
    ) -> ProviderResult:
        """The result of one call that a server answers so; the server was called once."""
        [result] = self.all_played([behaviour], channel, transport, way, **changes)
        return result

    def all_played(
        self,
        behaviours: Sequence[peers.Behaviour],
        channel: Channel,
        transport: HttpTransport,
        way: Way,
        **changes: Any,
    ) -> list[ProviderResult]:
        """The results of a provider's calls, one after the other; the server was called once for each."""
        with ExitStack() as opened:
            peer = opened.enter_context(HttpPeer(*behaviours, context=self.context))
            provider = self.provider_at(peer.url, channel, transport)
            opened.callback(provider.close)
            setup = ProviderSetup(provider, channel, list, self.recipient_at(peer.url, channel))
            results = [way(provider, setup.message(number, **changes)) for number in range(len(behaviours))]
        assert len(peer.requests) == len(behaviours)
        assert not [word for word in PRIVATE for each in results if word in f"{each.code} {each.message}"]
        self.peer = peer
        return results

    def provider_at(self, url: str, channel: Channel, transport: HttpTransport) -> Provider:
        return built(table_at(self.table, url), channel, 5, transport, Outbox(), self.receipts_url)

    def test_each_answer_means_what_the_table_says(
        self, answer_row: AnswerRow, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        behaviour = peers.reply(answer_row.status, answer_row.body, headers=answer_row.headers)

        result = self.played(behaviour, channel, any_transport, way)

        assert (result.outcome, result.code) == (answer_row.outcome, answer_row.expected_code)
        assert (result.reason, result.scope) == (answer_row.reason, answer_row.scope)
        assert result.retry_after_seconds == answer_row.retry_after_seconds
        assert (health_signal(result) is HealthSignal.LIMITS) is (result.code in LIMITS)
        assert len(result.code) <= 32

    def test_every_row_of_the_table_is_played(self, channel: Channel, any_transport: HttpTransport) -> None:
        provider = self.provider_at("http://127.0.0.1:9/send", channel, any_transport)
        assert isinstance(provider, BaseHttpProvider)
        played = {row.expected_code for row in self.rows}

        codes = {f"{provider.config.type}_{code}" for code in provider.answers.codes}
        assert codes <= played
        assert {f"http_{status}" for status in provider.answers.statuses if isinstance(status, int)} <= played

    @pytest.mark.parametrize("headers", [{}, {"Retry-After": "30"}], ids=["no wish", "a wish"])
    def test_too_many_requests_moves_the_message_on(
        self, channel: Channel, any_transport: HttpTransport, way: Way, headers: Mapping[str, str]
    ) -> None:
        result = self.played(peers.reply(429, b"", headers=headers), channel, any_transport, way)

        assert result.outcome is Outcome.UNAVAILABLE
        assert result.retry_after_seconds == (30 if headers else None)

    def test_a_page_of_a_proxy_is_no_answer_of_the_provider(
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        behaviour = peers.reply(502, PROXY_PAGE, headers={"Content-Type": "text/html"})

        assert self.played(behaviour, channel, any_transport, way).outcome is self.proxy_outcome

    def test_a_success_with_an_unreadable_body_never_raises(
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        behaviours = [peers.reply(200, body) for body in (*UNREADABLE, b"null", b'{"a": ' * 2000, b"\xff\xfe")]

        results = self.all_played(behaviours, channel, any_transport, way)

        assert [result.outcome for result in results] == [self.unreadable_success] * len(behaviours)
        assert {result.message_id for result in results} == {None}

    def test_a_success_that_breaks_off_has_a_status(
        self, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        cut = self.accepted_body[: len(self.accepted_body) // 2]
        behaviour = peers.send(peers.head(200, {"Content-Length": str(len(self.accepted_body))}) + cut)

        result = self.played(behaviour, channel, any_transport, way)

        assert result.outcome is self.unreadable_success
        assert result.message_id is None

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
    def test_an_error_with_an_unreadable_body_is_read_by_its_status(
        self, channel: Channel, any_transport: HttpTransport, way: Way, status: int
    ) -> None:
        bodies = (*UNREADABLE, b'{"code": {}, "errors": [1], "messages": 5}')

        results = self.all_played([peers.reply(status, body) for body in bodies], channel, any_transport, way)

        assert [result.code for result in results] == [f"http_{status}"] * len(bodies)
        assert Outcome.ACCEPTED not in [result.outcome for result in results]


def setup_of(provider: Provider, channel: Channel) -> ProviderSetup:
    """The provider with messages of its channel."""
    return ProviderSetup(provider, channel, list, TO[channel])
