"""``wavecom suppressions``, over memory."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from tests.fakes import FakeClock
from tests.memory_storage import MemorySuppressionStore
from tests.operator_services import operator_services_with
from wavecom.cli import main
from wavecom.core.suppression_list import SuppressionList


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemorySuppressionStore()
        self.services = operator_services_with(clock=self.clock, suppressions=SuppressionList(self.store, self.clock))

    def run(self, *arguments: str, given: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, ["suppressions", *arguments], obj=self.services, input=given)

    def entries(self, *options: str) -> list[dict[str, str]]:
        result = self.run("list", "--json", "--state", "any", *options)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.output.splitlines()]


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_an_entry_is_added_listed_and_lifted(environment: Environment) -> None:
    added = environment.run(
        *(
            "add",
            "--client",
            "acme",
            "sms",
            "+44 7700 900123",
            "--scope",
            "marketing",
            "--reason",
            "asked",
            "--for",
            "30d",
        ),
        *("--operator", "ops@host"),
    )
    [entry] = environment.entries("--client", "acme")

    assert added.exit_code == 0, added.output
    assert (entry["client"], entry["recipient"], entry["scope"], entry["by"]) == (
        "acme",
        "+447700900123",
        "marketing",
        "ops@host",
    )
    assert entry["suppressionId"] in environment.run("list").output
    assert (
        "was in force before"
        in environment.run(
            *(
                "add",
                "--client",
                "acme",
                "sms",
                "+447700900123",
                "--scope",
                "marketing",
                "--reason",
                "asked",
                "--for",
                "30d",
            )
        ).output
    )

    lifted = environment.run("lift", entry["suppressionId"], "--reason", "asked again")
    assert lifted.exit_code == 0, lifted.output
    assert [each["state"] for each in environment.entries()] == ["lifted"]
    assert entry["suppressionId"] not in environment.run("list").output


def test_live_and_test_lists_are_two(environment: Environment) -> None:
    environment.run("add", "--client", "acme", "--test", "email", "amina@example.com")

    assert environment.entries("--client", "acme") == []
    assert [entry["client"] for entry in environment.entries("--client", "acme", "--test")] == ["acme:test"]
    assert [entry["client"] for entry in environment.entries("--recipient", "Amina@example.com")] == ["acme:test"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "--client", "acme", "email", "nobody"],
        ["add", "--client", "acme", "fax", "+447700900123"],
        ["add", "--client", "acme:test", "email", "amina@example.com"],
        ["add", "email", "amina@example.com"],
        ["list", "--test"],
        ["lift"],
    ],
)
def test_what_is_asked_for_wrongly_is_said(environment: Environment, arguments: list[str]) -> None:
    assert environment.run(*arguments).exit_code == 2
    assert environment.entries() == []


def test_an_unknown_entry_and_a_store_that_is_away(environment: Environment) -> None:
    unknown = environment.run("lift", "019cebab-8995-7000-8000-000000000001")
    environment.store.is_away = True
    away = environment.run("list")

    assert (unknown.exit_code, away.exit_code) == (1, 1)
    assert "019cebab" in unknown.output
    assert "MONGODB_URI" in away.output


def test_csv_goes_in_and_comes_out(environment: Environment) -> None:
    rows = "type,recipient,reason\nemail,amina@example.com,moved\nemail,nobody,\nsms,+447700900123,\n"

    imported = environment.run("import", "--client", "acme", "-", given=rows)
    exported = environment.run("export", "--client", "acme")
    elsewhere = environment.run("import", "--client", "shop", "-", given=exported.output)

    assert imported.exit_code == 1
    assert "line 3: recipient" in imported.output
    assert "2 rows added, 0 known before, 1 refused" in imported.output
    assert len(exported.output.splitlines()) == 3
    assert (elsewhere.exit_code, "2 rows added" in elsewhere.output) == (0, True)
    assert [entry["reason"] for entry in environment.entries("--client", "shop", "--type", "email")] == ["moved"]


@pytest.mark.parametrize("given", [b"", b"recipient\n", b"type,recipient\nemail,\xff@example.com\n"])
def test_what_is_no_such_csv_is_refused(environment: Environment, given: bytes) -> None:
    result = environment.run("import", "--client", "acme", "-", given=given)

    assert result.exit_code == 1
    assert environment.entries() == []


def test_an_export_is_whole_however_long_it_is(environment: Environment) -> None:
    rows = "type,recipient\n" + "".join(f"email,person{number}@example.com\n" for number in range(2345))
    environment.run("import", "--client", "acme", "-", given=rows)

    exported = environment.run("export")

    assert len(exported.output.splitlines()) == 2346
