"""What pages ask of MongoDB, as its driver tells: however many notifications there are, they cost no scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo import MongoClient, monitoring

from tests.unit.web.dashboard.environment import Browser
from tests.waiting import wait_until
from wavecom.core.roles import Permission
from wavecom.services.web import web_services
from wavecom.settings import Settings
from wavecom.storage.mongo.client import CLIENT_OPTIONS, default_database
from wavecom.web import create_app
from wavecom.web.dashboard.routes import ROUTES

PASSWORD = "correct horse battery staple"
#: The pages that list or count notifications, and so read some of them.
LISTS = {"/notifications", "/notifications/cancel", "/dead-letters", "/status", "/status/live"}
#: How many a page reads at the most.
MOST = 1001
#: Not the pages: they follow by redirect, or they are files.
OTHERS = {"/", "/audit/export"}


class JobCommands(monitoring.CommandListener):
    """The commands on ``jobs`` that were sent, in order."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command.get(event.command_name) == "jobs":
            self.commands.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        return None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        return None


def is_bounded(command: Mapping[str, Any]) -> bool:
    """Whether it ends after so many, or looks at dead letters alone, which have an index of their own."""
    stages = command.get("pipeline", [])
    limits = [stage["$limit"] for stage in stages if "$limit" in stage] + [command.get("limit", MOST + 1)]
    return min(limits) <= MOST or "deadLetteredAt" in stages[0]["$match"]


@pytest.fixture
def listener() -> JobCommands:
    return JobCommands()


@pytest.fixture
def client(
    listener: JobCommands, amqp_url: str, redis_url: str, mongodb_uri: str, tmp_path: Path
) -> Iterator[FlaskClient]:
    settings = Settings(
        home=tmp_path,
        amqp_url=amqp_url,
        redis_url=redis_url,
        mongodb_uri=mongodb_uri,
        operator_password=PASSWORD,
        secret_key="a secret for tests only",
    )
    with MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[listener], **CLIENT_OPTIONS) as mongo:
        services = web_services(settings, default_database(mongo))
        client = create_app(settings, services).test_client()
        wait_until(lambda: client.get("/readyz").json["checks"]["mongodb"] == "ok", "the indexes to be made")
        yield client
        services.close()


def test_pages_for_people_who_run_wavecom_read_no_notification(client: FlaskClient, listener: JobCommands) -> None:
    browser = Browser(client)
    browser.log_in(PASSWORD)
    read = {}

    for route in ROUTES:
        if route.get in {None, Permission.OWN_PASSWORD} or "<" in route.path or route.path in OTHERS:
            continue
        listener.commands.clear()
        path = f"{route.path}?metadataKey=campaign" if route.path == "/notifications/cancel" else route.path
        assert browser.get(path).status_code == 200, route.path
        if listener.commands:
            read[route.path] = list(listener.commands)

    assert set(read) <= LISTS, {path: read[path] for path in read if path not in LISTS}
    assert read["/status"]
    assert [path for path, commands in read.items() if not all(map(is_bounded, commands))] == []
