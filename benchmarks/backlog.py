"""What a deep backlog costs RabbitMQ: memory while delivery messages pile up in a lane, and how fast they are taken.

    python -m benchmarks.backlog [--messages 1000000] [--partitions 1] [--folder docs/reports]

Starts a RabbitMQ of its own and publishes delivery messages into one lane, as a web process does, while no worker takes
any. Then one consumer takes all of them, with a worker's prefetch count, and acknowledges many at once. Exit code 1:
not every message came back, or the broker held more memory than it may.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.plot import COLOURS, Curve, lines
from harness.processes import sample
from harness.report_files import run_facts, run_section, write_figures, write_page
from harness.tables import table
from tests.factories import make_job_id
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.connection import connect
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import DeliveryMessage
from wavecom.core.lanes import Channel, Lane, Priority, QueueLayout
from wavecom.local.rabbitmq import PrivateRabbitMQ
from wavecom.settings import Settings

#: As many as the background publisher puts into one batch.
_BATCH: Final = 500
_LANE: Final = Lane(Channel.SMS, Priority.BULK)
_SAMPLE_SECONDS: Final = 1.0
_NAME: Final = "backlog"


@dataclass(slots=True)
class Watch:
    """Memory of the broker's processes (MiB) over the seconds since the beginning; read on a thread."""

    pid: int
    began: float = field(default_factory=time.monotonic)
    memory: list[tuple[float, float]] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Sample until ``end``."""
        while not self._is_over.is_set():
            self.memory.append((round(time.monotonic() - self.began, 1), round(self.now(), 1)))
            self._is_over.wait(_SAMPLE_SECONDS)

    def end(self) -> None:
        """Take no more samples."""
        self._is_over.set()

    def now(self) -> float:
        """MiB at this moment."""
        return sample({"broker": [self.pid]}).groups["broker"].memory_mib


@dataclass(frozen=True, slots=True)
class Backlog:
    """What was measured. Memory in MiB; ``steps``: messages waiting, and memory then."""

    messages: int
    partitions: int
    idle_mib: float
    steps: Sequence[tuple[int, float]]
    peak_mib: float
    drained_mib: float
    published_per_second: float
    drained_per_second: float
    taken: int
    left: int
    memory: Sequence[tuple[float, float]]


def main() -> None:
    """Measure, by the arguments of the command line, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many wait at the most")
    parser.add_argument("--partitions", type=int, default=1, help="WAVECOM_QUEUE_PARTITIONS")
    parser.add_argument("--limit-mib", type=float, default=1024, help="what the broker may hold")
    parser.add_argument("--folder", type=Path, default=Path("docs/reports"), help="where the report is written")
    arguments = parser.parse_args()
    began = datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateRabbitMQ(Path(folder) / "rabbitmq", plugins=[]) as rabbitmq,
    ):
        found = _measure(rabbitmq, arguments.messages, arguments.partitions)
    command = f"python -m benchmarks.backlog {shlex.join(sys.argv[1:])}".rstrip()
    write_figures(arguments.folder, _NAME, {"backlog": asdict(found)})
    page = write_page(arguments.folder, _NAME, _page(found, run_facts(command, began, None)), {_NAME: _picture(found)})
    print(page.read_text(encoding="utf-8"))
    if found.taken < found.messages or found.left or found.peak_mib > arguments.limit_mib:
        raise SystemExit("the backlog did not drain whole, or took more memory than it may")


def _measure(rabbitmq: PrivateRabbitMQ, count: int, partitions: int) -> Backlog:
    address, layout = AmqpAddress.parse(rabbitmq.url), QueueLayout(partitions)
    publisher = AmqpPublisher(address, origin=_NAME, queues=DeliveryQueues(layout))
    while not publisher.ping():
        time.sleep(0.2)
    watch = Watch(rabbitmq.pid)
    idle = watch.now()
    thread = threading.Thread(target=watch.run)
    thread.start()
    steps: list[tuple[int, float]] = []
    try:
        started = time.monotonic()
        for waiting in _publish(publisher, count):
            if waiting * 10 // count > len(steps):
                steps.append((waiting, round(watch.now(), 1)))
                print(f"{waiting:,} wait, {steps[-1][1]:,.0f} MiB", flush=True)
        published_seconds = time.monotonic() - started
        started = time.monotonic()
        names = topology.partition_names(topology.queue_of(_LANE), partitions)
        taken = _drain(address, names, count)
        drained_seconds = time.monotonic() - started
        left = sum(publisher.depth(name) or 0 for name in names)
        time.sleep(5 * _SAMPLE_SECONDS)
    finally:
        watch.end()
        thread.join()
        publisher.close()
    return Backlog(
        messages=count,
        partitions=partitions,
        idle_mib=round(idle, 1),
        steps=steps,
        peak_mib=max(memory for _, memory in watch.memory),
        drained_mib=watch.memory[-1][1],
        published_per_second=round(count / published_seconds),
        drained_per_second=round(taken / drained_seconds),
        taken=taken,
        left=left,
        memory=watch.memory,
    )


def _publish(publisher: AmqpPublisher, count: int) -> Iterator[int]:
    """Publish so many, each confirmed; how many there are after each batch."""
    waiting = 0
    while waiting < count:
        batch = [DeliveryMessage(make_job_id(), _LANE) for _ in range(min(_BATCH, count - waiting))]
        while batch:
            confirmed = publisher.publish(batch)
            waiting += sum(confirmed)
            batch = [message for message, is_confirmed in zip(batch, confirmed, strict=True) if not is_confirmed]
            if batch:  # after a failure the publisher leaves the broker alone for a while
                time.sleep(0.5)
        yield waiting


def _drain(address: AmqpAddress, queues: Sequence[str], count: int) -> int:
    """Take and acknowledge ``count`` messages; how many came before the broker fell silent."""
    prefetch = 2 * Settings().worker_concurrency
    connection = connect(address, 60, _NAME)
    channel: Any = connection.channel()
    channel.basic_qos(0, prefetch, False)
    tags = itertools.count(1)
    taken = 0

    def take(message: Any) -> None:
        nonlocal taken
        taken += 1
        if next(tags) % 100 == 0:
            channel.basic_ack(message.delivery_tag, multiple=True)

    for queue in queues:
        channel.basic_consume(queue, callback=take)
    try:
        while taken < count:
            connection.drain_events(timeout=30)
        channel.basic_ack(0, multiple=True)
        channel.close()
    except TimeoutError:
        print(f"nothing more came after {taken:,}")
    finally:
        connection.collect()
    return taken


def _page(found: Backlog, facts: dict[str, str]) -> list[str]:
    growth = (found.steps[-1][1] - found.steps[len(found.steps) // 2][1]) * 2**20
    count = found.steps[-1][0] - found.steps[len(found.steps) // 2][0]
    each = f"{growth / count:,.0f} bytes of memory for each further message" if count else "one step"
    return [
        "# A deep backlog in RabbitMQ",
        "",
        f"{found.messages:,} delivery messages waited in the lane {topology.queue_of(_LANE)}, parted into "
        f"{found.partitions}, while no worker took any; then one consumer took {found.taken:,}, and {found.left} were "
        f"left. The broker held {found.peak_mib:,.0f} MiB at the most, {found.idle_mib:,.0f} before and "
        f"{found.drained_mib:,.0f} a few seconds after: over the second half of them {each}.",
        "",
        *table(["waiting", "memory in MiB"], [(f"{waiting:,}", f"{memory:,.0f}") for waiting, memory in found.steps]),
        "",
        f"Published and confirmed: {found.published_per_second:,.0f} a second; taken and acknowledged: "
        f"{found.drained_per_second:,.0f} a second.",
        "",
        f"![memory of the broker]({_NAME}/{_NAME}.svg)",
        "",
        *run_section(facts),
    ]


def _picture(found: Backlog) -> str:
    return lines("MiB that the broker holds, over seconds", [Curve("memory", COLOURS[0], found.memory)])


if __name__ == "__main__":
    main()
