"""The dead-letter queue, made to agree with the store after a crash or a purge."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from kombu import Connection

from tests.integration.dead_letters.servers import FAST, DeadLetterServers
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.commands.dead_letters import dead_letters as command
from wavecom.errors import BrokerError


def test_after_a_crash_between_store_and_queue_the_dead_letters_go(servers: DeadLetterServers) -> None:
    jobs = servers.dead(10)
    servers.foreign_messages(b"x")
    # A run that dies right after its last write to the store.
    servers.services.dead_letters.replay(tuple(job.job_id for job in jobs[:6]), FAST)
    assert servers.depth() == 11

    report = servers.services.reconciliation.run_if_needed()

    assert report is not None
    assert (report.removed, report.published_again, report.foreign_messages) == (6, 0, 1)
    assert servers.ids() == [*(job.job_id for job in jobs[6:]), None]
    assert servers.services.reconciliation.run_if_needed() is None


def test_a_purged_queue_is_filled_again_from_the_store(servers: DeadLetterServers) -> None:
    jobs = servers.dead(700)
    with Connection(servers.amqp_url) as connection:
        channel: Any = connection.channel()
        channel.queue_purge(topology.DEAD_QUEUE)

    # Missed once they may be in somebody's hands; nobody waits here for the next tick.
    first = servers.services.reconciliation.run()
    wait_until(lambda: servers.services.reconciliation.run().published_again == 700)

    assert first.published_again == 0
    assert sorted(map(str, servers.ids())) == sorted(job.job_id for job in jobs)


def test_an_agreeing_queue_is_left_alone(servers: DeadLetterServers) -> None:
    servers.dead(3)
    first = servers.services.reconciliation.run_if_needed()

    assert first is not None
    assert (first.removed, first.published_again, first.is_complete) == (0, 0, True)
    assert len(servers.queued()) == 3


def test_a_broker_that_is_away_is_said_in_words(servers: DeadLetterServers) -> None:
    servers.dead(1)
    services = servers.new_services(amqp_url="amqp://guest:guest@127.0.0.1:1//")

    try:
        raw = CliRunner().invoke(command, ["list", "--raw"], obj=services)
        listed = CliRunner().invoke(command, ["list"], obj=services)
        tick = services.reconciliation.run_if_needed()
        with pytest.raises(BrokerError):
            services.reconciliation.run()
    finally:
        services.close()

    assert (raw.exit_code, "Check AMQP_URL" in raw.stderr) == (1, True)
    assert (listed.exit_code, "1 in all." in listed.output) == (0, True)
    assert tick is None


def test_a_store_that_is_away_is_said_in_words(servers: DeadLetterServers) -> None:
    services = servers.new_services(mongodb_uri="mongodb://127.0.0.1:1/wavecom")

    try:
        result = CliRunner().invoke(command, ["replay"], obj=services)
        tick = services.reconciliation.run_if_needed()
    finally:
        services.close()

    assert (result.exit_code, "Check MONGODB_URI" in result.stderr) == (1, True)
    assert isinstance(result.exception, SystemExit)
    assert tick is None
