"""Fallbacks over memory: everything real but the servers."""

from __future__ import annotations

from typing import Any

from tests.factories import make_random_bytes
from tests.memory_storage import MemoryFallbackStore, MemoryJobRepository
from wavecom.core.acceptance import Acceptance
from wavecom.core.client_events import EventAccounts
from wavecom.core.engine import Policy
from wavecom.core.fallback_acceptance import Fallbacks
from wavecom.core.fallback_following import FallbackFollowing
from wavecom.core.ids import uuid7
from wavecom.core.operations import Operations
from wavecom.core.ports import Clock
from wavecom.core.submission import Submission
from wavecom.core.transition_writer import TransitionWriter


def following_over(
    store: MemoryFallbackStore,
    jobs: MemoryJobRepository,
    writer: TransitionWriter,
    submission: Submission,
    clock: Clock,
    **more: Any,
) -> FallbackFollowing:
    """What begins the steps of the fallbacks in ``store``."""
    return FallbackFollowing(
        fallbacks=store,
        jobs=jobs,
        operations=Operations(jobs=jobs, writer=writer, clock=clock, policy=Policy()),
        accept=submission.accept,
        clock=clock,
        retention=Policy().retention,
        **more,
    )


def fallbacks_over(
    store: MemoryFallbackStore,
    jobs: MemoryJobRepository,
    writer: TransitionWriter,
    acceptance: Acceptance,
    submission: Submission,
    clock: Clock,
    event_accounts: EventAccounts | None = None,
) -> Fallbacks:
    """Fallbacks as a web process has them."""
    return Fallbacks(
        fallbacks=store,
        acceptance=acceptance,
        submission=submission,
        following=following_over(store, jobs, writer, submission, clock),
        clock=clock,
        new_id=lambda: uuid7(clock.now(), make_random_bytes(10)),
        records_events=lambda account: event_accounts is not None and account in event_accounts.names,
    )
