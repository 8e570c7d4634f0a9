"""Accepting goes before delivering: where they share a machine, workers of the lanes that can wait step back.

In a spike both want all of the processors. What is accepted is safe, and waits in its queue; a client who is not
answered has to try again. One-time passwords are nobody's to hold up: a worker that takes a high lane keeps its place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from wavecom.broker import topology
from wavecom.core.lanes import LANES, Priority

#: All queues whose messages can wait for a moment.
PATIENT_QUEUES = frozenset(
    topology.queue_of(lane) for lane in LANES if lane.is_test or lane.priority is not Priority.HIGH
) | {topology.CALLBACKS_QUEUE}

#: Linux schedules sessions against each other first, by a niceness of their own; elsewhere there is no such file.
_SESSION = Path("/proc/self/autogroup")


def niceness_for(queues: Collection[str], wanted: int) -> int:
    """How far a worker of these ``queues`` steps back (0 to 19) when ``wanted`` is what patient ones are told."""
    return wanted if queues and PATIENT_QUEUES.issuperset(map(topology.first_partition, queues)) else 0


def step_back(niceness: int, session: Path = _SESSION) -> None:
    """Lower the priority of this process, of threads that it starts, and of its session. 0 changes nothing."""
    if niceness == 0:
        return
    os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
    # Not there, or not ours to set: then only the process steps back.
    with contextlib.suppress(OSError):
        session.write_text(str(niceness), encoding="ascii")
