"""``wavecom doctor`` at RabbitMQ: what is well is well, and each planted fault is found."""

from __future__ import annotations

import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from select import select
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from kombu import Exchange

from tests.diagnosis_faults import faults
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.connection import connect
from wavecom.core.diagnosis import Severity
from wavecom.diagnosis import clocks, machine, rabbitmq
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.local.servers import PrivateRabbitMQ
from wavecom.settings import Settings


@pytest.fixture
def connection(amqp_url: str) -> Iterator[Any]:
    connection = connect(AmqpAddress.parse(amqp_url), 10, "test")
    yield connection
    connection.collect()


@pytest.fixture
def declared(connection: Any) -> Any:
    """All that a running deployment has declared, over a connection of the test's own."""
    channel = connection.channel()
    topology.declare(channel)
    topology.PERIODIC_TASKS.bind(channel).declare()
    return connection


@pytest.fixture
def broker(rabbitmq: PrivateRabbitMQ) -> PrivateRabbitMQ:
    """The node that ``amqp_url`` leads to, by a name that no module has."""
    return rabbitmq


@contextmanager
def broker_that_hangs_up_at(name: str, amqp_url: str) -> Iterator[str]:
    """The broker of ``amqp_url``, under another address, where who asks for ``name`` loses the connection."""
    broker = AmqpAddress.parse(amqp_url).nodes[0]

    class Relay(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((broker.host, broker.port)) as upstream:
                ways = {self.request: upstream, upstream: self.request}
                while True:
                    for source in select(ways, [], [])[0]:
                        data = source.recv(65_536)
                        if not data or name.encode() in data:
                            return
                        ways[source].sendall(data)

    with ThreadingTCPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield amqp_url.replace(str(broker), f"127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


def consume(connection: Any, *queues: str) -> None:
    channel = connection.channel()
    for queue in queues:
        channel.basic_consume(queue)


CONSUMED = [queue.name for queue in topology.TASK_QUEUES]


def test_a_node_that_takes_messages_is_well_and_keeps_none_of_ours(amqp_url: str, declared: Any) -> None:
    assert faults(rabbitmq.check_nodes, Settings(amqp_url=amqp_url)) == []

    found = declared.channel().queue_declare(topology.CANARY_QUEUE, passive=True)
    assert found.message_count == 0


def test_each_node_is_looked_at_though_another_answers(amqp_url: str, declared: Any) -> None:
    both = amqp_url.replace("127.0.0.1:", "127.0.0.1:1,127.0.0.1:")

    [fault] = faults(rabbitmq.check_nodes, Settings(amqp_url=both))

    assert (fault.subject, fault.severity) == ("RabbitMQ 127.0.0.1:1", Severity.ERROR)


def test_a_wrong_password_and_a_virtual_host_that_is_not_there_are_told_apart(amqp_url: str) -> None:
    password = amqp_url.split(":")[2].split("@")[0]
    wrong = faults(rabbitmq.check_nodes, Settings(amqp_url=amqp_url.replace(password, "hunter2")))
    lost = faults(rabbitmq.check_nodes, Settings(amqp_url=f"{amqp_url}-gone"))

    assert [each.text for each in wrong] == ["refuses user or password of AMQP_URL"]
    assert ["virtual host" in each.text for each in lost] == [True]
    vhost = AmqpAddress.parse(amqp_url).vhost
    assert [each.remedy for each in lost] == [f"rabbitmqctl list_permissions -p {vhost}-gone"]
    assert "hunter2" not in str(wrong)


def test_a_broker_under_an_alarm_answers_and_takes_no_messages(tmp_path: Path) -> None:
    with PrivateRabbitMQ(tmp_path / "broker", plugins=()) as broker:
        connection = connect(AmqpAddress.parse(broker.url), 10, "test")
        topology.declare(connection.channel())
        connection.collect()
        broker.ctl("eval", "rabbit_alarm:set_alarm({{resource_limit, disk, node()}, []}).")

        found = faults(rabbitmq.check_nodes, Settings(amqp_url=broker.url))

    assert [(each.severity, each.remedy) for each in found] == [(Severity.ERROR, "rabbitmq-diagnostics alarms")]


def test_queues_as_declared_and_consumed_are_well(amqp_url: str, declared: Any) -> None:
    consume(declared, *CONSUMED)

    assert faults(rabbitmq.check_queues, Settings(amqp_url=amqp_url)) == []


def test_a_queue_that_nobody_consumes_names_the_process_that_should(amqp_url: str, declared: Any) -> None:
    consume(declared, *(name for name in CONSUMED if name not in {"notifications.sms.high", "ops.ticks"}))

    found = {each.subject: each.remedy for each in faults(rabbitmq.check_queues, Settings(amqp_url=amqp_url))}

    assert found == {"notifications.sms.high": "wavecom start worker-high", "ops.ticks": "wavecom start ops"}


def test_queues_and_exchanges_that_are_not_there_are_found_and_not_made(amqp_url: str, connection: Any) -> None:
    for _ in range(2):
        found = faults(rabbitmq.check_queues, Settings(amqp_url=amqp_url))

        assert {each.subject for each in found} >= {"notifications", "notifications.dlx", *CONSUMED, "ops.canary"}
        assert {each.severity for each in found} == {Severity.ERROR}


def test_other_arguments_than_ours_are_named_with_the_command_that_drops_the_queue(
    amqp_url: str, declared: Any, broker: PrivateRabbitMQ
) -> None:
    vhost = AmqpAddress.parse(amqp_url).vhost
    channel = declared.channel()
    for name, arguments in {
        "notifications.sms.high": {"x-queue-type": "classic"},
        topology.DEAD_QUEUE: {"x-queue-type": "quorum", "x-max-length": 5},
    }.items():
        channel.queue_delete(name)
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
    Exchange(topology.PERIODIC.name).bind(channel).delete()
    Exchange(topology.PERIODIC.name, type="direct").bind(channel).declare()
    consume(declared, *CONSUMED)

    found = {each.subject: each for each in faults(rabbitmq.check_queues, Settings(amqp_url=amqp_url))}

    assert set(found) == {"notifications.sms.high", topology.DEAD_QUEUE, topology.PERIODIC.name}
    assert "inequivalent arg 'x-" in found["notifications.sms.high"].text
    assert "x-max-length" in found[topology.DEAD_QUEUE].text
    remedy = found["notifications.sms.high"].remedy
    assert remedy == f"rabbitmqctl delete_queue -p {vhost} notifications.sms.high --if-empty"
    assert found[topology.PERIODIC.name].remedy == f"rabbitmqadmin --vhost={vhost} delete exchange name=periodic"
    broker.ctl(*shlex.split(remedy)[1:])
    after = {each.subject: each.text for each in faults(rabbitmq.check_queues, Settings(amqp_url=amqp_url))}
    assert after["notifications.sms.high"].startswith("is not there")


def test_a_queue_that_cannot_be_asked_hides_no_other(amqp_url: str, declared: Any) -> None:
    name = topology.TASK_QUEUES[0].name
    channel = declared.channel()
    channel.queue_delete(name)
    # The broker refuses to say anything of it to another connection.
    channel.queue_declare(name, exclusive=True, auto_delete=False)
    consume(declared, *(queue for queue in CONSUMED if queue != "ops.ticks"))

    found = faults(rabbitmq.check_queues, Settings(amqp_url=amqp_url))

    vhost = AmqpAddress.parse(amqp_url).vhost
    assert [(each.subject, each.severity, each.remedy) for each in found] == [
        (name, Severity.ERROR, f"rabbitmqctl list_unresponsive_queues -p {vhost}"),
        ("ops.ticks", Severity.ERROR, "wavecom start ops"),
    ]


def test_a_connection_that_is_lost_at_a_queue_hides_no_other(amqp_url: str, declared: Any) -> None:
    consume(declared, *CONSUMED)
    name = topology.TASK_QUEUES[0].name

    with broker_that_hangs_up_at(name, amqp_url) as address:
        found = faults(rabbitmq.check_queues, Settings(amqp_url=address))

    assert [(each.subject, each.severity) for each in found] == [(name, Severity.ERROR)]


def test_a_broker_that_is_away_has_one_fault_for_all_queues() -> None:
    [fault] = faults(rabbitmq.check_queues, Settings(amqp_url="amqp://user:hunter2@127.0.0.1:1/"))

    assert fault.severity is Severity.ERROR
    assert "hunter2" not in str(fault)


def test_the_management_api_tells_of_the_disk_and_the_clock(amqp_url: str, rabbitmq_api_url: str) -> None:
    settings = Settings(
        amqp_url=amqp_url,
        rabbitmq_api_url=rabbitmq_api_url,
        mongodb_uri="mongodb://127.0.0.1:1/w",
        redis_url="redis://127.0.0.1:1",
    )
    context = DiagnosisContext(settings=settings)

    # The API knows nothing of the disk in a node's first seconds.
    disk = wait_until(
        lambda: [each for each in machine.check_disk(context) if each.subject.startswith("RabbitMQ")],
        "the node tells of its disk",
    )
    fast = {each.subject: each.severity for each in faults(clocks.check_clocks, settings, timedelta(minutes=5))}

    assert ["takes no more messages" in each.text for each in disk] == [True]
    assert fast["RabbitMQ"] is Severity.ERROR
