"""Nobody publishes into a queue that the store has not noted: those who consume would not know of it."""

from __future__ import annotations

from tests.memory_storage import MemoryQueueLayout
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.core.lanes import QueueLayout


def followed(registry: MemoryQueueLayout, partitions: int) -> DeliveryQueues:
    queues = DeliveryQueues(QueueLayout(partitions), registry)
    queues.try_refresh()
    return queues


def test_while_the_store_is_away_everything_goes_through_the_first_partition() -> None:
    registry = MemoryQueueLayout()
    registry.is_up = False

    queues = followed(registry, 4)
    before = (queues.publishing, queues.layout)
    registry.is_up = True
    queues.try_refresh()

    assert before == (1, QueueLayout())
    assert (queues.publishing, queues.layout) == (4, QueueLayout(4))
    assert registry.noted() == QueueLayout(4)


def test_who_publishes_into_fewer_consumes_what_others_publish_into_more() -> None:
    registry = MemoryQueueLayout()
    old = followed(registry, 1)

    new = followed(registry, 4)
    assert old.layout == QueueLayout(1)
    old.try_refresh()

    assert (old.publishing, old.layout) == (1, QueueLayout(4))
    assert (new.publishing, new.layout) == (4, QueueLayout(4))


def test_what_was_published_before_there_were_fewer_is_consumed_for_ever() -> None:
    registry = MemoryQueueLayout()
    followed(registry, 4)

    restarted = followed(registry, 1)

    assert (restarted.publishing, restarted.layout) == (1, QueueLayout(4))


def test_a_store_that_was_restored_takes_no_queue_from_a_running_process() -> None:
    registry = MemoryQueueLayout()
    queues = followed(registry, 1)
    followed(registry, 8)
    queues.try_refresh()

    MemoryQueueLayout.__init__(registry)
    queues.try_refresh()

    assert queues.layout == QueueLayout(8)


def test_without_a_change_the_layout_is_the_same_object() -> None:
    # By which a publisher sees that it need declare nothing.
    queues = followed(MemoryQueueLayout(), 4)
    before = queues.layout

    queues.try_refresh()

    assert queues.layout is before
