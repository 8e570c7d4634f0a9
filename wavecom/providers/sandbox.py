"""``type = "sandbox"``: delivers to an outbox that the pages show; nobody is ever disturbed.

Magic recipients always bring the outcome that their name says, so that every path can be tried by hand and in tests.
docs/sandbox.md lists them, held equal to ``MAGIC_RECIPIENTS`` by a test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from wavecom.core.job import Outcome, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.errors import StoreError, UncertainWriteError
from wavecom.providers.base import BaseProvider, whole_payload
from wavecom.providers.configuration.options import number

ACCEPTED = ProviderResult(Outcome.ACCEPTED, "ok")
FAILED = ProviderResult(Outcome.UNAVAILABLE, "sandbox_failure", "the sandbox failed by chance (failure_rate)")


@dataclass(frozen=True, slots=True)
class MagicRecipient:
    """What a magic recipient brings: ``result``, after ``seconds``, to attempts up to ``until_attempt``."""

    result: ProviderResult
    description: str
    seconds: float = 0
    until_attempt: int | None = None


#: Name → what it brings. The place in this table is the number of the phone and APNs recipient.
MAGIC_RECIPIENTS: dict[str, MagicRecipient] = {
    "accepted": MagicRecipient(ACCEPTED, "accepted at once, whatever `failure_rate` says"),
    "rejected": MagicRecipient(
        ProviderResult(Outcome.REJECTED, "sandbox_rejected", "magic recipient: there is no such recipient"),
        "rejected: the job fails at once",
    ),
    "unavailable": MagicRecipient(
        ProviderResult(Outcome.UNAVAILABLE, "http_503", "magic recipient: the provider is out of service"),
        "unavailable, every time: the job is retried until its attempts are used up: over its whole life, so give it "
        '`"ttlSeconds": 60` to see the end',
    ),
    "throttled": MagicRecipient(
        ProviderResult(Outcome.UNAVAILABLE, "http_429", "magic recipient: too many requests", retry_after_seconds=30),
        "unavailable with `Retry-After: 30`, every time",
    ),
    "timeout": MagicRecipient(
        ProviderResult(Outcome.UNKNOWN, "timeout", "magic recipient: no answer in time"),
        "unknown outcome, every time; nothing reaches the outbox",
    ),
    "slow": MagicRecipient(ACCEPTED, "accepted after 3 seconds (a timeout when `timeout_seconds` is less)", seconds=3),
    "recovering": MagicRecipient(
        ProviderResult(Outcome.UNAVAILABLE, "http_503", "magic recipient: back at the next attempt"),
        "unavailable at the first attempt, accepted at the second",
        until_attempt=1,
    ),
}
#: How recipients spell a name of ``MAGIC_RECIPIENTS``, or its number. RFC 2606 reserves .test; +1 202-555-0100 to 0199
#: are set aside for fiction; APNs tokens are hexadecimal and leave no room for a word.
_RECIPIENTS = {
    Channel.EMAIL: re.compile(r"(?P<name>[a-z]+)(\+[^@]*)?@sandbox\.wavecom\.test"),
    Channel.SMS: re.compile(r"\+120255501(?P<number>\d\d)"),
    Channel.PUSH: re.compile(
        r"(sandbox-|https://sandbox\.wavecom\.test/)(?P<name>[a-z]+)\b.*|0{62}(?P<number>\d\d)",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SandboxOptions:
    """The sandbox's own keys in the providers file."""

    #: How long each delivery takes.
    latency_ms: Annotated[float, number(0, 10_000)] = 0
    #: Share of the messages to ordinary recipients that meet an unavailable provider.
    failure_rate: Annotated[float, number(0, 1)] = 0


class SandboxProvider(BaseProvider[SandboxOptions]):
    """Drops repetitions, as the outbox counts them under one delivery key."""

    options_class: ClassVar[type[SandboxOptions]] = SandboxOptions
    is_idempotent = True

    def send(self, message: Message) -> ProviderResult:
        """Wait as configured, then answer by the magic recipient or by chance; the accepted go to the outbox."""
        magic = MAGIC_RECIPIENTS.get(magic_recipient_name(message) or "")
        seconds = magic.seconds if magic and magic.seconds else self.options.latency_ms / 1000
        if seconds > 0:
            self.dependencies.sleep(min(seconds, self.config.timeout_seconds))
        if seconds > self.config.timeout_seconds:
            return ProviderResult(Outcome.UNKNOWN, "timeout", "the sandbox's latency is longer than timeout_seconds")
        if magic:
            is_over = magic.until_attempt is not None and message.attempt > magic.until_attempt
            result = ACCEPTED if is_over else magic.result
        else:
            result = FAILED if self.dependencies.chance() < self.options.failure_rate else ACCEPTED
        return self._deliver(message) if result.outcome is Outcome.ACCEPTED else result

    def _deliver(self, message: Message) -> ProviderResult:
        entry = {
            "jobId": message.job_id,
            "deliveryKey": message.delivery_key,
            "provider": self.name,
            "type": message.type.value,
            "to": dict(message.to),
            "payload": dict(whole_payload(message)),
            "metadata": dict(message.metadata),
            "attempt": message.attempt,
            "at": self.dependencies.clock.now(),
        }
        try:
            self.dependencies.outbox.append(entry)
        except UncertainWriteError:
            return ProviderResult(
                Outcome.UNKNOWN, "outbox_uncertain", "the outbox may or may not have kept the message"
            )
        except StoreError:
            return ProviderResult(Outcome.UNAVAILABLE, "outbox_unavailable", "the outbox can't be reached")
        return ProviderResult(Outcome.ACCEPTED, "ok", message_id=f"sandbox-{message.delivery_key}")


def magic_recipient_name(message: Message) -> str | None:
    """The name in ``MAGIC_RECIPIENTS`` that the recipient stands for; None for an ordinary one."""
    found = _RECIPIENTS[message.type].fullmatch(_address(message))
    if not found:
        return None
    named = found.groupdict()
    if number := named.get("number"):
        return dict(enumerate(MAGIC_RECIPIENTS)).get(int(number))
    return named["name"] if named["name"] in MAGIC_RECIPIENTS else None


def _address(message: Message) -> str:
    """The part of ``to`` that says whom; of a web-push subscription its endpoint."""
    to = message.to
    subscription = to.get("subscription")
    endpoint = subscription.get("endpoint") if isinstance(subscription, Mapping) else None
    keys = {Channel.EMAIL: to.get("email"), Channel.SMS: to.get("phone"), Channel.PUSH: to.get("token") or endpoint}
    return str(keys[message.type] or "")
