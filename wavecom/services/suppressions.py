"""The suppression list, and what adds to it: receipts, keywords of text messages, links in mails."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter
from pymongo.database import Database

from wavecom import private_files, receipt_metrics
from wavecom.core.account import account_of
from wavecom.core.actor import OPERATOR
from wavecom.core.feedback import SuppressionFeedback
from wavecom.core.help_answers import HelpAnswers
from wavecom.core.ids import uuid7
from wavecom.core.keys import KeyStore
from wavecom.core.keywords import Keyword, Keywords
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.unsubscribe import UnsubscribeLinks
from wavecom.settings import Settings
from wavecom.storage.mongo.suppressions import MongoSuppressionStore

SUPPRESSIONS_ADDED = Counter(
    "wavecom_suppressions_added_total", "Entries of suppression lists that were put in force, by source", ["source"]
)
HELP_ANSWERED = Counter("wavecom_help_answers_total", "Text messages that were accepted to answer HELP")
KEYWORDS_RECEIVED = Counter(
    "wavecom_keywords_received_total", "Text messages that asked to stop, to start again or for help", ["keyword"]
)


def suppressions_of(database: Database[dict[str, Any]], clock: Clock) -> SuppressionList:
    """The suppression list over MongoDB."""
    return SuppressionList(
        suppression_store_of(database, clock), clock, lambda source: SUPPRESSIONS_ADDED.labels(source.value).inc()
    )


def suppression_store_of(database: Database[dict[str, Any]], clock: Clock) -> MongoSuppressionStore:
    """Where entries of suppression lists are kept."""
    return MongoSuppressionStore(database, new_id=lambda: uuid7(clock.now(), secrets.token_bytes(10)))


def keywords_of(settings: Settings) -> Keywords:
    """The words that count in text messages from people."""
    further = {
        Keyword.STOP: settings.stop_words,
        Keyword.START: settings.start_words,
        Keyword.HELP: settings.help_words,
    }
    return Keywords(settings.keyword_languages, further)


def feedback_of(
    settings: Settings,
    suppressions: SuppressionList,
    jobs: JobRepository,
    keys: KeyStore,
    *,
    owners: Mapping[str, str],
    help_answers: HelpAnswers | None = None,
) -> SuppressionFeedback:
    """What receipts and inbound messages are told to: the suppression list, and what answers HELP where it is given.

    ``owners``: see ``SuppressionFeedback``.
    """
    return SuppressionFeedback(
        suppressions=suppressions,
        jobs=jobs,
        # Operators send from the pages without a key.
        accounts=lambda: {account_of(record.client, True) for record in keys.of_client(None)} | {OPERATOR},
        keywords=keywords_of(settings),
        owners=owners,
        on_keyword=lambda keyword: KEYWORDS_RECEIVED.labels(keyword.value).inc(),
        on_unknown_sender=lambda provider: receipt_metrics.UNREADABLE.labels(provider).inc(),
        on_help=help_answers.answer if help_answers is not None else lambda _message, _accounts: None,
    )


def unsubscribe_links_of(settings: Settings) -> UnsubscribeLinks | None:
    """What makes and reads links in mails; None where the settings do not say what the world calls us."""
    if settings.public_url is None:
        return None
    own = settings.unsubscribe_keys or (private_files.shared_secret(settings.home / "unsubscribe-key"),)
    return UnsubscribeLinks(settings.public_url, own)
