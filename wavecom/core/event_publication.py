"""Publishing events: from the jobs that they were written with into the logs, and to the callbacks that want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from wavecom.core.client_events import ClientEvent, EventLog, RecordedEvents
from wavecom.core.ports import Clock


class EventSubscriber(Protocol):
    """Wants to have every event, such as callbacks."""

    def add(self, events: Mapping[str, Sequence[ClientEvent]]) -> None:
        """Keep what is to be done about these events, by account. May be repeated. Raises ``StoreError``."""
        ...


class EventPublication:
    """The use case behind the periodic task ``wavecom.publish_events``. Several at once do no harm.

    It stands in line with the sweep in a process that does one thing after the other, and what is scheduled or parked
    waits no longer for it than ``budget_seconds`` and one batch.

    An event is taken out of its job last, when the log and all subscribers have it: a process that dies in between
    leaves it to the next run, which adds nothing that is there.
    """

    def __init__(
        self,
        *,
        recorded: RecordedEvents,
        log: EventLog,
        subscribers: Sequence[EventSubscriber],
        clock: Clock,
        batch: int = 500,
        budget_seconds: float = 1.0,
    ) -> None:
        self._recorded = recorded
        self._log = log
        self._subscribers = subscribers
        self._clock = clock
        self._batch = batch
        self._budget_seconds = budget_seconds

    def run(self) -> int:
        """Publish what there is, until nothing is left or the time is used up; how many events.

        Raises ``StoreError``.
        """
        count = 0
        ends_at = self._clock.monotonic() + self._budget_seconds
        while True:
            now = self._clock.now()
            found = self._recorded.due(now, self._batch)
            by_account: dict[str, list[ClientEvent]] = {}
            for each in found:
                by_account.setdefault(each.account, []).extend(each.as_client_events(now))
            for account, events in by_account.items():
                # In the order in which they happened; those of one job by version, whatever the workers' clocks say.
                events.sort(key=lambda event: event.at)
                by_account[account] = _by_version(events)
                self._log.append(account, by_account[account])
                count += len(events)
            if by_account:
                for subscriber in self._subscribers:
                    subscriber.add(by_account)
                self._recorded.settle(found)
            if len(found) < self._batch or self._clock.monotonic() >= ends_at:
                return count


def _by_version(events: Sequence[ClientEvent]) -> list[ClientEvent]:
    """The same events, with those of each job in the order of their versions, at the places that its events have."""
    versions: dict[str, list[ClientEvent]] = {}
    for event in sorted(events, key=lambda event: event.version, reverse=True):
        versions.setdefault(event.job_id, []).append(event)
    return [versions[event.job_id].pop() for event in events]
