"""The web app and a worker as processes, over servers of their own: for programs that use the API from outside."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from tests.web_process import WebProcess, workers
from wavecom.accounts import KeyScope, hash_of, make_key
from wavecom.core.keys import KeyRecord
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis
from wavecom.storage.mongo.keys import MongoKeyStore


@contextmanager
def running_api(home: Path) -> Iterator[tuple[WebProcess, dict[str, str]]]:
    """Everything, running; the web app, and a key for each scope."""
    with ExitStack() as stack:
        rabbitmq, redis = PrivateRabbitMQ(home / "rabbitmq"), PrivateRedis(home / "redis")
        program = os.environ.get("WAVECOM_MONGO_SERVER")
        mongo = PrivateMongo(home / "mongo", program=Path(program) if program else None)
        for server in (rabbitmq, redis, mongo):
            stack.callback(server.kill)
            server.start()
        servers = {"AMQP_URL": rabbitmq.url, "REDIS_URL": redis.url, "MONGODB_URI": mongo.url_of("wavecom")}
        web = stack.enter_context(WebProcess(home, servers))
        stack.enter_context(workers(home, servers))
        with MongoClient[dict[str, Any]](servers["MONGODB_URI"], tz_aware=True) as client:
            store = MongoKeyStore(client.get_default_database())
            keys = {str(scope): _add_key(store, scope) for scope in KeyScope}
        yield web, keys


def _add_key(store: MongoKeyStore, scope: KeyScope) -> str:
    key = make_key()
    store.add(
        KeyRecord(
            key_id=uuid.uuid4().hex,
            hash=hash_of(key),
            client="default",
            scopes=frozenset({scope}),
            is_live=True,
            created_at=datetime.now(UTC),
        )
    )
    return key
