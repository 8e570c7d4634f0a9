"""The change of a bulk operation that moves jobs: an event for each of them, decided and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wavecom.core.audit import reason_of
from wavecom.core.bulk_operations import BulkOperation
from wavecom.core.engine import Event, Policy, Transition, decide
from wavecom.core.job import Job
from wavecom.core.ports import Clock
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import DuplicatePossibleError, TransitionError

#: The event for a job, from the number of jobs that the operation has moved before it.
EventOf = Callable[[int], Event]


class BulkTransitions:
    """What is done to jobs in bulk. Moving a job is compare-and-set, so any number may move the same jobs at once."""

    def __init__(self, *, writer: TransitionWriter, clock: Clock, policy: Policy) -> None:
        self._writer = writer
        self._clock = clock
        self._policy = policy

    def change(self, event_of: EventOf) -> TransitionOfEach:
        """A ``BulkChange`` that lets this event happen to each job."""
        return TransitionOfEach(self, event_of)

    def planned(self, jobs: Sequence[Job], event_of: EventOf, operation: BulkOperation) -> list[tuple[Job, Transition]]:
        """Jobs that the event moves, each with its transition; the others are counted."""
        now = self._clock.now()
        planned: list[tuple[Job, Transition]] = []
        for job in jobs:
            try:
                transition = decide(job, event_of(operation.done + len(planned)), now, self._policy)
            except DuplicatePossibleError:
                operation.in_doubt += 1
                continue
            except TransitionError:
                transition = None
            if transition is None:
                operation.already_done += 1
            else:
                planned.append((job, transition))
        return planned

    def write(self, planned: Sequence[tuple[Job, Transition]], operation: BulkOperation) -> list[Job]:
        """Write the transitions, with what follows a write; answers the jobs that were moved, as they were."""
        result = self._writer.write([transition for _, transition in planned])
        operation.unpublished += result.unpublished
        return [job for (job, _), is_written in zip(planned, result.is_written, strict=True) if is_written]


class TransitionOfEach:
    """A ``BulkChange``: one event for each job of a batch."""

    def __init__(self, transitions: BulkTransitions, event_of: EventOf) -> None:
        self._transitions = transitions
        self._event_of = event_of

    def count(self, jobs: Sequence[Job], operation: BulkOperation) -> None:
        """See ``BulkChange``."""
        _count([job for job, _ in self._transitions.planned(jobs, self._event_of, operation)], operation)

    def apply(self, jobs: Sequence[Job], operation: BulkOperation) -> None:
        """See ``BulkChange``."""
        planned = self._transitions.planned(jobs, self._event_of, operation)
        moved = self._transitions.write(planned, operation)
        # Who lost the race was moved by somebody else: there is nothing left to do.
        operation.already_done += len(planned) - len(moved)
        _count(moved, operation)


def _count(jobs: Sequence[Job], operation: BulkOperation) -> None:
    for job in jobs:
        operation.reasons[reason_of(job)] += 1
        operation.first_id = operation.first_id or job.job_id
        operation.last_id = job.job_id
