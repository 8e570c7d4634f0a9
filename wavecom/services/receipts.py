"""What takes receipts in: the readers of the providers file, and what applies what they read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pymongo.database import Database

from wavecom import receipt_metrics
from wavecom.batching import GroupCommit
from wavecom.core.account import account_of
from wavecom.core.help_answers import HelpAnswers
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.receipt_counts import ReceiptCounter, counts_of
from wavecom.core.receipt_processing import ProcessedReceipt, ReceiptProcessor, ReceiptReport
from wavecom.core.receipts import ReceiptRequest
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import UnavailableError
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.file import read_receiving_providers
from wavecom.providers.receipts import Readers, ReceiptDependencies, ReceiptReader
from wavecom.providers.registry import receipts_class
from wavecom.services.shared import policy_of, receipts_url_of
from wavecom.services.suppressions import feedback_of
from wavecom.settings import Settings
from wavecom.storage.mongo.keys import MongoKeyStore
from wavecom.storage.mongo.receipts import MongoPendingReceipts, OneTimeTokens, UnreadableRequests

#: A report with more receipts and messages shares no flush, so that single ones don't wait for it.
_LARGE_REPORT: Final = 50
#: Large reports that are applied at once; some others wait for their turn, each with a thread of the web process. Who
#: sends still more is asked to send again: providers of batches do, and single receipts must find a thread.
_LARGE_AT_ONCE: Final = 2
_LARGE_WAITING: Final = 24
#: How long a report may wait under load for others to share its write. The provider that waits for it is in no hurry.
WINDOW_SECONDS: Final = 0.05


class UnreadableStore(Protocol):
    """Keeps requests that nobody can read, for people to look at."""

    def keep(self, provider: str, request: ReceiptRequest) -> None:
        """Durably, for a day. Raises ``StoreError``."""
        ...


class TokenStore(Protocol):
    """Remembers what a provider signed in place of a content, and with which content it came."""

    def belongs_to(self, provider: str, token: str, request: ReceiptRequest) -> bool:
        """Whether the token is new, or came with the same body before. Raises ``StoreError``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptServices:
    """What a web process receives receipts with."""

    readers: Readers
    #: Applies reports durably, at once. Raises ``StoreError``.
    process: Callable[[Sequence[ReceiptReport]], object]
    #: Applies a report durably, together with others'. Raises ``StoreError``, or ``UnavailableError`` as
    #: ``shared_submit`` says.
    submit: Callable[[ReceiptReport], None]
    unreadable: UnreadableStore
    tokens: TokenStore
    #: Calls the address that confirms a subscription of the provider of this name. Raises ``OSError``.
    confirm: Callable[[str, str], object]


def processor_of(
    settings: Settings,
    database: Database[dict[str, Any]],
    configs: Mapping[str, ProviderConfig[Any]],
    *,
    jobs: JobRepository,
    writer: TransitionWriter,
    suppressions: SuppressionList,
    counter: ReceiptCounter,
    clock: Clock,
    help_answers: HelpAnswers | None = None,
) -> ReceiptProcessor:
    """What applies receipts of the providers ``configs``, over MongoDB; counts them, and tells the suppression list."""

    def count(processed: Sequence[ProcessedReceipt]) -> None:
        now = clock.now()
        receipt_metrics.count_processed(processed, now)
        counter.add(counts_of(processed, now, settings.receipt_thresholds.slow_after))

    return ReceiptProcessor(
        jobs=jobs,
        writer=writer,
        pending=MongoPendingReceipts(database),
        feedback=feedback_of(
            settings,
            suppressions,
            jobs,
            MongoKeyStore(database),
            owners=owners_of(configs),
            help_answers=help_answers,
        ),
        clock=clock,
        policy=policy_of(settings),
        on_processed=count,
    )


def receipt_services(
    settings: Settings,
    configs: Mapping[str, ProviderConfig[Any]],
    database: Database[dict[str, Any]],
    processor: ReceiptProcessor,
) -> ReceiptServices:
    """What a web process works with for the ``receiving_providers``."""
    return ReceiptServices(
        readers=readers_of(configs, receipts_url_of(settings)),
        process=processor.process,
        submit=shared_submit(processor),
        unreadable=UnreadableRequests(database),
        tokens=OneTimeTokens(database),
        confirm=lambda name, url: fetch_document(url, ca_file=getattr(configs[name].options, "ca_file", None)),
    )


def receiving_providers(settings: Settings) -> dict[str, ProviderConfig[Any]]:
    """The providers of the file whose receipts can be verified. Raises ``ProvidersFileError``."""
    if settings.providers_file is None:
        return {}
    return read_receiving_providers(settings.providers_file, settings.environment)


def owners_of(configs: Mapping[str, ProviderConfig[Any]]) -> dict[str, str]:
    """The account of each provider that one client has for itself, by the provider's name."""
    return {name: account_of(config.client, True) for name, config in configs.items() if config.client is not None}


def readers_of(configs: Mapping[str, ProviderConfig[Any]], url: str | None) -> Readers:
    """A reader for each of the providers; ``url`` is what the world calls ``/receipts``."""
    readers: dict[str, ReceiptReader] = {}
    for name, config in configs.items():
        reader = receipts_class(config.type)
        if reader is not None:
            public_url = None if url is None else f"{url}/{name}"
            readers[name] = reader(config, ReceiptDependencies(fetch=fetch_document, public_url=public_url))
    return readers


def shared_submit(processor: ReceiptProcessor) -> Callable[[ReceiptReport], None]:
    """Has receipts of many threads applied together; large reports, and what people wrote, each by itself.

    A message has several round trips of its own, which a shared write makes no cheaper and others would wait for.
    What it answers with raises ``UnavailableError`` where too many large ones wait.
    """
    together: GroupCommit[ReceiptReport, None] = GroupCommit(processor.process, max_window_seconds=WINDOW_SECONDS)
    large = threading.BoundedSemaphore(_LARGE_AT_ONCE)
    places = threading.BoundedSemaphore(_LARGE_AT_ONCE + _LARGE_WAITING)

    def submit(report: ReceiptReport) -> None:
        batch = report.batch
        if len(batch.receipts) + len(batch.inbound) <= _LARGE_REPORT:
            if batch.inbound:
                processor.process([report])
            else:
                together.submit(report)
        elif places.acquire(blocking=False):
            try:
                with large:
                    processor.process([report])
            finally:
                places.release()
        else:
            raise UnavailableError("too many large reports are being applied; send it again")

    return submit


def fetch_document(url: str, *, ca_file: str | None = None) -> bytes:
    """See ``Fetch``."""
    # Few deployments ever need it, and no web process before its first message of SNS.
    from wavecom.providers.account.client import HttpAccountClient

    client = HttpAccountClient()
    try:
        return client.fetch(url, ca_file=ca_file)
    finally:
        client.close()
