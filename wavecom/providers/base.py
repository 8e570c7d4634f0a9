"""What all providers share. A provider says what to send; the base says what an answer means."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from wavecom.core.job import Answer, Channel
from wavecom.core.ports import Clock, Message, Provider, Sleep
from wavecom.providers.configuration.values import ProviderConfig, ProvidersConfig
from wavecom.providers.registry import provider_class
from wavecom.providers.transport import HttpTransport

OptionsT = TypeVar("OptionsT")


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
