"""``wavecom sessions``, over memory."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyStore, MemorySessionAudit, MemorySessionStore
from wavecom.accounts.sessions import Sessions
from wavecom.cli import main
from wavecom.core.sessions import SessionRecord
from wavecom.errors import StoreError
from wavecom.services.operator import OperatorServices


class Store(MemorySessionStore):
    is_up = True

    def all(self) -> list[SessionRecord]:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")
        return super().all()


class Office:
    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.clock = FakeClock()
        self.store = Store()
        self.audit = MemorySessionAudit()
        self.sessions = Sessions(
            store=self.store,
            keys=MemoryKeyStore(),
            audit=self.audit,
            clock=self.clock,
            new_id=lambda: f"id-{next(numbers)}",
            idle=timedelta(hours=1),
            lifetime=timedelta(hours=12),
        )
        self.services = OperatorServices(
            clock=self.clock,
            jobs=cast(Any, None),
            dead_letters=cast(Any, None),
            reconciliation=cast(Any, None),
            keys=cast(Any, None),
            audit=cast(Any, None),
            sessions=self.sessions,
        )

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["sessions", *arguments], obj=self.services)


@pytest.fixture
def office() -> Office:
    return Office()


def _open(office: Office) -> str:
    return office.sessions.open("operator", password_mark="m", address="192.0.2.1", browser="Firefox")


def test_open_sessions_are_listed_without_their_tokens(office: Office) -> None:
    token = _open(office)

    table, lines = office.run("list"), office.run("list", "--json")

    assert "id-1" in table.output
    assert "192.0.2.1" in table.output
    assert json.loads(lines.output)["sessionId"] == "id-1"
    assert token not in table.output + lines.output


def test_sessions_that_are_over_are_not_listed(office: Office) -> None:
    _open(office)
    office.clock.advance(3600)

    assert office.run("list", "--json").output == ""


def test_a_session_is_ended_and_who_did_it_is_in_the_audit(office: Office) -> None:
    token = _open(office)

    done = office.run("end", "id-1", "--operator", "ada@ops")

    assert done.exit_code == 0
    assert office.sessions.find(token) is None
    [event] = office.audit.events.values()
    assert (event.actor, event.session_id, event.viewer) == ("ada@ops", "id-1", "operator")


def test_all_of_them_are_ended_at_once(office: Office) -> None:
    tokens = [_open(office) for _ in range(3)]

    assert office.run("end", "--all").exit_code == 0
    assert [office.sessions.find(token) for token in tokens] == [None] * 3


@pytest.mark.parametrize(("arguments", "code"), [(["end"], 2), (["end", "--all", "id-1"], 2), (["end", "id-9"], 1)])
def test_what_cannot_be_done_is_said(office: Office, arguments: list[str], code: int) -> None:
    _open(office)

    answer = office.run(*arguments)

    assert answer.exit_code == code
    assert len(office.store.all()) == 1


def test_a_store_that_is_away_is_said_in_words(office: Office) -> None:
    office.store.is_up = False

    answer = office.run("list")

    assert answer.exit_code == 1
    assert "Check MONGODB_URI" in answer.output
