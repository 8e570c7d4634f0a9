"""The sandbox delivers to its outbox, and its magic recipients always bring what their name says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wavecom.core.job import Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.errors import StoreError, UncertainWriteError
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.sandbox import MAGIC_RECIPIENTS, SandboxOptions, SandboxProvider, magic_recipient_name

if TYPE_CHECKING:
    from tests.unit.providers.conftest import Environment

NewMessage = Callable[..., Message]
DOCS = Path(__file__).resolve().parents[3] / "docs" / "sandbox.md"

OUTCOMES = {
    "accepted": Outcome.ACCEPTED,
    "rejected": Outcome.REJECTED,
    "unavailable": Outcome.UNAVAILABLE,
    "throttled": Outcome.UNAVAILABLE,
    "timeout": Outcome.UNKNOWN,
    "slow": Outcome.ACCEPTED,
    "recovering": Outcome.UNAVAILABLE,
}


def sandbox(environment: Environment, timeout_seconds: float = 10, **options: Any) -> SandboxProvider:
    config = ProviderConfig(
        name="box", type="sandbox", options=SandboxOptions(**options), timeout_seconds=timeout_seconds
    )
    return SandboxProvider(config, environment.dependencies())


def recipients(name: str) -> list[tuple[Channel, dict[str, Any]]]:
    number = f"{list(MAGIC_RECIPIENTS).index(name):02}"
    return [
        (Channel.EMAIL, {"email": f"{name}@sandbox.wavecom.test"}),
        (Channel.EMAIL, {"email": f"{name}+42@sandbox.wavecom.test"}),
        (Channel.SMS, {"phone": f"+120255501{number}"}),
        (Channel.PUSH, {"platform": "fcm", "token": f"sandbox-{name}-2f71"}),
        (Channel.PUSH, {"platform": "apns", "token": "0" * 62 + number}),
        (Channel.PUSH, {"platform": "webpush", "subscription": {"endpoint": f"https://sandbox.wavecom.test/{name}"}}),
    ]


def test_an_accepted_message_is_in_the_outbox(environment: Environment, new_message: NewMessage) -> None:
    message = new_message(attempt=2)

    answer = sandbox(environment).send(message)

    assert answer.outcome is Outcome.ACCEPTED
    assert answer.message_id == f"sandbox-{message.delivery_key}"
    assert environment.outbox.entries == [
        {
            "jobId": message.job_id,
            "deliveryKey": message.delivery_key,
            "provider": "box",
            "type": "email",
            "to": {"email": "ada@example.org", "name": "Ada"},
            "payload": {"subject": "Hello", "text": "Your code is 123456."},
            "metadata": {"order": "A-17"},
            "attempt": 2,
            "at": environment.dependencies().clock.now(),
        }
    ]


@pytest.mark.parametrize("name", MAGIC_RECIPIENTS)
def test_a_magic_recipient_always_brings_its_outcome(
    environment: Environment, new_message: NewMessage, name: str
) -> None:
    environment.chance = 0.0  # every ordinary message would fail

    for channel, to in recipients(name):
        answer = sandbox(environment, failure_rate=1).send(new_message(channel, to=to))

        assert answer.outcome is OUTCOMES[name], to
        assert (len(environment.outbox.entries) == 1) is (answer.outcome is Outcome.ACCEPTED)
        environment.outbox.entries.clear()


def test_the_throttled_recipient_asks_for_a_pause(environment: Environment, new_message: NewMessage) -> None:
    answer = sandbox(environment).send(new_message(Channel.SMS, to={"phone": "+12025550103"}))

    assert (answer.code, answer.retry_after_seconds) == ("http_429", 30)


def test_the_recovering_recipient_takes_the_second_attempt(environment: Environment, new_message: NewMessage) -> None:
    to = {"email": "recovering@sandbox.wavecom.test"}

    answer = sandbox(environment).send(new_message(to=to, attempt=2))

    assert answer.outcome is Outcome.ACCEPTED


def test_the_slow_recipient_takes_three_seconds(environment: Environment, new_message: NewMessage) -> None:
    sandbox(environment).send(new_message(to={"email": "slow@sandbox.wavecom.test"}))

    assert environment.slept == [3]


def test_slower_than_the_deadline_is_a_timeout_at_the_deadline(
    environment: Environment, new_message: NewMessage
) -> None:
    answer = sandbox(environment, timeout_seconds=2).send(new_message(to={"email": "slow@sandbox.wavecom.test"}))

    assert (answer.outcome, answer.code, environment.slept) == (Outcome.UNKNOWN, "timeout", [2])
    assert environment.outbox.entries == []


@pytest.mark.parametrize(
    ("channel", "to"),
    [
        (Channel.EMAIL, {"email": "rejected@example.org"}),
        (Channel.EMAIL, {"email": "nobody@sandbox.wavecom.test"}),
        (Channel.EMAIL, {"email": "sandbox-rejected@example.org"}),
        (Channel.SMS, {"phone": "+12025550150"}),
        (Channel.SMS, {"phone": "+120255501010"}),
        (Channel.PUSH, {"platform": "fcm", "token": "my-sandbox-rejected"}),
        (Channel.PUSH, {"platform": "fcm", "token": "sandbox-rejectedly"}),
        (Channel.PUSH, {"platform": "webpush", "subscription": {"endpoint": "https://push.example/rejected"}}),
    ],
)
def test_others_are_ordinary(new_message: NewMessage, channel: Channel, to: dict[str, Any]) -> None:
    assert magic_recipient_name(new_message(channel, to=to)) is None


def test_the_configured_latency_is_waited(environment: Environment, new_message: NewMessage) -> None:
    sandbox(environment, latency_ms=50).send(new_message())

    assert environment.slept == [0.05]


@pytest.mark.parametrize(("chance", "outcome"), [(0.29, Outcome.UNAVAILABLE), (0.3, Outcome.ACCEPTED)])
def test_the_configured_share_fails(
    environment: Environment, new_message: NewMessage, chance: float, outcome: Outcome
) -> None:
    environment.chance = chance

    assert sandbox(environment, failure_rate=0.3).send(new_message()).outcome is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(StoreError("away"), Outcome.UNAVAILABLE), (UncertainWriteError("who knows"), Outcome.UNKNOWN)],
)
def test_an_outbox_that_is_away_is_an_answer(
    environment: Environment, new_message: NewMessage, error: Exception, outcome: Outcome
) -> None:
    environment.outbox.error = error

    assert sandbox(environment).send(new_message()).outcome is outcome


def test_the_documented_table_is_the_one_in_the_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)@sandbox\.wavecom\.test` \| `(\+\d+)` \| (.*) \|$", DOCS.read_text("utf-8"), re.MULTILINE
    )

    assert rows == [
        (name, f"+120255501{number:02}", magic.description)
        for number, (name, magic) in enumerate(MAGIC_RECIPIENTS.items())
    ]
