"""Who waits for what an answer says: deliveries through the router and a gate to real servers, nobody else involved."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests import peers
from tests.factories import make_job
from tests.fakes import (
    FakeClock,
    NeverStopping,
    OneByOne,
    ScriptedProvider,
    make_writer,
)
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from tests.peers import HttpPeer
from wavecom.core.delivery import Delivery
from wavecom.core.engine import Policy
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, Priority
from wavecom.core.pauses import DestinationPauses, ProviderPauses
from wavecom.core.ports import TEST_SANDBOX, Permit, Provider, Refusal
from wavecom.core.routes import ChannelRoutes
from wavecom.core.states import Status
from wavecom.errors import RetryLater
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.http import HttpOptions, HttpProvider
from wavecom.providers.smtp import SmtpOptions, SmtpProvider
from wavecom.providers.transport.curl import CurlTransport
from wavecom.routing.gate import THROTTLED, GateSettings
from wavecom.routing.local_gate import LocalGate
from wavecom.routing.router import Router

pytestmark = pytest.mark.timeout(60)


class Environment:
    """One provider, and everything between a job and it."""

    def __init__(self, make_provider: Callable[[FakeClock], Provider]) -> None:
        self.clock = FakeClock()
        self.jobs = MemoryJobRepository()
        self.provider = make_provider(self.clock)
        gate = LocalGate({"only": GateSettings()}, threads=16, monotonic=self.clock.monotonic)
        self.router = Router(
            dict.fromkeys(Channel, ChannelRoutes.of("only")),
            gate,
            threads=16,
            stopping=threading.Event(),
            monotonic=self.clock.monotonic,
            draw=lambda: 0.0,
        )
        tokens = itertools.count(1)
        self.delivery = Delivery(
            jobs=self.jobs,
            writer=make_writer(self.jobs, self.clock),
            blobs=MemoryBlobStore(),
            route=self.router,
            providers={"only": self.provider},
            sandbox=ScriptedProvider(TEST_SANDBOX),
            clock=self.clock,
            batcher=OneByOne,
            policy=Policy(),
            worker="worker-1",
            stopping=NeverStopping(self.clock),
            jitter=lambda: 0.5,
            new_token=lambda: f"token-{next(tokens)}",
            preflights=[ProviderPauses(self.router), DestinationPauses(self.router)],
        )

    def deliver(self, **overrides: Any) -> Job | Refusal:
        """A new job as it is after its first attempt, or why there was none."""
        now = self.clock.now()
        return self.again(make_job(created_at=now, **overrides))

    def again(self, job: Job) -> Job | Refusal:
        permit = self.router.reserve(replace(job, priority=Priority.HIGH).lane)
        if not isinstance(permit, Permit):
            return permit
        self.jobs.insert([job])
        with contextlib.suppress(RetryLater):
            self.delivery.deliver(job.job_id, permit)
        found = self.jobs.get(job.job_id)
        assert found is not None
        return found


#: Of the dependencies, what this provider has no use for.
UNUSED: Any = None

Answers = Callable[[str], tuple[int, Mapping[str, str]]]


@contextlib.contextmanager
def gateway(answers: Answers) -> Iterator[tuple[Environment, HttpPeer]]:
    """A environment whose provider is a gateway that answers by the phone number."""
    transport = CurlTransport()
    peer: HttpPeer

    def behave(connection: peers.PeerConnection) -> bool:
        status, headers = answers(json.loads(peer.requests[-1].body)["to"]["phone"])
        return peers.reply(status, b"{}", headers=headers)(connection)

    with HttpPeer(behave) as peer:

        def make(clock: FakeClock) -> Provider:
            config = ProviderConfig(name="only", type="http", options=HttpOptions(url=peer.url), timeout_seconds=5)
            dependencies = ProviderDependencies(
                transport=transport, outbox=UNUSED, clock=clock, sleep=lambda _: None, chance=lambda: 0.0
            )
            return HttpProvider(config, dependencies)

        yield Environment(make), peer
    transport.close()


def number(last: int) -> dict[str, str]:
    return {"phone": f"+1202555{last:04}"}


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(429, "40"), (503, "3600"), (429, "99999999999999"), (503, "Fri, 01 Jan 9999 00:00:00 GMT")],
)
def test_one_number_that_is_told_to_wait_holds_no_other(status: int, retry_after: str) -> None:
    limited = number(1)["phone"]

    def answers(phone: str) -> tuple[int, Mapping[str, str]]:
        return (status, {"Retry-After": retry_after}) if phone == limited else (202, {})

    with gateway(answers) as (environment, _):
        first = [environment.deliver(to=number(1)) for _ in range(12)]
        others = [environment.deliver(to=number(last)) for last in range(2, 30)]

    assert {each.status for each in first if isinstance(each, Job)} == {Status.RETRYING}
    assert all(isinstance(each, Job) for each in first)
    assert [each.status for each in others if isinstance(each, Job)] == [Status.DELIVERED] * 28


def test_a_gateway_that_is_really_closed_is_left_alone_and_asked_again_after_its_time() -> None:
    is_closed = True

    def answers(_phone: str) -> tuple[int, Mapping[str, str]]:
        return (503, {"Retry-After": "120"}) if is_closed else (202, {})

    with gateway(answers) as (environment, peer):
        results = [environment.deliver(to=number(last)) for last in range(1, 50)]
        asked = len(peer.requests)
        environment.clock.advance(119)
        too_early = environment.deliver(to=number(60))
        is_closed = False
        environment.clock.advance(2)
        after = environment.deliver(to=number(61))

    assert asked == 3
    refused = [each for each in results if isinstance(each, Refusal)]
    assert len(refused) == 46
    assert {each.reason for each in refused} == {THROTTLED}
    assert isinstance(too_early, Refusal)
    assert isinstance(after, Job)
    assert after.status is Status.DELIVERED


def test_a_wrong_token_opens_the_breaker_for_all() -> None:
    with gateway(lambda _phone: (401, {})) as (environment, peer):
        results = [environment.deliver(to=number(1)) for _ in range(30)]
        asked = len(peer.requests)

    # The first answer says it: nobody else need ask.
    assert asked == 1
    assert all(each.status is Status.RETRYING for each in results if isinstance(each, Job))


class Greylisting:
    """aiosmtpd's handler: one domain is told to come back later."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append(address)
        if address.endswith("@grey.example"):
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def test_twelve_mails_to_a_domain_that_greylists_hold_that_domain_only() -> None:
    handler = Greylisting()
    port = peers.free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()

    def make(clock: FakeClock) -> Provider:
        options = SmtpOptions(host="127.0.0.1", port=port, helo_name="wavecom.test")
        config = ProviderConfig(name="only", type="smtp", options=options, timeout_seconds=5)
        dependencies = ProviderDependencies(
            transport=UNUSED, outbox=UNUSED, clock=clock, sleep=lambda _: None, chance=lambda: 0.0
        )
        return SmtpProvider(config, dependencies)

    environment = Environment(make)
    try:
        grey = [
            environment.deliver(type=Channel.EMAIL, to={"email": f"customer{index}@grey.example"})
            for index in range(12)
        ]
        other = [
            environment.deliver(type=Channel.EMAIL, to={"email": f"ada{index}@other.example"}) for index in range(12)
        ]
    finally:
        environment.provider.close()
        controller.stop()

    assert [each.status for each in other if isinstance(each, Job)] == [Status.DELIVERED] * 12
    assert [(each.status, each.attempts) for each in grey if isinstance(each, Job)] == [
        *[(Status.RETRYING, 1)] * 3,
        *[(Status.RETRYING, 0)] * 9,
    ]
    assert sum(address.endswith("@grey.example") for address in handler.asked) == 3
