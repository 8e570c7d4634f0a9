"""Beat's schedule, in memory."""

from __future__ import annotations

from celery.beat import Scheduler


class MemoryScheduler(Scheduler):
    """Celery's scheduler without the file in which ``PersistentScheduler`` keeps when each entry ran last.

    All that is scheduled here comes every few seconds, so a beat that starts anew has nothing to catch up on.
    """

    def setup_schedule(self) -> None:
        """Take the entries of ``beat_schedule``; called by Celery once, when beat starts."""
        self.merge_inplace(self.app.conf.beat_schedule)
