"""What the pages for people who run WaveCom show while there is much to do and something is wrong."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.web.dashboard.environment import DashboardEnvironment
from wavecom.core.lanes import LIVE_QUEUES, Channel
from wavecom.core.measurements import Measured, MeasuredKey
from wavecom.core.overview import Overview, QueueOverview, WorkerOverview, lanes_of
from wavecom.core.ports import Interval
from wavecom.core.states import Status


def busy(environment: DashboardEnvironment) -> None:
    """Something in every counter, and what servers say."""
    now = environment.clock.now()
    environment.stats.add("acme", Channel.SMS, Status.DELIVERED, 1200)
    environment.stats.add("acme", Channel.SMS, Status.FAILED, 30)
    environment.stats.add("acme:test", Channel.SMS, Status.FAILED, 7777)
    environment.measurements.add(
        now,
        {
            MeasuredKey(Measured.TAKEN, ("sms", "high")): {0.05: 90, 2.5: 10},
            MeasuredKey(Measured.ENDED, ("sms", "high", "delivered")): {5.0: 100},
        },
    )
    queues = {lane: QueueOverview(f"notifications.{lane}", 300, 2, 12.0) for lane in LIVE_QUEUES}
    measured = environment.measurements.between(now - timedelta(hours=1), now + timedelta(hours=1), Interval.MINUTE)
    environment.overview = Overview(
        at=now,
        accepted={Channel.SMS: 17.0},
        rates={Channel.SMS: {Status.QUEUED: 20.0, Status.DELIVERED: 18.5, Status.FAILED: 0.5}},
        queues=list(queues.values()),
        lanes=lanes_of(measured, queues, now),
        dead_letters=41,
        workers=[WorkerOverview("worker1@host", "a thread hangs", 0.0)],
        sweep_seconds=1.0,
        stalled=["notifications.email.bulk"],
        away=["Redis"],
    )
