"""The servers, with no dead letters yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from tests.integration.dead_letters.servers import DeadLetterServers
from tests.waiting import wait_until


@pytest.fixture
def servers(amqp_url: str, mongodb_uri: str, database: Database[dict[str, Any]]) -> Iterator[DeadLetterServers]:
    servers = DeadLetterServers(amqp_url, mongodb_uri, database)
    wait_until(servers.publisher.ping)
    yield servers
    servers.close()
