"""The audit log over a real store, written by its writers and read by ``wavecom audit``."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from pymongo.database import Database

from tests.fakes import FakeClock
from wavecom.cli import main
from wavecom.core.audit import Action, BulkOperation, BulkOperationState
from wavecom.core.keys import KeyAction, KeyEvent
from wavecom.services.operator import OperatorServices
from wavecom.storage.mongo.audit import MongoAuditLog


class Office:
    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self.clock = FakeClock()
        self.log = MongoAuditLog(database)
        nothing = cast(Any, None)
        self._services = OperatorServices(
            clock=self.clock,
            jobs=nothing,
            dead_letters=nothing,
            keys=nothing,
            sessions=nothing,
            audit=self.log,
            reconciliation=nothing,
        )

    def replayed(self, number: int, at: datetime, operator: str = "ada@ops") -> None:
        run = BulkOperation(
            f"run-{number}", Action.REPLAY, operator, at, {"errorCode": "rejected"}, state=BulkOperationState.FINISHED
        )
        self.log.record(run)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["audit", *arguments], obj=self._services)

    def ids(self, *arguments: str) -> list[str]:
        done = self.run("--json", *arguments)
        assert done.exit_code == 0, done.output
        return [json.loads(line)["entryId"] for line in done.stdout.splitlines()]


@pytest.fixture
def office(database: Database[dict[str, Any]]) -> Office:
    office = Office(database)
    now = office.clock.now()
    for number, hours in enumerate([30, 20, 10]):
        office.replayed(number, now - timedelta(hours=hours), "ada@ops" if number else "bob@ops")
    office.log.record_key_event(
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
    return office


def test_entries_of_every_kind_come_newest_first(office: Office) -> None:
    assert office.ids() == ["event-1", "run-2", "run-1", "run-0"]
    assert office.ids("--limit", "2") == ["event-1", "run-2"]


def test_they_are_narrowed_by_deed_who_and_time(office: Office) -> None:
    assert office.ids("--action", "replay") == ["run-2", "run-1", "run-0"]
    assert office.ids("--operator", "bob@ops") == ["run-0"]
    assert office.ids("--since", "24h", "--action", "replay") == ["run-2", "run-1"]


def test_the_table_says_when_what_and_who(office: Office) -> None:
    shown = office.run("--limit", "2").stdout.splitlines()

    assert len(shown) == 3
    assert "revoke" in shown[1]
    assert "client=acme" in shown[1]
    assert "ada@ops" in shown[2]
    assert "state=finished" in shown[2]


def test_a_time_that_is_none_is_refused_with_an_example(office: Office) -> None:
    refused = office.run("--since", "yesterday")

    assert refused.exit_code == 2
    assert "write 2h, 3d or" in refused.output
