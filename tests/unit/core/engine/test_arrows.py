"""The declared arrows against the ones that jobs really take: none is missing, none is for show.

Every history of a job, with one worker that may vanish or come late, is walked until nothing new turns up. Workers
are honest: each reports once, and what it made of its own claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from tests.factories import NOW, make_claim, make_job, make_receipt_event, make_try
from wavecom.core.engine import (
    AttemptFinished,
    AttemptPrevented,
    CancelRequested,
    ClaimRequested,
    DueReached,
    Event,
    ReplayRequested,
    StoreRestored,
    Transition,
    decide,
)
from wavecom.core.job import Job, Outcome, UnknownOutcomePolicy
from wavecom.core.receipts import ReceiptKind
from wavecom.core.states import ARROWS, Status
from wavecom.errors import TransitionError

LIFE = timedelta(minutes=10)


@dataclass(frozen=True)
class Scene:
    """The job in the store, and the job as each worker that still has to report has claimed it."""

    stored: Job
    held: tuple[Job, ...]

    def outline(self) -> tuple[object, ...]:
        """What the future depends on; dates only as far as they part these scenes."""
        job = self.stored
        return (
            (job.status, job.attempts, job.may_have_been_sent, job.replays, job.on_unknown_outcome),
            None if job.claim is None else job.claim.token,
            tuple((each.attempts, each.may_have_been_sent, each.claim) for each in self.held),
        )


@cache
def walked() -> frozenset[tuple[Status, Status]]:
    """Every change of status that some history makes."""
    arrows: set[tuple[Status, Status]] = set()
    scenes = [
        Scene(make_job(status=status, max_attempts=2, on_unknown_outcome=policy, expires_at=NOW + LIFE, due_at=NOW), ())
        for status in (Status.SCHEDULED, Status.QUEUED)
        for policy in UnknownOutcomePolicy
    ]
    seen = {scene.outline() for scene in scenes}
    while scenes:
        scene = scenes.pop()
        for following in steps(scene):
            if following.stored.status is not scene.stored.status:
                arrows.add((scene.stored.status, following.stored.status))
            if following.outline() not in seen:
                seen.add(following.outline())
                scenes.append(following)
    return frozenset(arrows)


def steps(scene: Scene) -> Iterator[Scene]:
    job = scene.stored
    in_time = max(job.due_at or NOW, job.updated_at)
    too_late = job.expires_at + timedelta(days=4)
    for now in (in_time, too_late):
        for event in (DueReached(), make_receipt_event(), make_receipt_event(ReceiptKind.FAILED), CancelRequested()):
            yield from written(scene, job, event, now)
    if job.replays == 0:
        yield from written(scene, job, ReplayRequested(too_late + LIFE, accepts_duplicate=True), too_late)
    yield from written(scene, job, StoreRestored(before=too_late), in_time)
    if len(scene.held) < 2:
        claim = make_claim(f"{job.replays}-{job.attempts}-{len(scene.held)}", lease_until=in_time)
        for after in written(scene, job, ClaimRequested(claim), in_time):
            yield replace(after, held=(*scene.held, after.stored))
    for held in scene.held:
        rest = replace(scene, held=tuple(each for each in scene.held if each is not held))
        for event in reports(held):
            for now in (job.updated_at, in_time, too_late):
                yield from written(rest, held, event, now)


def reports(held: Job) -> Iterator[Event]:
    assert held.claim is not None
    token = held.claim.token
    yield AttemptPrevented(token, 1)
    for outcome in Outcome:
        yield AttemptFinished(token, (make_try(outcome),), expects_receipt=False)
    yield AttemptFinished(token, (make_try(Outcome.ACCEPTED),), expects_receipt=True)


def written(scene: Scene, snapshot: Job, event: Event, now: datetime) -> Iterator[Scene]:
    """The scene after the event, if the store takes it."""
    try:
        transition: Transition | None = decide(snapshot, event, now)
    except TransitionError:
        return
    if transition is not None and transition.guard.holds(scene.stored):
        yield replace(scene, stored=transition.applied_to(scene.stored))


def test_every_declared_arrow_is_taken_by_some_history() -> None:
    declared = {(old, new) for old, ways in ARROWS.items() for new in ways}

    assert declared - walked() == set()


def test_no_history_takes_an_arrow_that_is_not_declared() -> None:
    declared = {(old, new) for old, ways in ARROWS.items() for new in ways}

    assert walked() - declared == set()
