"""The audit log over a real store, written by its writers and read by ``wavecom audit``."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pymongo.database import Database

from tests.fakes import FakeClock
from tests.operator_services import operator_services_with
from wavecom.cli import main
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState
from wavecom.core.keys import KeyAction, KeyEvent
from wavecom.storage.mongo.audit import MongoAuditLog


class Environment:
    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self.clock = FakeClock()
        self.log = MongoAuditLog(database)
        self._services = operator_services_with(
            clock=self.clock,
            audit=self.log,
        )

    def replayed(self, number: int, at: datetime, operator: str = "ada@ops") -> None:
        run = BulkOperation(
            f"run-{number}",
            AuditAction.REPLAY,
            operator,
            at,
            {"errorCode": "rejected"},
            state=BulkOperationState.FINISHED,
        )
        self.log.record(run)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["audit", *arguments], obj=self._services)

    def ids(self, *arguments: str) -> list[str]:
        done = self.run("--json", *arguments)
        assert done.exit_code == 0, done.output
        return [json.loads(line)["entryId"] for line in done.stdout.splitlines()]


@pytest.fixture
def environment(database: Database[dict[str, Any]]) -> Environment:
    environment = Environment(database)
    now = environment.clock.now()
    for number, hours in enumerate([30, 20, 10]):
        environment.replayed(number, now - timedelta(hours=hours), "ada@ops" if number else "bob@ops")
    environment.log.record_key_event(
        KeyEvent(
            event_id="event-1",
            action=KeyAction.REVOKE,
            actor="ada@ops",
            at=now - timedelta(hours=1),
            key_id="key-1",
            client="acme",
            details={},
        )
    )
    return environment


def test_entries_of_every_kind_come_newest_first(environment: Environment) -> None:
    assert environment.ids() == ["event-1", "run-2", "run-1", "run-0"]
    assert environment.ids("--limit", "2") == ["event-1", "run-2"]


def test_they_are_narrowed_by_deed_who_and_time(environment: Environment) -> None:
    assert environment.ids("--action", "replay") == ["run-2", "run-1", "run-0"]
    assert environment.ids("--operator", "bob@ops") == ["run-0"]
    assert environment.ids("--since", "24h", "--action", "replay") == ["run-2", "run-1"]


def test_the_table_says_when_what_and_who(environment: Environment) -> None:
    shown = environment.run("--limit", "2").stdout.splitlines()

    assert len(shown) == 3
    assert "revoke" in shown[1]
    assert "client=acme" in shown[1]
    assert "ada@ops" in shown[2]
    assert "state=finished" in shown[2]


def test_a_time_that_is_none_is_refused_with_an_example(environment: Environment) -> None:
    refused = environment.run("--since", "yesterday")

    assert refused.exit_code == 2
    assert "write 2h, 3d or" in refused.output
