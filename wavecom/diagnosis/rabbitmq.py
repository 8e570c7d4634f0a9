"""RabbitMQ: each node, whether it takes messages, and its exchanges and queues against what we declare."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import amqp
from kombu import Exchange, Queue

from wavecom.amqp_address import AmqpNode
from wavecom.broker import topology
from wavecom.broker.connection import connect
from wavecom.core import diagnosis
from wavecom.core.autoscaling import LANE_GROUPS
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.core.lanes import QueueLayout
from wavecom.diagnosis.context import DiagnosisContext, reason_of, shortest_seconds
from wavecom.errors import ProvidersFileError
from wavecom.services.shared import regions_of
from wavecom.setting_values import MOST_PARTITIONS

NAME: Final = "RabbitMQ"
_OLDEST: Final = (3, 10)
_TIMEOUT_SECONDS: Final = 5.0
_CONFIRM_SECONDS: Final = 3.0
_STATUS: Final = "rabbitmq-diagnostics status"
#: What the broker says of an argument; before it stands the reply's code, after it nothing of ours.
_INEQUIVALENT: Final = re.compile(r"inequivalent arg .*", re.DOTALL)
#: Queue → the process of the Procfile that consumes it.
_PROCESS_OF: Final = {
    **{topology.queue_name(queue): group.name for group in LANE_GROUPS for queue in group.queues},
    topology.PERIODIC_QUEUE: "ops",
    topology.CALLBACKS_QUEUE: "worker",
}
_EXCHANGES: Final = (topology.NOTIFICATIONS, topology.DEAD_LETTERS, topology.PERIODIC)


def check_nodes(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Each node by itself: one that is away is not noticed as long as another answers."""
    for node in context.settings.amqp.nodes:
        yield from _check_node(context, node)


def check_queues(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Exchanges and queues: there, with our arguments, and consumed. Declares nothing that is not there.

    One that can't be asked hides no other: the others are asked over a new connection.
    """
    address = context.settings.amqp
    connection: Any = None
    try:
        connection = connect(address, _TIMEOUT_SECONDS, "wavecom doctor")
        partitions = _partitions(connection, context.settings.queue_partitions)
        layout = QueueLayout(partitions, _regions(context))
        entities: list[Exchange | Queue] = [
            *_EXCHANGES,
            *topology.delivery_queues(layout),
            topology.CALLBACKS,
            topology.PERIODIC_TASKS,
            topology.DEAD,
            topology.CANARY,
        ]
        for entity in entities:
            if connection is None:
                connection = connect(address, _TIMEOUT_SECONDS, "wavecom doctor")
            try:
                yield _check_entity(connection, entity, address.vhost)
            except (amqp.AMQPError, OSError) as error:
                connection.collect()
                connection = None
                yield _unanswered(entity, error, address.vhost)
    except (amqp.AMQPError, OSError) as error:
        yield _unreachable("queues", NAME, error, address.vhost)
    finally:
        if connection is not None:
            connection.collect()


def _check_node(context: DiagnosisContext, node: AmqpNode) -> Iterator[CheckResult]:
    subject = f"{NAME} {node}"
    address = replace(context.settings.amqp, nodes=(node,))
    try:
        connection = connect(address, _TIMEOUT_SECONDS, "wavecom doctor")
    except (amqp.AMQPError, OSError) as error:
        yield _unreachable("rabbitmq", subject, error, address.vhost)
        return
    try:
        channel = connection.channel()

        def ask() -> None:
            channel.basic_qos(0, 1, False)

        yield diagnosis.latency("rabbitmq", subject, shortest_seconds(ask, context.monotonic), _STATUS)
        yield diagnosis.version("rabbitmq", subject, str(connection.server_properties.get("version", "")), _OLDEST)
        yield _takes_messages(connection, subject)
    except (amqp.AMQPError, OSError) as error:
        yield _unreachable("rabbitmq", subject, error, address.vhost)
    finally:
        connection.collect()


def _takes_messages(connection: Any, subject: str) -> CheckResult:
    """A message through the canary's queue, confirmed. A broker under an alarm answers everything and confirms none."""
    channel = connection.channel()
    try:
        topology.CANARY.bind(channel).queue_declare(passive=True)
    except amqp.NotFound:
        return CheckResult(
            "rabbitmq", subject, Severity.OK, "answers; whether it takes messages shows once a process ran"
        )
    try:
        channel.basic_publish_confirm(
            amqp.Message(b"{}"), routing_key=topology.CANARY_QUEUE, confirm_timeout=_CONFIRM_SECONDS
        )
        channel.basic_get(topology.CANARY_QUEUE, no_ack=True)
    except (amqp.AMQPError, TimeoutError):
        text = "answers and takes no messages: a disk or memory alarm, or queues without leaders"
        return CheckResult("rabbitmq", subject, Severity.ERROR, text, "rabbitmq-diagnostics alarms")
    return CheckResult("rabbitmq", subject, Severity.OK, "takes messages")


def _partitions(connection: Any, wanted: int) -> int:
    """How many partitions lanes have: those that our settings want, and any that others have declared."""
    names = topology.partition_names(topology.TEST_QUEUE, MOST_PARTITIONS)
    for number in range(wanted, MOST_PARTITIONS):
        try:
            connection.channel().queue_declare(names[number], passive=True)
        except amqp.NotFound:
            return number
    return MOST_PARTITIONS


def _regions(context: DiagnosisContext) -> tuple[str, ...]:
    """The regions of the providers file; none where that can't be read, which another check says."""
    try:
        regions = regions_of(context.settings)
    except ProvidersFileError:
        return ()
    return () if regions is None else tuple(regions.regions)


def _process_of(name: str) -> str | None:
    """The process that consumes this partition of this queue, of whatever region."""
    return _PROCESS_OF.get(topology.without_region(topology.first_partition(name)))


def _check_entity(connection: Any, entity: Exchange | Queue, vhost: str) -> CheckResult:
    if isinstance(entity, Exchange):
        return _check_exchange(connection, entity, vhost)
    return _check_queue(connection, entity, vhost)


def _check_exchange(connection: Any, exchange: Exchange, vhost: str) -> CheckResult:
    def declare(is_passive: bool) -> None:
        exchange.bind(connection.channel()).declare(passive=is_passive)

    remedy = f"rabbitmqadmin --vhost={shlex.quote(vhost)} delete exchange name={exchange.name}"
    problem = _difference(declare, exchange.name, vhost, remedy)
    return problem or CheckResult("queues", exchange.name, Severity.OK, "exchange as declared")


def _check_queue(connection: Any, queue: Queue, vhost: str) -> CheckResult:
    state: Any = None

    def declare(is_passive: bool) -> None:
        nonlocal state
        state = connection.channel().queue_declare(
            queue.name,
            passive=is_passive,
            durable=queue.durable,
            auto_delete=queue.auto_delete,
            arguments=queue.queue_arguments,
        )

    remedy = f"{_rabbitmqctl('delete_queue', vhost)} {queue.name} --if-empty"
    problem = _difference(declare, queue.name, vhost, remedy)
    if problem is not None:
        return problem
    process = _process_of(queue.name)
    if process is not None:
        return diagnosis.consumers(queue.name, state.consumer_count, state.message_count, process)
    return CheckResult("queues", queue.name, Severity.OK, f"arguments as declared, {state.message_count} messages")


def _difference(declare: Callable[[bool], None], name: str, vhost: str, remedy: str) -> CheckResult | None:
    """None: it is there and is what we declare. ``declare(True)`` only asks, ``declare(False)`` compares."""
    process = _process_of(name) or "worker"
    try:
        declare(True)
        # There: declaring it compares it with ours, argument by argument, and changes nothing.
        declare(False)
    except amqp.NotFound:
        text = "is not there; a process that starts declares it"
        return CheckResult("queues", name, Severity.ERROR, text, f"wavecom start {process}")
    except amqp.PreconditionFailed as error:
        found = _INEQUIVALENT.search(str(error.reply_text))
        told = found[0] if found else "an argument is not as declared"
        text = f"{told}: empty it, delete it, then start a process, which declares it anew"
        return CheckResult("queues", name, Severity.ERROR, text, remedy)
    except amqp.AccessRefused:
        text = "may not be asked by this user: it needs the permission to configure"
        return CheckResult("queues", name, Severity.WARNING, text, _rabbitmqctl("list_permissions", vhost))
    return None


def _rabbitmqctl(command: str, vhost: str) -> str:
    """The beginning of a command about our virtual host: without ``-p`` it would be about ``/``."""
    return f"rabbitmqctl {command} -p {shlex.quote(vhost)}"


def _unanswered(entity: Exchange | Queue, error: Exception, vhost: str) -> CheckResult:
    """One of which the broker says nothing, or nothing that a declaration is usually answered with."""
    remedy = _rabbitmqctl("list_exchanges" if isinstance(entity, Exchange) else "list_unresponsive_queues", vhost)
    return CheckResult("queues", entity.name, Severity.ERROR, f"can't be asked ({reason_of(error)})", remedy)


def _unreachable(check: str, subject: str, error: Exception, vhost: str) -> CheckResult:
    if isinstance(error, amqp.AccessRefused):
        return CheckResult(
            check, subject, Severity.ERROR, "refuses user or password of AMQP_URL", "rabbitmqctl list_users"
        )
    if isinstance(error, amqp.NotAllowed):
        text = "has no such virtual host, or not for this user"
        return CheckResult(check, subject, Severity.ERROR, text, _rabbitmqctl("list_permissions", vhost))
    text = f"can't be used ({reason_of(error)}): check AMQP_URL and that it runs"
    return CheckResult(check, subject, Severity.ERROR, text, _STATUS)
