"""pytest-celery over our own private servers: no Docker. A "container" is a child process here.

The four fixtures that pytest-celery documents for replacement are replaced: the clusters of broker, backend and worker,
and the app. A test asks for ``celery_setup`` and gets a real ``celery -A wavecom worker`` on a virtual host, a Redis
and a database of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from celery import Celery
from kombu import Connection
from pymongo.database import Database
from pytest_celery import CeleryBrokerCluster, CeleryTestBroker, CeleryTestWorker, CeleryWorkerCluster

from tests.factories import make_job
from tests.ticks import ticks
from tests.waiting import PATIENCE_SECONDS, wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import Job, JobId
from wavecom.local.servers import PrivateRabbitMQ
from wavecom.storage.mongo.jobs import MongoJobRepository


class LocalBroker:
    """The session's RabbitMQ in the shape that pytest-celery expects of a container."""

    status, id, name = "running", "local-rabbitmq", "rabbitmq"

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def celeryconfig(self) -> dict[str, str]:
        return {"url": self._url, "host_url": self._url}

    def ready(self) -> bool:
        address = urlparse(self._url)
        socket.create_connection((str(address.hostname), int(address.port or 0)), 5).close()
        return True

    def logs(self) -> str:
        return ""

    def reload(self) -> None:
        return None

    def teardown(self) -> None:
        return None


class LocalWorker:
    """A ``celery -A wavecom worker`` child process in the shape that pytest-celery expects of a container."""

    id = "local"
    name = "worker"

    def __init__(
        self, log: Path, environment: dict[str, str], arguments: Sequence[str] = (), prefix: Sequence[str] = ()
    ) -> None:
        self._log = log
        self._environment = {**os.environ, **environment}
        self._arguments = list(arguments)
        self._prefix = list(prefix)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def start(self) -> None:
        self._log_from = self._log.stat().st_size if self._log.exists() else 0
        command = [*self._prefix, sys.executable, "-m", "celery", "-A", "wavecom", "worker", "-n", f"worker@{self.id}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments], stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    def ready(self) -> bool:
        if self._process is None:
            self.start()

        def is_ready() -> bool:
            assert self.status == "running", f"the worker ended at its start:\n{self.logs()}"
            return " ready." in self.logs()

        wait_until(is_ready, "the worker")
        return True

    def logs(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")

    @property
    def status(self) -> str:
        return "running" if self._process is not None and self._process.poll() is None else "exited"

    @property
    def celeryconfig(self) -> dict[str, str]:
        return {}

    def kill(self, signal: str | int = "SIGKILL") -> None:
        assert self._process is not None
        number = _number(signal)
        os.killpg(self._process.pid, number)
        self._process.wait(30)

    def signal(self, name: str) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, _number(name))

    def restart(self, timeout: float = PATIENCE_SECONDS) -> None:
        if self.status == "running":
            self.kill("SIGTERM")
        self.start()
        self.ready()

    def reload(self) -> None:
        return None

    def teardown(self) -> None:
        if self.status == "running":
            self.kill()

    @classmethod
    def worker_name(cls) -> str:
        return cls.name

    @classmethod
    def version(cls) -> str:
        return "wavecom"

    @classmethod
    def log_level(cls) -> str:
        return "WARNING"

    @classmethod
    def worker_queue(cls) -> str:
        return ""


def _number(name: str | int) -> int:
    return signal.Signals[name] if isinstance(name, str) else name


#: For tests of what must hold on every way that a delivery message can take through a worker.
in_every_mode = pytest.mark.parametrize("worker_mode", ["fast paths", "plain tasks", "prefork"], indirect=True)


@pytest.fixture
def amqp_url(prepared_amqp_url: str) -> str:
    return prepared_amqp_url


@pytest.fixture
def worker_mode(request: pytest.FixtureRequest) -> str:
    """How messages become deliveries: by the pipeline, or by Celery tasks, in threads or in other processes."""
    return str(getattr(request, "param", "fast paths"))


@pytest.fixture
def worker_environment(
    amqp_url: str, redis_url: str, mongodb_uri: str, tmp_path: Path, worker_mode: str
) -> dict[str, str]:
    """What the worker runs with; a test module may override the fixture to add to it."""
    return {
        "AMQP_URL": amqp_url,
        "REDIS_URL": redis_url,
        "MONGODB_URI": mongodb_uri,
        "WAVECOM_HOME": str(tmp_path / "home"),
        "WAVECOM_FAST_PATHS": "0" if worker_mode == "plain tasks" else "1",
    }


@pytest.fixture
def worker_arguments(worker_mode: str) -> list[str]:
    """Flags for the worker; none, as developers start it, where the mode needs none."""
    return ["-P", "prefork", "-c", "4"] if worker_mode == "prefork" else []


@pytest.fixture
def worker_prefix() -> list[str]:
    """What stands before the worker's command; nothing."""
    return []


@pytest.fixture
def celery_broker_cluster(amqp_url: str) -> Iterator[CeleryBrokerCluster]:
    cluster = CeleryBrokerCluster(CeleryTestBroker(LocalBroker(amqp_url)))
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster() -> None:
    """WaveCom keeps no results: outcomes are in the job."""


@pytest.fixture
def celery_worker_cluster(
    celery_setup_app: Celery,
    tmp_path: Path,
    worker_environment: dict[str, str],
    worker_arguments: list[str],
    worker_prefix: list[str],
) -> Iterator[CeleryWorkerCluster]:
    worker = LocalWorker(tmp_path / "worker.log", worker_environment, worker_arguments, worker_prefix)
    cluster = CeleryWorkerCluster(CeleryTestWorker(worker, app=celery_setup_app))
    try:
        cluster.ready()
        yield cluster
    finally:
        worker.teardown()  # a cluster leaves its nodes to themselves


@pytest.fixture
def celery_setup_app(amqp_url: str) -> Iterator[Celery]:
    """Only for asking workers how they are; the tasks are in the worker's process."""
    app = Celery("observer", broker=amqp_url, set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def beat(celery_setup_app: Celery) -> Iterator[None]:
    """Has the worker sweep, as ``celery beat`` does, but seldom: for tests that rely on retries.

    A retry whose publication a busy broker does not confirm within the publisher's three seconds is left to the sweep.
    """
    with ticks(lambda: celery_setup_app.send_task(topology.SWEEP_TASK, queue=topology.PERIODIC_TASKS), seconds=5):
        yield


@pytest.fixture
def jobs(database: Database[dict[str, Any]]) -> MongoJobRepository:
    return MongoJobRepository(database["jobs"])


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(AmqpAddress.parse(amqp_url), origin="test")
    yield publisher
    publisher.close()


@pytest.fixture
def submit(jobs: MongoJobRepository, publisher: AmqpPublisher) -> Callable[..., Job]:
    """Stores a job and publishes its delivery message, as the web app does."""

    def store_and_publish(**overrides: Any) -> Job:
        now = jobs.now()
        times = {"created_at": now, "updated_at": now, "queued_at": now}
        job = make_job(**(times | overrides))
        assert jobs.insert([job]) == [None]
        # A busy machine may need a second try; a delivery message too many does no harm.
        wait_until(lambda: publisher.publish([job.delivery_message()]) == [True], "the broker to confirm the message")
        return job

    return store_and_publish


@pytest.fixture
def read(jobs: MongoJobRepository) -> Callable[[JobId], Job]:
    def stored(job_id: JobId) -> Job:
        job = jobs.get(job_id)
        assert job is not None
        return job

    return stored


@pytest.fixture
def close_connections(rabbitmq: PrivateRabbitMQ, amqp_url: str) -> Callable[[], None]:
    """Has the broker close every connection of this test's virtual host."""

    def close() -> None:
        rabbitmq.ctl("close_all_connections", "--vhost", amqp_url.rsplit("/", 1)[-1], "a test wants it")

    return close


@pytest.fixture
def taken(amqp_url: str) -> Callable[[str], list[Any]]:
    """Takes everything that waits in a queue."""

    def take(queue: str) -> list[Any]:
        messages = []
        with Connection(amqp_url) as connection:
            channel: Any = connection.channel()
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                messages.append(message)
        return messages

    return take
