"""Which messages of a lane are lost, where the lane is parted into several queues."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.factories import NOW, later
from wavecom.broker.backlog import QueueBacklog
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.core.lanes import LaneQueue, QueueLayout
from wavecom.core.ports import WaitingMessages

SMS = LaneQueue("sms.normal")
FIRST, SECOND = "notifications.sms.normal", "notifications.sms.normal.1"
MINUTE = timedelta(minutes=1)


def waiting(depths: dict[str, int | None], reached: dict[str, datetime]) -> WaitingMessages:
    return QueueBacklog(depths.get, reached.get, DeliveryQueues(QueueLayout(2))).of(SMS, NOW)


@pytest.mark.parametrize(
    ("depths", "reached", "expected"),
    [
        pytest.param({FIRST: 0, SECOND: 0}, {}, WaitingMessages(0, NOW), id="all are empty"),
        pytest.param(
            {FIRST: 7, SECOND: 5},
            {FIRST: later(-600), SECOND: later(-30)},
            WaitingMessages(12, later(-600) - MINUTE),
            id="the one that is furthest behind counts",
        ),
        pytest.param(
            {FIRST: 0, SECOND: 5},
            {FIRST: later(-9000), SECOND: later(-30)},
            WaitingMessages(5, later(-30) - MINUTE),
            id="an empty one is behind nobody",
        ),
        pytest.param({FIRST: 7, SECOND: 5}, {FIRST: NOW}, WaitingMessages(12, None), id="one has not begun"),
        pytest.param({FIRST: 7, SECOND: None}, {FIRST: NOW}, WaitingMessages(None, None), id="one can't be asked"),
    ],
)
def test_each_partition_is_asked(
    depths: dict[str, int | None], reached: dict[str, datetime], expected: WaitingMessages
) -> None:
    assert waiting(depths, reached) == expected
