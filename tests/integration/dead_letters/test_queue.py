"""Scans of the dead-letter queue: what they remove, what they leave, and what happens when they die."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.dead_letter_environment import Killed
from tests.factories import NOW
from tests.integration.dead_letters.servers import DeadLetterServers
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.dead_letter_queue import AmqpDeadLetterQueue
from wavecom.core.dead_letters import QueueBusyError, QueuedDeadLetter


def test_a_scan_removes_what_must_go_and_leaves_the_rest_in_its_order(servers: DeadLetterServers) -> None:
    jobs = servers.dead(1300)
    doomed = {job.job_id for job in jobs[::3]}

    scan = AmqpDeadLetterQueue(AmqpAddress.parse(servers.amqp_url), origin="test").scan(
        lambda dead_letters: [dead_letter.job_id in doomed for dead_letter in dead_letters]
    )

    assert (scan.seen, scan.removed, scan.is_complete) == (1300, len(doomed), True)
    assert servers.ids() == [job.job_id for job in jobs if job.job_id not in doomed]


def test_a_whole_queue_can_be_taken(servers: DeadLetterServers) -> None:
    servers.dead(1300)

    scan = AmqpDeadLetterQueue(AmqpAddress.parse(servers.amqp_url), origin="test").scan(
        lambda dead_letters: [True] * len(dead_letters)
    )

    assert (scan.removed, servers.queued()) == (1300, [])


def test_a_scan_that_dies_leaves_every_message_that_was_not_removed(servers: DeadLetterServers) -> None:
    jobs = servers.dead(1300)
    batches: list[int] = []

    def die(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
        batches.append(len(dead_letters))
        if len(batches) == 2:
            raise Killed
        return [dead_letter.job_id == jobs[7].job_id for dead_letter in dead_letters]

    with pytest.raises(Killed):
        AmqpDeadLetterQueue(AmqpAddress.parse(servers.amqp_url), origin="test").scan(die)
    wait_until(lambda: servers.depth() >= 1299)

    left = servers.ids()
    # The one acknowledgement may have died with its connection; that costs another scan, never a dead letter.
    assert [job_id for job_id in left if job_id != jobs[7].job_id] == [job.job_id for job in jobs if job is not jobs[7]]


def test_a_budget_ends_a_scan_early(servers: DeadLetterServers) -> None:
    servers.dead(600)

    scan = AmqpDeadLetterQueue(AmqpAddress.parse(servers.amqp_url), origin="test").scan(
        lambda dead_letters: [True] * len(dead_letters), budget_seconds=0
    )

    assert not scan.is_complete
    wait_until(lambda: servers.depth() == 600 - scan.removed)


def test_two_do_not_scan_at_once(servers: DeadLetterServers) -> None:
    servers.dead(2)
    refusals: list[BaseException] = []

    def look(dead_letters: Sequence[QueuedDeadLetter]) -> list[bool]:
        try:
            AmqpDeadLetterQueue(AmqpAddress.parse(servers.amqp_url), origin="second").scan(look)
        except QueueBusyError as error:
            refusals.append(error)
        return [False] * len(dead_letters)

    AmqpDeadLetterQueue(AmqpAddress.parse(servers.amqp_url), origin="first").scan(look)

    assert len(refusals) == 1
    assert len(servers.queued()) == 2


def test_a_queue_that_nobody_has_declared_is_empty(amqp_url: str) -> None:
    scan = AmqpDeadLetterQueue(AmqpAddress.parse(amqp_url), origin="test").scan(
        lambda dead_letters: [True] * len(dead_letters)
    )

    assert (scan.seen, scan.is_complete) == (0, False)


def test_messages_that_rabbitmq_put_there_are_told_from_dead_letters(servers: DeadLetterServers) -> None:
    [job] = servers.dead(1)
    servers.foreign_messages(b"\xff\xfe not json", b"[]")

    dead_letter, *foreign_messages = servers.queued()

    assert (dead_letter.job_id, dead_letter.reason, dead_letter.failed_at) == (job.job_id, "failed_job", NOW)
    assert [(each.job_id, each.reason, each.queue) for each in foreign_messages] == [
        (None, "rejected", "notifications.sms.normal")
    ] * 2
    assert {each.head for each in foreign_messages} == {b"\xff\xfe not json", b"[]"}
