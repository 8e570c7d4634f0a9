"""``wavecom keys``, over memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyAudit, MemoryKeyStore
from tests.operator_services import operator_services_with
from wavecom.accounts import KeyAdministration, KeyRing, KeyScope
from wavecom.cli import main
from wavecom.core.quota import Limits
from wavecom.errors import StoreError, UnauthenticatedError

Command = Callable[..., Result]


class Store(MemoryKeyStore):
    is_up = True

    def of_client(self, client: str | None) -> list[Any]:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")
        return super().of_client(client)


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Store()
        self.audit = MemoryKeyAudit()
        self.ring = KeyRing(self.store, self.clock)
        numbers = itertools.count(1)
        self.services = operator_services_with(
            clock=self.clock,
            keys=KeyAdministration(
                store=self.store,
                audit=self.audit,
                clock=self.clock,
                new_id=lambda: f"id-{next(numbers)}",
                on_ended=self.ring.forget,
            ),
        )


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def wavecom(environment: Environment) -> Command:
    def run(*arguments: str) -> Result:
        with capture_logs():
            result = CliRunner().invoke(main, ["keys", *arguments], obj=environment.services)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def _made(wavecom: Command, *options: str) -> tuple[str, str]:
    """The key and its id."""
    result = wavecom("create", "--client", "acme", "--name", "backend", *options)
    assert result.exit_code == 0, result.output
    [listed] = [json.loads(line) for line in wavecom("list", "--json", "--all").stdout.splitlines()][:1]
    return result.stdout.strip(), listed["keyId"]


def test_the_key_stands_alone_on_standard_output(environment: Environment, wavecom: Command) -> None:
    result = wavecom("create", "--client", "acme", "--name", "backend", "--scopes", "send, admin")

    key = result.stdout.removesuffix("\n")
    caller = environment.ring.authenticate(key)
    assert (caller.client, caller.scopes, caller.is_live) == ("acme", {"send", "admin"}, True)
    assert key not in result.stderr
    assert "not shown again" in result.stderr


def test_usually_a_key_sends_and_reads_and_never_ends(environment: Environment, wavecom: Command) -> None:
    key, _ = _made(wavecom)
    environment.clock.advance(10 * 365 * 86_400)

    assert environment.ring.authenticate(key).scopes == {"send", "read"}


def test_a_limited_test_key_that_ends_by_itself(environment: Environment, wavecom: Command) -> None:
    key, _ = _made(wavecom, "--test", "--expires-in", "90d", "--rate", "2.5", "--quota", "1000")

    caller = environment.ring.authenticate(key)
    assert (caller.client, caller.limits) == ("acme:test", Limits(2.5, 1000))
    environment.clock.advance(90 * 86_400)
    with pytest.raises(UnauthenticatedError):
        environment.ring.authenticate(key)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("--client", "acme:test", "--name", "x"), "1 to 64 letters, digits"),
        (("--client", "acme", "--name", " "), "1 to 100 printable"),
        (("--client", "acme", "--name", "x", "--scopes", "send,write"), "send, read, recipients, manage, admin"),
        (("--client", "acme", "--name", "x", "--scopes", ","), "without a scope"),
        (("--client", "acme", "--name", "x", "--expires-in", "soon"), "write 0, 90s, 15m, 24h or 7d"),
        (("--client", "acme"), "--name"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_with_what_is_right(
    environment: Environment, wavecom: Command, arguments: tuple[str, ...], advice: str
) -> None:
    result = wavecom("create", *arguments)

    assert result.exit_code == 2
    assert advice in result.stderr
    assert environment.store.of_client(None) == []


def test_the_list_shows_what_tells_keys_apart_and_no_key(wavecom: Command) -> None:
    key, key_id = _made(wavecom)

    shown = wavecom("list")

    assert shown.exit_code == 0
    assert key_id in shown.stdout
    assert key[-4:] in shown.stdout
    assert key not in shown.stdout


def test_ended_keys_are_listed_when_they_are_asked_for(wavecom: Command) -> None:
    _, key_id = _made(wavecom)
    wavecom("revoke", key_id)

    usual, whole = wavecom("list", "--client", "acme"), wavecom("list", "--all")

    assert key_id not in usual.stdout
    assert "1 more have ended" in usual.stdout or "1 more has ended" in usual.stdout
    assert "revoked" in whole.stdout


def test_a_rotated_key_works_beside_the_new_one_for_the_overlap(environment: Environment, wavecom: Command) -> None:
    old, key_id = _made(wavecom)

    result = wavecom("rotate", key_id, "--overlap", "1h")

    new = result.stdout.removesuffix("\n")
    assert {environment.ring.authenticate(key).client for key in (old, new)} == {"acme"}
    assert "works until" in result.stderr
    environment.clock.advance(3600)
    with pytest.raises(UnauthenticatedError):
        environment.ring.authenticate(old)


def test_without_an_overlap_the_old_key_has_ended(environment: Environment, wavecom: Command) -> None:
    old, key_id = _made(wavecom)

    result = wavecom("rotate", key_id, "--overlap", "0")

    assert "has ended" in result.stderr
    with pytest.raises(UnauthenticatedError):
        environment.ring.authenticate(old)


def test_an_overlap_of_months_is_refused(wavecom: Command) -> None:
    _, key_id = _made(wavecom)

    assert wavecom("rotate", key_id, "--overlap", "31d").exit_code == 2


def test_a_revoked_key_is_refused(environment: Environment, wavecom: Command) -> None:
    key, key_id = _made(wavecom)

    result = wavecom("revoke", key_id, "--operator", "ada@ops")

    assert result.exit_code == 0
    assert "is revoked" in result.stdout
    with pytest.raises(UnauthenticatedError):
        environment.ring.authenticate(key)
    assert [event.actor for event in environment.audit.events.values()][-1] == "ada@ops"


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_an_unknown_key_is_said_to_be_one(wavecom: Command, action: str) -> None:
    result = wavecom(action, "nobody's")

    assert result.exit_code == 1
    assert "There is no key with this id" in result.stderr
    assert "wavecom keys list" in result.stderr


def test_a_store_that_is_away_is_told_in_words(environment: Environment, wavecom: Command) -> None:
    environment.store.is_up = False

    result = wavecom("list")

    assert result.exit_code == 1
    assert "Check MONGODB_URI" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("create",), ("list",), ("rotate",), ("revoke",)])
def test_every_command_explains_itself(wavecom: Command, arguments: tuple[str, ...]) -> None:
    result = wavecom(*arguments, "--help")

    assert result.exit_code == 0
    assert all(scope in result.stdout for scope in KeyScope) or arguments


# --- senders ------------------------------------------------------------------------------------------------------


def test_who_may_be_said_to_send_is_set_shown_and_audited(environment: Environment, wavecom: Command) -> None:
    before = wavecom("senders", "--client", "acme")
    answer = wavecom(
        "senders", "--client", "acme", "--email", "Bank.Example, *.bücher.example,A@x.example", "--sms", "ACME,+4477009"
    )
    shown = wavecom("senders", "--client", "acme", "--json")

    assert "e-mail as anybody, SMS as anybody" in before.output
    assert (answer.exit_code, shown.exit_code) == (0, 0)
    assert json.loads(shown.output) == {
        "client": "acme",
        "email": ["*.xn--bcher-kva.example", "a@x.example", "bank.example"],
        "sms": ["+4477009", "acme"],
        "relayHeaders": False,
    }
    [event] = environment.audit.events.values()
    assert (event.action, event.client, event.details["sms"]) == ("allow_senders", "acme", ["+4477009", "acme"])


def test_senders_may_be_anybody_nobody_and_command_relays(environment: Environment, wavecom: Command) -> None:
    wavecom("senders", "--client", "acme", "--email", "none", "--sms", "ACME", "--relay-headers")
    wavecom("senders", "--client", "acme", "--sms", "any")

    policy = environment.store.sender_policy("acme")
    assert (policy.email, policy.sms, policy.may_command_relays) == (frozenset(), None, True)


@pytest.mark.parametrize(
    "arguments",
    [("--email", "no domain"), ("--email", "*.a@b.example"), ("--email", ","), ("--sms", "ü"), ("--sms", "x" * 16)],
)
def test_what_is_no_sender_is_refused_and_nothing_changes(
    environment: Environment, wavecom: Command, arguments: tuple[str, str]
) -> None:
    answer = wavecom("senders", "--client", "acme", *arguments)

    assert answer.exit_code == 2
    assert environment.audit.events == {}


# --- contact ------------------------------------------------------------------------------------------------------


def test_a_clients_contact_is_set_shown_forgotten_and_audited_without_the_address(
    environment: Environment, wavecom: Command
) -> None:
    unknown = wavecom("contact", "--client", "acme")
    answer = wavecom("contact", "--client", "acme", "--email", "Platform@Bücher.example")
    shown = wavecom("contact", "--client", "acme", "--json")
    forgotten = wavecom("contact", "--client", "acme", "--none", "--json")

    assert "nobody is told" in unknown.output
    assert (answer.exit_code, json.loads(shown.output)["email"]) == (0, "Platform@xn--bcher-kva.example")
    assert json.loads(forgotten.output) == {"client": "acme", "email": None}
    events = list(environment.audit.events.values())
    assert [(event.action, event.details) for event in events] == [
        ("set_contact", {"isKnown": True}),
        ("set_contact", {"isKnown": False}),
    ]


@pytest.mark.parametrize("arguments", [("--email", "nobody"), ("--email", "a@b.example", "--none")])
def test_what_is_no_contact_is_refused_and_nothing_changes(
    environment: Environment, wavecom: Command, arguments: tuple[str, ...]
) -> None:
    assert wavecom("contact", "--client", "acme", *arguments).exit_code == 2
    assert environment.audit.events == {}


def test_reserved_names_are_no_clients(wavecom: Command) -> None:
    answer = wavecom("create", "--client", "operator", "--name", "x")

    assert answer.exit_code == 2
    assert "operator" in answer.output
