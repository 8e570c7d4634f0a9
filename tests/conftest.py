"""What every test may ask for: real servers, started once per run in a temporary folder, and a fresh corner in each.

``rabbitmq``, ``redis_server`` and ``mongo_server`` are the servers themselves (``stop()``, ``kill()``, ``start()``);
a test that disturbs one leaves it started. ``amqp_url``, ``redis_url``, ``mongodb_uri`` and ``database`` are empty
for each test: a virtual host, a flushed Redis, a database of its own.

What a test costs, in seconds of CPU, servers included. All of them together must not take more than two cores have in
twenty minutes.

==============================================================================  =====
a start of RabbitMQ (so a ``Forwarder`` takes a broker away and gives it back)      5
a call of ``rabbitmqctl``                                                           1
a process of ours: worker, beat, Flower                                             2
a web process                                                                       2
``wavecom run``, everything included                                               17
queues of a worker, made and deleted (``prepared_amqp_url`` has them left)          1
all indexes, made and dropped (``indexed_database`` has them left)               0.05
a client of MongoDB, for its log-in (``mongo_client`` is there)                 0.015
a document written to the embedded server                                       0.001
==============================================================================  =====

Without ``ensure_indexes`` each look at one of five hundred jobs reads them all: that was most of what some tests cost.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import kombu.pools
import pytest
import redis
import structlog
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from tests.virtual_hosts import VirtualHosts, rabbitmq_api
from wavecom.collector import collect_seldom
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis, PrivateServer

Server = TypeVar("Server", bound=PrivateServer)

MONGO_SERVER = pytest.StashKey[Path | None]()
MONGODB_URI = pytest.StashKey[str | None]()
HOME = pytest.StashKey[Path]()

_TESTS = Path(__file__).parent
#: Its folders whose tests wait for servers and processes.
_LONG = {"contract", "e2e", "faults", "fuzz", "integration"}


def pytest_configure(config: pytest.Config) -> None:
    # By its default the collector took a fifth of the time that the tests compute.
    collect_seldom()
    # Whoever has WaveCom running, or its variables set, must not find the tests in their own data: not even through
    # modules that read the settings when they are imported.
    program = os.environ.get("WAVECOM_MONGO_SERVER")
    config.stash[MONGO_SERVER] = Path(program) if program else None
    config.stash[MONGODB_URI] = os.environ.get("WAVECOM_TEST_MONGODB_URI")
    foreign = [name for name in os.environ if name.startswith(("WAVECOM_", "FLOWER_", "CELERY_"))]
    for name in (*foreign, "AMQP_URL", "REDIS_URL", "MONGODB_URI"):
        os.environ.pop(name, None)
    config.stash[HOME] = Path(tempfile.mkdtemp(prefix="wavecom-tests-"))
    os.environ["WAVECOM_HOME"] = str(config.stash[HOME])
    configure = structlog.configure

    def configure_for_a_test(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    # Else a logger that is used for the first time then would be as that one test wants it, to the end.
    setattr(structlog, "configure", configure_for_a_test)  # noqa: B010 - the function is typed


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Nobody finds the log level of a command that another test has called: what it looks for might not be logged."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[HOME], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, begin with the long ones: at the end nobody waits for one of them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.relative_to(_TESTS).parts[0] not in _LONG)


def pytest_collection_finish() -> None:
    """Tests live as long as the run: nothing of them is garbage, and to look through them all takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> Iterator[PrivateRabbitMQ]:
    """RabbitMQ with its management API."""
    server = PrivateRabbitMQ(request.config.stash[HOME] / "rabbitmq", plugins=["rabbitmq_management"])
    yield from _started(server)


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[PrivateRedis]:
    yield from _started(PrivateRedis(request.config.stash[HOME] / "redis"))


@pytest.fixture(scope="session")
def mongo_server(request: pytest.FixtureRequest) -> Iterator[PrivateMongo]:
    """``WAVECOM_MONGO_SERVER`` names the program to use; else the first that is installed."""
    server = PrivateMongo(request.config.stash[HOME] / "mongo", program=request.config.stash[MONGO_SERVER])
    yield from _started(server)


def _started(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()  # its data is thrown away: no need to wait for a graceful end


@pytest.fixture(scope="session")
def virtual_hosts(rabbitmq: PrivateRabbitMQ) -> VirtualHosts:
    """Those of ``rabbitmq``."""
    return VirtualHosts(rabbitmq)


@pytest.fixture
def amqp_url(rabbitmq: PrivateRabbitMQ, virtual_hosts: VirtualHosts) -> Iterator[str]:
    """The address of a virtual host of this test's own, which has no queue yet."""
    name = virtual_hosts.make()
    yield rabbitmq.url_of(name)
    rabbitmq.start()
    virtual_hosts.throw_away(name)


@pytest.fixture
def prepared_amqp_url(rabbitmq: PrivateRabbitMQ, virtual_hosts: VirtualHosts) -> Iterator[str]:
    """The address of a virtual host that nobody else uses now, for whole workers: their queues may be there, empty.

    Three fifths of what a worker's test costs the broker are saved by that. Folders whose tests start workers have it
    for their ``amqp_url``.
    """
    name = virtual_hosts.take()
    yield rabbitmq.url_of(name)
    rabbitmq.start()
    # kombu keeps connections by their address for the whole process, and the next test may get this address: the broker
    # ends those that have sent no heartbeat meanwhile.
    kombu.pools.reset()
    virtual_hosts.give_back(name)


@pytest.fixture
def rabbitmq_api_url(rabbitmq: PrivateRabbitMQ, amqp_url: str) -> str:
    """``WAVECOM_RABBITMQ_API_URL`` for the virtual host of ``amqp_url``: of one who only looks."""
    nothing = {"configure": "^$", "write": "^$", "read": "^$"}
    rabbitmq_api(rabbitmq, "PUT", f"permissions/{urlsplit(amqp_url).path[1:]}/monitor", nothing)
    return rabbitmq.api_url


@pytest.fixture
def redis_url(redis_server: PrivateRedis) -> str:
    """The address of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
    return redis_server.url


@pytest.fixture(scope="session")
def mongodb_deployment(request: pytest.FixtureRequest) -> str:
    """The address of ``mongo_server``; of the deployment that ``WAVECOM_TEST_MONGODB_URI`` names, if it does."""
    deployment: str | None = request.config.stash[MONGODB_URI]
    if deployment is not None:
        return deployment
    server: PrivateMongo = request.getfixturevalue("mongo_server")
    return server.url


@pytest.fixture(scope="session")
def mongo_client(mongodb_deployment: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """What the tests themselves ask with, of ``database`` for one; with the options that WaveCom connects with.

    One for all: to log in costs a client, and the server, 15 ms of CPU.
    """
    with MongoClient[dict[str, Any]](mongodb_deployment, tz_aware=True, uuidRepresentation="standard") as client:
        yield client


@pytest.fixture(scope="session")
def restart_mongo(
    request: pytest.FixtureRequest, mongodb_deployment: str, mongo_client: MongoClient[dict[str, Any]]
) -> Callable[[], None]:
    """Has the tests' own server run again where a test has ended it."""
    if request.config.stash[MONGODB_URI] is not None:
        return lambda: None
    server: PrivateMongo = request.getfixturevalue("mongo_server")

    def restart() -> None:
        if not server.is_running:
            server.start()
        # Who asks first finds out that its connections are of the server before.
        with contextlib.suppress(AutoReconnect):
            mongo_client.admin.command("ping")

    return restart


@pytest.fixture
def mongodb_uri(
    mongodb_deployment: str, mongo_client: MongoClient[dict[str, Any]], restart_mongo: Callable[[], None]
) -> Iterator[str]:
    """The address of a database of this test's own, dropped afterwards.

    On ``mongo_server``; on the deployment that ``WAVECOM_TEST_MONGODB_URI`` names, such as a replica set, if it does.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield urlsplit(mongodb_deployment)._replace(path=f"/{name}").geturl()
    restart_mongo()
    mongo_client.drop_database(name)


@pytest.fixture
def database(mongodb_uri: str, mongo_client: MongoClient[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The database of ``mongodb_uri``."""
    return mongo_client[urlsplit(mongodb_uri).path[1:]]
