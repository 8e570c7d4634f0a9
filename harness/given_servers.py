"""Servers of the user's own: used only when they are empty, and left as they were found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import amqp
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.connection import connect
from wavecom.core.lanes import QueueLayout
from wavecom.errors import ConfigurationError, Problem

AMQP_URL, REDIS_URL, MONGODB_URI = "AMQP_URL", "REDIS_URL", "MONGODB_URI"
ADDRESSES = (AMQP_URL, REDIS_URL, MONGODB_URI)

_TIMEOUT_SECONDS = 10.0


def check_unused(addresses: Mapping[str, str]) -> None:
    """Raises ``ConfigurationError`` when somebody's jobs or messages are there, or a server can't be reached.

    The benchmark would send those to its own provider, and delete them afterwards.
    """
    problems = []
    if uri := addresses.get(MONGODB_URI):
        try:
            with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
                database = client.get_default_database("wavecom")
                if database["jobs"].find_one({}, {"_id": 1}) is not None:
                    text = f"the database {database.name} holds jobs; name an empty one for the benchmark"
                    problems.append(Problem(MONGODB_URI, text))
        except PyMongoError as error:
            problems.append(Problem(MONGODB_URI, f"can't be used: {type(error).__name__}"))
    if url := addresses.get(AMQP_URL):
        try:
            used = [name for name, messages, consumers in _queues(url) if messages or consumers]
        except (amqp.AMQPError, OSError) as error:
            problems.append(Problem(AMQP_URL, f"can't be used: {type(error).__name__}"))
        else:
            if used:
                text = f"the queue {used[0]} is in use; name a virtual host of its own for the benchmark"
                problems.append(Problem(AMQP_URL, text))
    if problems:
        raise ConfigurationError(problems)


def clean(addresses: Mapping[str, str]) -> None:
    """Delete what the benchmark has left in servers that were empty before. Does its best; may be called twice.

    Redis forgets by itself: whatever is kept there has a time to live.
    """
    if uri := addresses.get(MONGODB_URI):
        with contextlib.suppress(PyMongoError), MongoClient[dict[str, Any]](uri) as client:
            database = client.get_default_database("wavecom")
            for name in database.list_collection_names():
                database.drop_collection(name)
    if url := addresses.get(AMQP_URL):
        with contextlib.suppress(amqp.AMQPError, OSError), _connection(url) as connection:
            channel = connection.channel()
            for name in _names():
                channel.queue_delete(name)


def _queues(url: str) -> Iterator[tuple[str, int, int]]:
    """Name, messages and consumers of each of our queues that is there."""
    with _connection(url) as connection:
        for name in _names():
            channel = connection.channel()
            try:
                found = channel.queue_declare(name, passive=True)
            except amqp.NotFound:  # which closes the channel
                continue
            channel.close()
            yield name, found.message_count, found.consumer_count


#: Nothing may be left of another run, which may have been started with partitions.
_ALL = QueueLayout(partitions=8)


def _names() -> list[str]:
    return [queue.name for queue in (*topology.delivery_queues(_ALL), topology.PERIODIC_TASKS, topology.DEAD)]


@contextlib.contextmanager
def _connection(url: str) -> Iterator[Any]:
    connection = connect(AmqpAddress.parse(url), _TIMEOUT_SECONDS, "wavecom benchmark")
    try:
        yield connection
    finally:
        connection.collect()
