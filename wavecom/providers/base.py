"""What all providers share. A provider says what to send; the base says what an answer means."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import orjson

from wavecom.core.job import Answer, Channel, Outcome
from wavecom.core.ports import Clock, Message, OnAnswer, Provider, Sleep
from wavecom.providers.configuration.values import ProviderConfig, ProvidersConfig
from wavecom.providers.registry import provider_class
from wavecom.providers.transport import (
    HttpTransport,
    NotSentError,
    Request,
    Response,
    TransportError,
    UnclearError,
)

OptionsT = TypeVar("OptionsT")

#: No provider's wish holds a message back for longer.
LONGEST_WAIT_SECONDS: Final = 86_400

#: Characters kept of a provider's name for a message.
LONGEST_ID: Final = 200


class Outbox(Protocol):
    """Where the sandbox delivers to: what the recipients would have got."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep one delivered message.

        ``entry`` holds jobId, deliveryKey, provider, type, to, payload, metadata, attempt (1, 2, …) and at (aware
        UTC). Entries with one deliveryKey are one message: a repetition only raises its count ``times``. Raises
        ``StoreError``, or ``UncertainWriteError`` when it can't be told whether the entry was kept.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a provider may use of the world; each takes what it needs."""

    transport: HttpTransport
    outbox: Outbox
    clock: Clock
    sleep: Sleep
    #: A number in [0, 1).
    chance: Callable[[], float]


class BaseProvider(ABC, Generic[OptionsT]):
    """A ``core.ports.Provider``, built from its table in the providers file.

    A subclass declares ``options_class`` (see ``configuration.options``) and ``channels``, all that it can serve.
    """

    options_class: ClassVar[type[Any]]
    channels: frozenset[Channel] = frozenset(Channel)
    expects_receipts: bool = False
    is_idempotent: bool = False

    def __init__(self, config: ProviderConfig[OptionsT], surroundings: Surroundings) -> None:
        self.name = config.name
        self.channels = config.channels
        self.config = config
        self.options = config.options
        self.surroundings = surroundings

    @abstractmethod
    def send(self, message: Message) -> Answer:
        """See ``core.ports.Provider.send``."""

    def close(self) -> None:
        """See ``core.ports.Provider.close``."""


class StatusTable:
    """What each HTTP status means: by its number (429) or, where that is not named, by its class (``"4xx"``)."""

    def __init__(self, meanings: Mapping[int | str, Outcome]) -> None:
        self._outcomes = [
            meanings.get(status) or meanings.get(f"{status // 100}xx") or Outcome.UNKNOWN for status in range(600)
        ]

    def outcome(self, status: int) -> Outcome:
        """Unknown for what the table doesn't name."""
        return self._outcomes[status] if status < len(self._outcomes) else Outcome.UNKNOWN


class UnsendableError(Exception):
    """The message can't be put into the provider's form and never will; the text says why, without its content."""


class BaseHttpProvider(BaseProvider[OptionsT]):
    """A provider whose call is one HTTP POST: the subclass says what to send, this class what the answer means."""

    statuses: StatusTable

    @abstractmethod
    def request(self, message: Message) -> Request:
        """What to send; headers in ASCII. Raises ``UnsendableError``."""

    def message_id(self, response: Response) -> str | None:
        """The provider's own name for an accepted message, if the answer holds one."""
        return None

    def send(self, message: Message) -> Answer:
        """See ``core.ports.Provider.send``."""
        try:
            response = self.surroundings.transport.send(self.request(message))
        except (UnsendableError, TransportError) as error:
            return _meaning_of(error)
        return self._meaning(response, message)

    def start(self, message: Message, on_answer: OnAnswer) -> bool:
        """See ``core.ports.SwiftProvider.start``. A subclass that overrides ``send`` overrides this as well."""

        def on_end(result: Response | Exception) -> None:
            try:
                answer: Answer | Exception = (
                    self._meaning(result, message) if isinstance(result, Response) else _meaning_of(result)
                )
            except Exception as error:  # noqa: BLE001 - handed on: whose thread this is could do nothing with it
                answer = error
            on_answer(answer)

        try:
            request = self.request(message)
        except UnsendableError as error:
            on_answer(_meaning_of(error))
            return True
        return self.surroundings.transport.start(request, on_end)

    def _meaning(self, response: Response, message: Message) -> Answer:
        outcome = self.statuses.outcome(response.status)
        code = f"http_{response.status}"
        if outcome is Outcome.ACCEPTED:
            return Answer(outcome, code, message_id=self.message_id(response))
        if response.status == 500 and outcome is Outcome.UNAVAILABLE and message.stops_on_unknown:
            # A server that fell over in the middle may have sent the message before.
            outcome = Outcome.UNKNOWN
        wait = None
        if outcome is not Outcome.REJECTED:
            wait = retry_after_seconds(response.headers.get("retry-after"), self.surroundings.clock.now())
        # The answer's body may repeat the recipient, so nothing of it is told.
        return Answer(outcome, code, _phrase(response.status), retry_after_seconds=wait)


def _meaning_of(error: Exception) -> Answer:
    """What it means that there is no answer. Raises whatever else it is, which is a bug."""
    match error:
        case UnsendableError():
            return Answer(Outcome.REJECTED, "unsendable", str(error))
        case NotSentError():
            return Answer(Outcome.UNAVAILABLE, error.fault.value, str(error))
        case UnclearError():
            return Answer(Outcome.UNKNOWN, error.fault.value, f"{error} after the request was sent")
        case _:
            raise error


def json_body(content: object) -> bytes:
    """``content`` as JSON in UTF-8. Raises ``UnsendableError``."""
    try:
        return orjson.dumps(content, default=dict)  # messages hold mappings of any kind
    except orjson.JSONEncodeError:
        raise UnsendableError("a part of the message can't be written as JSON") from None


def json_field(response: Response, *names: str) -> str | None:
    """The first of these fields that a JSON answer holds as text or number; None for any other answer."""
    try:
        content = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    found = next((content[name] for name in names if content.get(name)), None)
    return str(found)[:LONGEST_ID] if isinstance(found, str | int) else None


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """What a ``Retry-After`` asks for, from 0 to a day; None when it is absent or neither seconds nor a date.

    RFC 9110 section 10.2.3.
    """
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), LONGEST_WAIT_SECONDS))
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), float(LONGEST_WAIT_SECONDS))


def _phrase(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def build_providers(
    config: ProvidersConfig,
    *,
    transport: HttpTransport,
    outbox: Outbox,
    clock: Clock,
    sleep: Sleep = time.sleep,
    chance: Callable[[], float] = random.random,
) -> dict[str, Provider]:
    """One provider for each declared one, by name. Opens no connection: that waits for the first message."""
    surroundings = Surroundings(transport=transport, outbox=outbox, clock=clock, sleep=sleep, chance=chance)
    return {name: provider_class(provider.type)(provider, surroundings) for name, provider in config.providers.items()}
