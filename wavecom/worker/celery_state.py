"""Adds the delivery pipeline's messages to what Celery tells of a worker (``inspect``, heartbeats).

Those never become requests of Celery's, so it would say that this worker has done nothing and is at nothing. Its counts
are kept in ``celery.worker.state``; here they are added to, in batches. On the worker's main loop only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from celery.worker import state

from wavecom.broker import topology
from wavecom.core.job import JobId


class _Task:
    """As much of a task as Celery asks of an active request when it shuts down."""

    name = topology.DELIVER_TASK
    acks_late = True


class ActiveRequest:
    """A message that is being delivered, in the shape of ``celery.worker.request.Request``."""

    task = _Task
    #: Then Celery leaves it alone at a shutdown; the delivery pipeline finishes it.
    acknowledged = True

    def __init__(self, job_id: JobId, hostname: str) -> None:
        self.id = job_id
        self._hostname = hostname
        self._since = time.time()

    def info(self, safe: bool = False) -> dict[str, Any]:
        """See ``celery.worker.request.Request.info``."""
        arguments = [self.id]
        return {
            "id": self.id,
            "name": topology.DELIVER_TASK,
            "args": repr(arguments) if safe else arguments,
            "kwargs": "{}" if safe else {},
            "type": topology.DELIVER_TASK,
            "hostname": self._hostname,
            "time_start": self._since,
            "acknowledged": False,
            "delivery_info": {},
            "worker_pid": os.getpid(),
        }


class CeleryState:
    """Writes one worker's deliveries into ``celery.worker.state``."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        # Celery holds its requests weakly.
        self._active: dict[int, ActiveRequest] = {}

    def count_handled(self, count: int) -> None:
        """Add ``count`` to the messages handled so far."""
        state.total_count[topology.DELIVER_TASK] += count
        state.all_total_count[0] += count

    def set_active(self, jobs: Mapping[int, JobId]) -> None:
        """Replace the active requests by these jobs (by the tag of their message). To be called every few seconds."""
        for tag in [tag for tag in self._active if tag not in jobs]:
            state.active_requests.discard(self._active.pop(tag))
        for tag, job_id in jobs.items():
            if tag not in self._active:
                self._active[tag] = ActiveRequest(job_id, self._hostname)
                state.active_requests.add(self._active[tag])
