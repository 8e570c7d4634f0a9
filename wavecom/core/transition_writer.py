"""The one place that writes what was decided about jobs, and does what follows a write that took place.

What follows, in this order: the new status is counted, delivery messages are published, dead letters are published and
noted, observers are told. The job was written first, so nothing that follows may fail it: a step that goes wrong is
logged, and the others are taken. What it leaves undone is found again by the job's ``due_at``; a count is lost.

Claims are no part of this: they go straight to ``JobRepository.claim``, many at once, and nothing follows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol

import structlog

from wavecom.core.dead_letter_publishing import publish_dead_letters
from wavecom.core.engine import Policy, Transition
from wavecom.core.job import DeliveryMessage, Job
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock, JobRepository, Publisher
from wavecom.core.states import Status
from wavecom.core.stats import Stats

log = structlog.get_logger()

#: Writes transitions, as ``JobRepository.apply`` does, and returns for each in its order whether it was written.
Apply = Callable[[Sequence[Transition]], Sequence[bool]]

#: How many jobs of a client and channel entered a status.
_Counts = dict[tuple[str, Channel, Status], int]


class MessagePublisher(Protocol):
    """Publishes delivery messages, now or soon, without a word about which of them were confirmed."""

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> object:
        """Publish them. See ``Publisher.publish``."""
        ...


class MoveObserver(Protocol):
    """Is told of transitions that were written, after everything else that follows a write.

    To be quick, because the next write waits for it. What it raises is logged and changes nothing.
    """

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        """Jobs have entered another status; ``Transition.job`` is each as it was before."""
        ...


class WriteObserver(MoveObserver, Protocol):
    """Is told of new jobs, too: for metrics, callbacks, live pages."""

    def on_inserted(self, jobs: Sequence[Job], now: datetime) -> None:
        """New jobs were stored, at ``now`` (aware UTC)."""
        ...


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of a group of transitions, and of the messages that followed those that were written."""

    #: For each transition, in order: whether it was written. The others lost the race; nothing followed them.
    is_written: Sequence[bool]
    #: Delivery messages that the broker has confirmed, and those that it has not: these are the sweep's work.
    published: int = 0
    unpublished: int = 0
    #: Dead letters that are confirmed and noted.
    dead_lettered: int = 0


class TransitionWriter:
    """Writes transitions and new jobs, and does what follows. Thread-safe.

    ``accepted_publisher`` takes the delivery messages of new jobs, whose senders wait for an answer; without one they
    go to ``publisher`` like all others. ``move_observers`` hear of transitions alone, last.
    """

    def __init__(
        self,
        *,
        jobs: JobRepository,
        publisher: Publisher,
        stats: Stats,
        clock: Clock,
        policy: Policy,
        observers: Sequence[WriteObserver] = (),
        move_observers: Sequence[MoveObserver] = (),
        accepted_publisher: MessagePublisher | None = None,
    ) -> None:
        self._jobs = jobs
        self._publisher = publisher
        self._accepted_publisher = accepted_publisher or publisher
        self._stats = stats
        self._clock = clock
        self._policy = policy
        self._observers = tuple(observers)
        self._move_observers: tuple[MoveObserver, ...] = (*observers, *move_observers)

    def write(
        self, transitions: Sequence[Transition], *, apply: Apply | None = None, is_publishing: bool = True
    ) -> WriteResult:
        """Write them, each compare-and-set, and do what follows those that were written, once.

        ``apply`` writes instead of ``JobRepository.apply``: together with others', or with patience while the store is
        away. Without ``is_publishing`` the caller publishes the delivery messages itself.

        Raises what ``apply`` raises, ``StoreError`` and ``UncertainWriteError`` (they may have been written), and then
        nothing has followed. May be repeated with the same transitions: what the first call wrote counts as written.
        """
        if not transitions:
            return WriteResult(())
        is_written = (apply or self._jobs.apply)(transitions)
        written = [transition for transition, was_written in zip(transitions, is_written, strict=True) if was_written]
        return self._follow(written, is_written, is_publishing=is_publishing)

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        """Store new jobs, as ``JobRepository.insert`` does, and do what follows for those that were stored.

        Answers and raises as that does; where it raises, nothing has followed.
        """
        results = self._jobs.insert(jobs)
        stored = [job for job, existing in zip(jobs, results, strict=True) if existing is None]
        if not stored:
            return results
        now = self._clock.now()
        self._count(Counter((job.client, job.type, job.status) for job in stored), is_new=True)
        messages = [job.delivery_message() for job in stored if job.status is Status.QUEUED]
        if messages:
            with _Logged("publish"):
                self._accepted_publisher.publish(messages)
        for observer in self._observers:
            with _Logged("observe"):
                observer.on_inserted(stored, now)
        return results

    # --- what follows -------------------------------------------------------------------------------------------------

    def _follow(self, written: Sequence[Transition], is_written: Sequence[bool], *, is_publishing: bool) -> WriteResult:
        now = self._clock.now()
        moved: list[Transition] = []
        messages: list[DeliveryMessage] = []
        failed: list[Job] = []
        counts: _Counts = {}
        for transition in written:
            job, status = transition.before, transition.status
            if status is not job.status:
                moved.append(transition)
                entered = (job.client, job.type, status)
                counts[entered] = counts.get(entered, 0) + 1
            if transition.delivery_message is not None:
                messages.append(transition.delivery_message)
            if transition.needs_dead_letter:
                failed.append(transition.applied_to(job))
        self._count(counts)
        published = self._publish(messages) if messages and is_publishing else 0
        dead_lettered = self._publish_dead_letters(failed, now) if failed else 0
        if moved:
            for observer in self._move_observers:
                with _Logged("observe"):
                    observer.on_moved(moved, now)
        unpublished = len(messages) - published if is_publishing else 0
        return WriteResult(is_written, published, unpublished, dead_lettered)

    def _count(self, counts: _Counts, *, is_new: bool = False) -> None:
        with _Logged("count"):
            for (client, channel, status), count in counts.items():
                self._stats.add(client, channel, status, count, is_new=is_new)

    def _publish(self, messages: Sequence[DeliveryMessage]) -> int:
        with _Logged("publish"):
            return sum(self._publisher.publish(messages))
        return 0

    def _publish_dead_letters(self, failed: Sequence[Job], now: datetime) -> int:
        with _Logged("publish dead letters"):
            return publish_dead_letters(self._jobs, self._publisher, failed, now, self._policy)
        return 0


class _Logged:
    """Logs an error of this step in place of raising it: what the step belongs to is written."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        log.error("step_after_write_failed", step=self._step, exc_info=error)
        return True
