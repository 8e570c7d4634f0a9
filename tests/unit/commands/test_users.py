"""``wavecom users``, over memory."""

from __future__ import annotations

import json

import pyotp
from click.testing import CliRunner, Result

from tests.fakes import FakeClock
from tests.memory_storage import MemoryUserAudit, MemoryUserStore
from tests.operator_services import operator_services_with
from wavecom.accounts.users import Users
from wavecom.cli import main
from wavecom.core.roles import Role


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.audit = MemoryUserAudit()
        self.users = Users(
            store=MemoryUserStore(),
            audit=self.audit,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            new_id=lambda: str(len(self.audit.events)),
            secret=lambda: b"s" * 32,
        )
        self.services = operator_services_with(clock=self.clock, users=self.users)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["users", *arguments], obj=self.services)


def shown(result: Result) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(" ") for line in result.stdout.splitlines()) if value}


def test_what_is_printed_is_what_one_signs_in_with() -> None:
    environment = Environment()

    result = environment.run("add", "ada", "--role", "admin", "--operator", "eve@ops")

    assert result.exit_code == 0
    printed = {name: value.strip() for name, value in shown(result).items()}
    code = pyotp.parse_uri(printed["address"])
    assert isinstance(code, pyotp.TOTP)
    assert code.secret == printed["secret"]
    login = environment.users.sign_in("ada", printed["password"], code.at(environment.clock.now()), "192.0.2.1")
    assert login.user is not None
    assert login.user.role is Role.ADMIN
    assert [event.actor for event in environment.audit.events] == ["eve@ops"]


def test_a_role_is_changed_and_a_user_kept_out_let_in_and_reset() -> None:
    environment = Environment()
    environment.run("add", "ada", "--no-second-factor")

    results = [
        environment.run(*each.split())
        for each in ("role ada operator", "disable ada", "list --json", "enable ada", "reset ada", "list")
    ]

    assert [result.exit_code for result in results] == [0] * 6
    entry = json.loads(results[2].stdout)
    assert (entry["role"], entry["hasSecondFactor"], entry["disabledAt"] is None) == ("operator", False, False)
    assert "code" in results[5].stdout
    assert "operator" in results[5].stdout


def test_what_cannot_be_done_is_said_in_words() -> None:
    environment = Environment()
    environment.run("add", "ada")

    twice, unknown, wrong = (environment.run(*each.split()) for each in ("add ada", "reset eve", "role ada king"))

    assert (twice.exit_code, unknown.exit_code, wrong.exit_code) == (1, 1, 2)
    assert "wavecom users reset ada" in twice.stderr
    assert "There is no user eve" in unknown.stderr
