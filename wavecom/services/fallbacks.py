"""Fallbacks, as the processes put them together."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pymongo.database import Database

from wavecom.core.acceptance import Acceptance
from wavecom.core.client_events import EventAccounts
from wavecom.core.fallback_acceptance import Fallbacks
from wavecom.core.fallback_following import FallbackFollowing
from wavecom.core.ids import uuid7
from wavecom.core.new_notification import NewNotification
from wavecom.core.operations import Operations
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.submission import Accepted, Submission
from wavecom.core.transition_writer import TransitionWriter
from wavecom.services.shared import policy_of
from wavecom.settings import Settings
from wavecom.storage.mongo.fallbacks import MongoFallbackStore


def following_of(
    settings: Settings,
    database: Database[dict[str, Any]],
    *,
    jobs: JobRepository,
    writer: TransitionWriter,
    accept: Callable[[NewNotification], Accepted],
    clock: Clock,
    prepare: Callable[[], None] = lambda: None,
) -> FallbackFollowing:
    """What begins the steps of fallbacks, one after the other. ``prepare``: see ``FallbackFollowing``."""
    policy = policy_of(settings)
    return FallbackFollowing(
        fallbacks=MongoFallbackStore(database),
        jobs=jobs,
        operations=Operations(jobs=jobs, writer=writer, clock=clock, policy=policy),
        accept=accept,
        clock=clock,
        retention=policy.retention,
        receipt_deadline=policy.receipt_deadline,
        prepare=prepare,
    )


def fallbacks_of(
    settings: Settings,
    database: Database[dict[str, Any]],
    *,
    jobs: JobRepository,
    writer: TransitionWriter,
    acceptance: Acceptance,
    submission: Submission,
    clock: Clock,
    event_accounts: EventAccounts,
) -> Fallbacks:
    """Fallbacks as requests have them accepted, read and cancelled."""
    return Fallbacks(
        fallbacks=MongoFallbackStore(database),
        acceptance=acceptance,
        submission=submission,
        following=following_of(settings, database, jobs=jobs, writer=writer, accept=submission.accept, clock=clock),
        clock=clock,
        new_id=lambda: uuid7(clock.now(), os.urandom(10)),
        records_events=lambda account: account in event_accounts.names,
    )
