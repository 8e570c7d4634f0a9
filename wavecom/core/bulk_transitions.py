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
    """A ``BulkChange`` that lets one event happen to each job. Any number of them may move the same jobs at once.

    Each job is moved by compare-and-set. Raises what ``TransitionWriter.write`` raises.
    """

    def __init__(self, event_of: EventOf, *, writer: TransitionWriter, clock: Clock, policy: Policy) -> None:
        self._event_of = event_of
        self._writer = writer
        self._clock = clock
        self._policy = policy

    def count(self, jobs: Sequence[Job], operation: BulkOperation) -> None:
        """See ``BulkChange``."""
        _count(self._decide(jobs, operation), operation)

    def apply(self, jobs: Sequence[Job], operation: BulkOperation) -> None:
        """See ``BulkChange``."""
        transitions = self._decide(jobs, operation)
        result = self._writer.write(transitions)
        written = [each for each, is_written in zip(transitions, result.is_written, strict=True) if is_written]
        # Who lost the race was moved by somebody else: there is nothing left to do.
        operation.already_done += len(transitions) - len(written)
        operation.unpublished += result.unpublished
        _count(written, operation)

    def _decide(self, jobs: Sequence[Job], operation: BulkOperation) -> list[Transition]:
        """The transitions of those that the event moves; the others are counted."""
        now = self._clock.now()
        transitions: list[Transition] = []
        for job in jobs:
            try:
                transition = decide(job, self._event_of(operation.done + len(transitions)), now, self._policy)
            except DuplicatePossibleError:
                operation.in_doubt += 1
                continue
            except TransitionError:
                transition = None
            if transition is None:
                operation.already_done += 1
            else:
                transitions.append(transition)
        return transitions


def _count(transitions: Sequence[Transition], operation: BulkOperation) -> None:
    for transition in transitions:
        operation.reasons[reason_of(transition.before)] += 1
        operation.first_id = operation.first_id or transition.job_id
        operation.last_id = transition.job_id
