"""How fast a scheduled campaign leaves: jobs due at the same moment, through the sweep, into RabbitMQ.

    python -m benchmarks.campaign [--jobs 20000]

Starts a RabbitMQ and a MongoDB-wire server of its own (WAVECOM_MONGO_SERVER names the program), stores the jobs, runs
one sweep after the other until nothing is due, and checks that every job is queued and has exactly one delivery
message.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from rich.progress import track

from tests.factories import make_job
from tests.memory_storage import MemoryStats
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.backlog import QueueBacklog
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.engine import Policy
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.core.sweep import Sweep
from wavecom.core.transition_writer import TransitionWriter
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository

_CHUNK = 1000


def main() -> None:
    """Measure, by the arguments of the command line, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000, help="how many are due at the same moment")
    count = parser.parse_args().jobs
    program = os.environ.get("WAVECOM_MONGO_SERVER")
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateRabbitMQ(Path(folder) / "rabbitmq", plugins=[]) as rabbitmq,
        PrivateMongo(Path(folder) / "mongo", program=Path(program) if program else None) as mongo,
    ):
        database = default_database(connect(mongo.url))
        ensure_indexes(database)
        jobs = MongoJobRepository(database["jobs"])
        publisher = AmqpPublisher(AmqpAddress.parse(rabbitmq.url), origin="campaign")
        while not publisher.ping():
            time.sleep(0.2)
        _store(jobs, count)
        clock, policy = StoreClock(jobs.now).start(), Policy()
        sweep = Sweep(
            jobs=jobs,
            writer=TransitionWriter(jobs=jobs, publisher=publisher, stats=MemoryStats(), clock=clock, policy=policy),
            backlog=QueueBacklog(publisher.depth, lambda _queue: None),
            clock=clock,
            policy=policy,
            jitter=random.random,
            budget_seconds=600,
        )
        started, cpu = time.monotonic(), time.process_time()
        report = sweep.run()
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
        queued = database["jobs"].count_documents({"status": Status.QUEUED.value})
        delivery_messages = sum(publisher.depth(queue.name) or 0 for queue in topology.DELIVERY_QUEUES)
        publisher.close()
        print(f"{report.published} published in {seconds:.1f} s: {report.published / seconds:,.0f} per second")
        print(
            f"{cpu / count * 1000:.2f} ms of the sweep's CPU per job; {queued} jobs queued, "
            f"{delivery_messages} messages waiting"
        )
        if (queued, delivery_messages) != (count, count):
            raise SystemExit("the figures do not agree")


def _store(jobs: MongoJobRepository, count: int) -> None:
    now = jobs.now()
    for start in track(range(0, count, _CHUNK), description="storing"):
        jobs.insert(
            [
                make_job(
                    status=Status.SCHEDULED,
                    type=random.choice(list(Channel)),
                    created_at=now - timedelta(hours=1),
                    updated_at=now - timedelta(hours=1),
                    send_at=now,
                    due_at=now,
                    expires_at=now + timedelta(hours=72),
                    queued_at=None,
                )
                for _ in range(min(_CHUNK, count - start))
            ]
        )


if __name__ == "__main__":
    main()
