"""How a web process accepts notifications: from requests, and in answer to HELP."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from pymongo.database import Database

from wavecom.batching import GroupCommit
from wavecom.core.client_events import EventAccounts
from wavecom.core.help_answers import HelpAnswers
from wavecom.core.ids import BufferedRandom
from wavecom.core.new_notification import JobMaker
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.quota import QuotaService
from wavecom.core.submission import Submission
from wavecom.core.traces import TraceSampler
from wavecom.core.transition_writer import TransitionWriter
from wavecom.core.unsubscribe import UnsubscribeLinks
from wavecom.core.windows import WINDOWS
from wavecom.services.shared import policy_of, regions_of, served_by
from wavecom.services.suppressions import HELP_ANSWERED, keywords_of
from wavecom.settings import Settings
from wavecom.storage.mongo.blobs import MongoBlobStore
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.quota import TIMEOUT_SECONDS, RedisQuotas


def quotas_of(settings: Settings) -> RedisQuotas:
    """What counts keys' use. On connections of its own, for a request waits: they are few, and have little patience."""
    client = connect_redis(settings.redis_url, max_connections=4, timeout_seconds=TIMEOUT_SECONDS)
    return RedisQuotas(client, processes=settings.web_workers)


def submission_of(
    settings: Settings,
    database: Database[dict[str, Any]],
    *,
    jobs: JobRepository,
    writer: TransitionWriter,
    clock: Clock,
    quotas: QuotaService | None = None,
    unsubscribe_links: UnsubscribeLinks | None = None,
    event_accounts: EventAccounts | None = None,
    traces: TraceSampler | None = None,
) -> Submission:
    """What makes jobs of notifications and stores them, many requests' together. Raises ``ProvidersFileError``."""
    return Submission(
        jobs=jobs,
        writer=writer,
        blobs=MongoBlobStore(database),
        clock=clock,
        batcher=partial(GroupCommit, max_window_seconds=WINDOWS.accept),
        job_maker=JobMaker(
            policy_of(settings),
            BufferedRandom(secrets.token_bytes).take,
            unsubscribe_links=unsubscribe_links,
            regions=regions_of(settings),
            event_accounts=event_accounts,
            traces=traces,
        ),
        policy=policy_of(settings),
        quotas=quotas,
        routes=served_by(settings),
    )


def help_answers_of(settings: Settings, submission: Submission, clock: Clock) -> HelpAnswers:
    """What answers text messages that ask for help, with the settings' texts."""
    return HelpAnswers(
        submission.accept,
        texts=settings.help_texts,
        keywords=keywords_of(settings),
        clock=clock,
        on_answered=HELP_ANSWERED.inc,
    )
