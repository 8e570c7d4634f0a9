"""``wavecom sessions``, over memory."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyStore, MemorySessionAudit, MemorySessionStore
from tests.operator_services import operator_services_with
from wavecom.accounts.sessions import Sessions
from wavecom.cli import main
from wavecom.core.sessions import SessionRecord
from wavecom.errors import StoreError


class Store(MemorySessionStore):
    is_up = True

    def all(self) -> list[SessionRecord]:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")
        return super().all()


class Environment:
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
        self.services = operator_services_with(
            clock=self.clock,
            sessions=self.sessions,
        )

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["sessions", *arguments], obj=self.services)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def _open(environment: Environment) -> str:
    return environment.sessions.open("operator", password_mark="m", address="192.0.2.1", browser="Firefox")


def test_open_sessions_are_listed_without_their_tokens(environment: Environment) -> None:
    token = _open(environment)

    table, lines = environment.run("list"), environment.run("list", "--json")

    assert "id-1" in table.output
    assert "192.0.2.1" in table.output
    assert json.loads(lines.output)["sessionId"] == "id-1"
    assert token not in table.output + lines.output


def test_sessions_that_are_over_are_not_listed(environment: Environment) -> None:
    _open(environment)
    environment.clock.advance(3600)

    assert environment.run("list", "--json").output == ""


def test_a_session_is_ended_and_who_did_it_is_in_the_audit(environment: Environment) -> None:
    token = _open(environment)

    done = environment.run("end", "id-1", "--operator", "ada@ops")

    assert done.exit_code == 0
    assert environment.sessions.find(token) is None
    [event] = environment.audit.events.values()
    assert (event.actor, event.session_id, event.viewer) == ("ada@ops", "id-1", "operator")


def test_all_of_them_are_ended_at_once(environment: Environment) -> None:
    tokens = [_open(environment) for _ in range(3)]

    assert environment.run("end", "--all").exit_code == 0
    assert [environment.sessions.find(token) for token in tokens] == [None] * 3


@pytest.mark.parametrize(("arguments", "code"), [(["end"], 2), (["end", "--all", "id-1"], 2), (["end", "id-9"], 1)])
def test_what_cannot_be_done_is_said(environment: Environment, arguments: list[str], code: int) -> None:
    _open(environment)

    answer = environment.run(*arguments)

    assert answer.exit_code == code
    assert len(environment.store.all()) == 1


def test_a_store_that_is_away_is_said_in_words(environment: Environment) -> None:
    environment.store.is_up = False

    answer = environment.run("list")

    assert answer.exit_code == 1
    assert "Check MONGODB_URI" in answer.output
