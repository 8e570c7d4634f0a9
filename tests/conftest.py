"""What every test may ask for: real servers, started once per run in a temporary folder, and a fresh corner in each.

``rabbitmq``, ``redis_server`` and ``mongo_server`` are the servers themselves (``stop()``, ``kill()``, ``start()``);
a test that disturbs one leaves it started. ``amqp_url``, ``redis_url``, ``mongodb_uri`` and ``database`` are empty
for each test: a virtual host, a flushed Redis, a database of its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import redis
import structlog
from pymongo import MongoClient
from pymongo.database import Database

from wavecom.collector import collect_seldom
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis, PrivateServer

Server = TypeVar("Server", bound=PrivateServer)

MONGO_SERVER = pytest.StashKey[Path | None]()
MONGODB_URI = pytest.StashKey[str | None]()
HOME = pytest.StashKey[Path]()

#: RabbitMQ 3.10 loses the process that keeps dead letters safe, for all virtual hosts until it is started anew, when a
#: quorum queue is deleted in the moment in which it gets its leader. What a test has declared last is let rest.
VHOST_REST_SECONDS = 20

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
def used_vhosts() -> deque[tuple[float, str]]:
    """Virtual hosts that no test uses any more, oldest first: ``time.monotonic()`` since then, name."""
    return deque()


@pytest.fixture
def amqp_url(rabbitmq: PrivateRabbitMQ, used_vhosts: deque[tuple[float, str]]) -> Iterator[str]:
    """The address of a virtual host of this test's own."""
    while used_vhosts and time.monotonic() - used_vhosts[0][0] > VHOST_REST_SECONDS:
        _, old = used_vhosts.popleft()
        # Tidying only, and a broker that was killed a moment ago may refuse it; the server itself is thrown away.
        with contextlib.suppress(urllib.error.HTTPError):
            rabbitmq_api(rabbitmq, "DELETE", f"vhosts/{old}")
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    rabbitmq_api(rabbitmq, "PUT", f"vhosts/{vhost}")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    rabbitmq_api(rabbitmq, "PUT", f"permissions/{vhost}/wavecom", everything)
    yield rabbitmq.url_of(vhost)
    rabbitmq.start()
    used_vhosts.append((time.monotonic(), vhost))


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


@pytest.fixture
def mongodb_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database of this test's own, dropped afterwards.

    On ``mongo_server``; on the deployment that ``WAVECOM_TEST_MONGODB_URI`` names, such as a replica set, if it does.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    deployment: str | None = request.config.stash[MONGODB_URI]
    if deployment is not None:
        uri = urlsplit(deployment)._replace(path=f"/{name}").geturl()
        yield uri
    else:
        server: PrivateMongo = request.getfixturevalue("mongo_server")
        uri = server.url_of(name)
        yield uri
        server.start()
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(name)


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[Database[dict[str, Any]]]:
    """The database of ``mongodb_uri``, with the options that WaveCom connects with."""
    with MongoClient[dict[str, Any]](mongodb_uri, tz_aware=True, uuidRepresentation="standard") as client:
        yield client.get_default_database()


def rabbitmq_api(rabbitmq: PrivateRabbitMQ, method: str, path: str, body: object = None) -> bytes:
    """One call of the management API, by its administrator."""
    # urllib takes no credentials from a URL.
    address = urlsplit(rabbitmq.admin_api_url)
    credentials = b64encode(f"{address.username}:{address.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{address.hostname}:{address.port}{address.path}{path}",
        None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: bytes = response.read()
    return answer
