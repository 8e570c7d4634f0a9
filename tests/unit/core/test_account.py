from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.factories import make_job
from wavecom.core.account import account_of, client_of, is_client_name, is_test_account, live_accounts


@pytest.mark.parametrize("client", ["default", "acme", "a", "Acme-2.eu_west", "test", "x" * 64])
def test_a_clients_two_accounts_are_told_apart_and_lead_back_to_it(client: str) -> None:
    live, test = account_of(client, is_live=True), account_of(client, is_live=False)

    assert is_client_name(client)
    assert live != test
    assert (is_test_account(live), is_test_account(test)) == (False, True)
    assert client_of(live) == client_of(test) == client


@pytest.mark.parametrize(
    "name", ["", "acme:test", "a:", ":", " acme", "-acme", "acme\n", "x" * 65, "äcme", "a/b", "$a"]
)
def test_no_client_is_called_what_could_be_another_account(name: str) -> None:
    assert not is_client_name(name)


@pytest.mark.parametrize("name", ["operator", "Operator", "OPERATORS", "system", "admin", "wavecom", "unknown", "root"])
def test_no_client_is_called_as_wavecom_calls_others(name: str) -> None:
    assert not is_client_name(name)


def test_a_live_account_is_called_as_its_client() -> None:
    assert account_of("acme", is_live=True) == "acme"


def test_a_job_knows_which_way_its_messages_go() -> None:
    assert make_job(client="acme:test").delivery_message().lane.is_test
    assert not make_job(client="acme").delivery_message(5).lane.is_test


def test_live_accounts_are_those_that_are_no_test_accounts() -> None:
    assert live_accounts(["acme", "acme:test", "bank"]) == {"acme", "bank"}


WAVECOM = Path(__file__).resolve().parents[3] / "wavecom"
#: Who has an account and no job or lane: the lane itself, counters by account, and the pages' words for one.
ASKERS = {"core/lanes.py", "storage/mongo/stats.py", "web/dashboard/__init__.py", "web/dashboard/words.py"}


def test_whoever_has_a_job_asks_its_lane_whether_it_is_a_test() -> None:
    asking = {
        str(path.relative_to(WAVECOM))
        for path in WAVECOM.rglob("*.py")
        if "is_test_account" in path.read_text(encoding="utf-8")
    }

    assert asking - {"core/account.py"} == ASKERS


def test_only_the_module_of_accounts_knows_how_a_test_account_is_written() -> None:
    written = re.compile(r"""["']:test["']""")

    texts = [path for path in WAVECOM.rglob("*.*") if path.suffix in {".py", ".html", ".lua"}]
    knowing = [path for path in texts if written.search(path.read_text(encoding="utf-8"))]

    assert knowing == [WAVECOM / "core" / "account.py"]
