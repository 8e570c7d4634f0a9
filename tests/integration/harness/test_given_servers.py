"""Servers of the user's own are used only when nobody else uses them, and emptied afterwards."""

from __future__ import annotations

from typing import Any

import amqp
import pytest
from pymongo.database import Database

from harness.given_servers import check_unused, clean
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.connection import connect
from wavecom.errors import ConfigurationError

Addresses = dict[str, str]
QUEUE = topology.DELIVERY_QUEUES[0].name


@pytest.fixture
def addresses(mongodb_uri: str, amqp_url: str) -> Addresses:
    return {"MONGODB_URI": mongodb_uri, "AMQP_URL": amqp_url}


def publish(amqp_url: str) -> None:
    connection: Any = connect(AmqpAddress.parse(amqp_url), 10, "test")
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message("{}"), routing_key=QUEUE)
    connection.close()


def test_empty_servers_may_be_used(addresses: Addresses) -> None:
    check_unused(addresses)


def test_a_database_with_jobs_is_refused(addresses: Addresses, database: Database[dict[str, Any]]) -> None:
    database["jobs"].insert_one({"jobId": "somebody's"})

    with pytest.raises(ConfigurationError, match="holds jobs"):
        check_unused(addresses)


def test_a_queue_with_messages_is_refused(addresses: Addresses) -> None:
    publish(addresses["AMQP_URL"])

    with pytest.raises(ConfigurationError, match=QUEUE):
        check_unused(addresses)


def test_what_was_left_is_deleted(addresses: Addresses, database: Database[dict[str, Any]]) -> None:
    database["jobs"].insert_one({"jobId": "ours"})
    publish(addresses["AMQP_URL"])

    clean(addresses)

    check_unused(addresses)
    assert database.list_collection_names() == []


def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="AMQP_URL: can't be used") as error:
        check_unused({"AMQP_URL": "amqp://user:sesame@127.0.0.1:1//"})

    assert "sesame" not in str(error.value)
