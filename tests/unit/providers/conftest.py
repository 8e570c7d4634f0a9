"""Stand-ins for what providers use of the environment, and messages to give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from wavecom.core.job import JobId, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.http import HttpOptions, HttpProvider
from wavecom.providers.transport import HttpVersion, OnEnd, Request, Response

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

TO: Mapping[Channel, Mapping[str, object]] = {
    Channel.EMAIL: {"email": "ada@example.org", "name": "Ada"},
    Channel.SMS: {"phone": "+4915112345678"},
    Channel.PUSH: {"platform": "fcm", "token": "c" * 120},
}
PAYLOAD: Mapping[Channel, Mapping[str, object]] = {
    Channel.EMAIL: {"subject": "Hello", "text": "Your code is 123456."},
    Channel.SMS: {"text": "Your code is 123456."},
    Channel.PUSH: {"title": "Hello", "body": "Your code is 123456."},
}


@dataclass
class StillClock:
    """A clock that stands where it is put."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class ListOutbox:
    """Keeps what it is given; raises ``error`` instead while there is one."""

    entries: list[Mapping[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def append(self, entry: Mapping[str, Any]) -> None:
        if self.error:
            raise self.error
        self.entries.append(entry)


@dataclass
class ScriptedTransport:
    """Answers every request with ``script``, and keeps the requests."""

    http_versions: frozenset[HttpVersion] = frozenset(HttpVersion)
    script: Response | Exception = field(default_factory=lambda: Response(200, {}, b""))
    requests: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        if isinstance(self.script, Exception):
            raise self.script
        return self.script

    def start(self, request: Request, on_end: OnEnd) -> bool:
        self.requests.append(request)
        on_end(self.script)
        return True

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Environment:
    """The dependencies of a provider under test, each part in reach."""

    transport: ScriptedTransport = field(default_factory=ScriptedTransport)
    outbox: ListOutbox = field(default_factory=ListOutbox)
    slept: list[float] = field(default_factory=list)
    chance: float = 0.5
    clock: StillClock = field(default_factory=StillClock)

    def dependencies(self) -> ProviderDependencies:
        return ProviderDependencies(
            transport=self.transport,
            outbox=self.outbox,
            clock=self.clock,
            sleep=self.slept.append,
            chance=lambda: self.chance,
        )


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def new_message() -> Callable[..., Message]:
    """A message for a channel; any field can be set."""
    return message_for


def message_for(type: Channel = Channel.EMAIL, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "job_id": JobId("0193a7b0-0000-7000-8000-000000000001"),
        "delivery_key": "0193a7b0-0000-7000-8000-000000000001",
        "type": type,
        "to": TO[type],
        "payload": PAYLOAD[type],
        "metadata": {"order": "A-17"},
        "attempt": 1,
    }
    return Message(**(fields | changes))


URL = "https://gateway.example/send"


def gateway(environment: Environment, **options: Any) -> HttpProvider:
    """A provider of type http before the environment's transport; ``options`` are those of its table."""
    config = ProviderConfig(name="gateway", type="http", options=HttpOptions(url=URL, **options), timeout_seconds=5)
    return HttpProvider(config, environment.dependencies())


def both_ways(provider: HttpProvider, message: Message) -> ProviderResult:
    """The answer, which is the same whichever way the call is made."""
    heard: list[ProviderResult | Exception] = []
    assert provider.start(message, heard.append)
    assert heard == [provider.send(message)]
    [answer] = heard
    assert isinstance(answer, ProviderResult)
    return answer
