"""Delivery messages leave at once for their sender, and all of them in the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from wavecom.broker.background import BackgroundPublisher
from wavecom.core.job import DeliveryMessage, JobId
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.ports import DeadLetter


class Broker:
    """A ``Publisher`` that can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.reached = threading.Event()
        self.may_confirm = threading.Event()
        self.may_confirm.set()
        self.failures = 0

    def publish(self, delivery_messages: Sequence[DeliveryMessage]) -> list[bool]:
        self.reached.set()
        assert self.may_confirm.wait(20)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a bug")
        self.batches.append([delivery_message.job_id for delivery_message in delivery_messages])
        return [True] * len(delivery_messages)

    def publish_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> list[bool]:
        raise NotImplementedError


def delivery_messages(*names: str) -> list[DeliveryMessage]:
    return [DeliveryMessage(JobId(name), Lane(Channel.SMS, Priority.NORMAL)) for name in names]


def test_nobody_waits_for_the_confirms_and_what_comes_meanwhile_goes_together() -> None:
    broker = Broker()
    broker.may_confirm.clear()
    publisher = BackgroundPublisher(broker)

    publisher.publish(delivery_messages("a"))
    assert broker.reached.wait(20)
    publisher.publish(delivery_messages("b", "c"))
    publisher.publish(delivery_messages("d"))
    broker.may_confirm.set()
    publisher.close()

    assert broker.batches == [["a"], ["b", "c", "d"]]


def test_a_batch_that_meets_a_bug_costs_no_other() -> None:
    broker = Broker()
    broker.failures = 1
    publisher = BackgroundPublisher(broker)

    publisher.publish(delivery_messages("a"))
    while broker.failures:
        threading.Event().wait(0.001)
    publisher.publish(delivery_messages("b"))
    publisher.close()

    assert broker.batches == [["b"]]


def test_a_broker_that_is_far_behind_slows_its_senders_down() -> None:
    broker = Broker()
    broker.may_confirm.clear()
    publisher = BackgroundPublisher(broker, most_waiting=2)
    publisher.publish(delivery_messages("a"))
    assert broker.reached.wait(20)
    publisher.publish(delivery_messages("b", "c"))
    done = threading.Event()

    def send() -> None:
        publisher.publish(delivery_messages("d"))
        done.set()

    thread = threading.Thread(target=send)
    thread.start()
    held_up = not done.wait(0.2)
    broker.may_confirm.set()
    thread.join(20)
    publisher.close()

    assert held_up
    assert [name for batch in broker.batches for name in batch] == ["a", "b", "c", "d"]


def test_what_comes_at_the_very_end_is_published_by_its_sender() -> None:
    broker = Broker()
    publisher = BackgroundPublisher(broker)
    publisher.close()

    publisher.publish(delivery_messages("a"))

    assert broker.batches == [["a"]]
