"""The base class of all providers, and what they are given and may raise."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol
from urllib.parse import quote

from wavecom.core.attachments import reattach
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.job import ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import (
    Clock,
    Message,
    MissingFileError,
    NotBegunError,
    Sleep,
    UnreadableFileError,
)
from wavecom.errors import StoreError
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.configuration.options import Mistake
from wavecom.providers.configuration.values import OptionsT, ProviderConfig
from wavecom.providers.configuration.verification import has_receipts
from wavecom.providers.transport import HttpTransport, HttpVersion


class Outbox(Protocol):
    """Store of the messages that the sandbox delivered."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep one delivered message.

        ``entry`` holds jobId, deliveryKey, provider, type, to, payload, metadata, attempt (1, 2, …) and at (aware
        UTC). Entries with one deliveryKey are one message: a repetition only raises its count ``times``. Raises
        ``StoreError``, or ``UncertainWriteError`` when it can't be told whether the entry was kept.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDependencies:
    """What providers are given: HTTP, the sandbox's outbox, time and chance. Each uses what it needs."""

    transport: HttpTransport
    outbox: Outbox
    clock: Clock
    sleep: Sleep = time.sleep
    #: A number in [0, 1).
    chance: Callable[[], float] = random.random
    #: HTTP for what is not the hot path: tokens. Makes no connection before its first call.
    account_client: AccountClient = field(default_factory=HttpAccountClient)
    #: What the world calls ``/receipts`` of this deployment (``https://notify.bank.example/receipts``); None: not told.
    #: ``<receipts_url>/<provider's name>`` is where its receipts go.
    receipts_url: str | None = None


class BaseProvider(ABC, Generic[OptionsT]):
    """A ``core.ports.Provider``, built from its table in the providers file.

    A subclass declares ``options_class`` (see ``configuration.options``) and ``channels``, all that it can serve; and,
    where its protocol is slower than HTTP, what ``timeout_seconds``, the breaker's ``slow_seconds`` and
    ``max_concurrency`` are for it, and that it ``is_patient``.
    """

    options_class: ClassVar[type[Any]]
    default_timeout_seconds: ClassVar[float] = 10
    max_timeout_seconds: ClassVar[float] = 10
    default_slow_seconds: ClassVar[float] = 5
    #: Calls under way at once in one worker where the file doesn't say; None: as the bulkhead shares them out.
    default_max_concurrency: ClassVar[int | None] = None
    #: A call may take minutes: all such providers together leave half of a worker's calls to the others.
    is_patient: ClassVar[bool] = False
    #: What its calls need of ``HttpTransport``; None: no HTTP. Without it the provider is refused at the start.
    http_version: ClassVar[HttpVersion | None] = None
    channels: frozenset[Channel] = frozenset(Channel)
    expects_receipts: bool = False
    is_idempotent: bool = False

    def __init__(self, config: ProviderConfig[OptionsT], dependencies: ProviderDependencies) -> None:
        self.name = config.name
        self.channels = config.channels
        self.config = config
        self.options = config.options
        self.dependencies = dependencies
        self.longest_call_seconds: float = config.timeout_seconds
        self.expects_receipts = has_receipts(config.type, config.options)

    @abstractmethod
    def send(self, message: Message) -> ProviderResult:
        """See ``core.ports.Provider.send``."""

    @property
    def receipts_address(self) -> str | None:
        """Where this provider's receipts go; None where nobody has said what the world calls this deployment."""
        url = self.dependencies.receipts_url
        return None if url is None else f"{url}/{quote(self.name)}"

    @classmethod
    def mistakes_in(cls, config: ProviderConfig[OptionsT]) -> Iterable[Mistake]:
        """What is wrong with a table whose keys are each right by themselves; paths are those below the table."""
        return ()

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """Ask about our account without sending anything; empty where this provider can't be asked.

        Raises ``OSError`` where no answer came.
        """
        return ()

    def close(self) -> None:
        """See ``core.ports.Provider.close``."""


class UnsendableError(Exception):
    """The message can't be put into the provider's form and never will; the text says why, without its content.

    ``is_final_here``: this provider lacks something that others may have, so the next one of the route is asked.
    """

    def __init__(self, text: str, *, is_final_here: bool = False) -> None:
        super().__init__(text)
        self.is_final_here = is_final_here


class UnpreparedError(Exception):
    """What the call needs beside the message could not be had (a token, an address): nothing was sent.

    ``result`` is what that means for the message.
    """

    def __init__(self, result: ProviderResult) -> None:
        super().__init__(result.message)
        self.result = result


@contextmanager
def before_the_call(*expected: type[Exception]) -> Iterator[None]:
    """Around what a provider does before anything leaves: a bug there becomes ``NotBegunError``.

    What is ``expected`` passes, and so does what ``core.ports.Provider.send`` may raise.
    """
    try:
        yield
    except (UnsendableError, StoreError, MissingFileError, UnreadableFileError):
        raise
    except Exception as error:
        if is_exhaustion(error) or isinstance(error, expected):
            raise
        raise NotBegunError from error


def whole_payload(message: Message) -> Mapping[str, object]:
    """The payload with every attachment in it as ``content`` (base64). Raises as ``Files.read``."""
    return reattach(message.payload, message.files.read)
