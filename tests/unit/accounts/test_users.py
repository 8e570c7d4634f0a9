"""Users: what they sign in with, what is kept of it, and how guessing is slowed down."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.memory_storage import MemoryUserAudit, MemoryUserStore
from wavecom.accounts import users
from wavecom.accounts.passwords import hash_password, new_password, password_problem
from wavecom.accounts.users import (
    CODES_PER_TEN_MINUTES,
    GUESSES_PER_MINUTE,
    InvalidUserError,
    UserCredentials,
    UserExistsError,
    UserNotFoundError,
    Users,
)
from wavecom.core.roles import Role
from wavecom.core.users import UserAction
from wavecom.errors import StoreError

HOME = "192.0.2.1"
ELSEWHERE = "198.51.100.7"


class Environment:
    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.clock = FakeClock()
        self.store = MemoryUserStore()
        self.audit = MemoryUserAudit()
        self.secret = b"s" * 32
        self.users = Users(
            store=self.store,
            audit=self.audit,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            new_id=lambda: f"id-{next(numbers)}",
            secret=lambda: self.secret,
        )

    def code(self, made: UserCredentials, seconds: float = 0) -> str:
        return pyotp.TOTP(made.shared_secret).at(int(self.clock.now().timestamp() + seconds))

    def enters(self, name: str, password: str, code: str = "", address: str = HOME) -> bool:
        return self.users.sign_in(name, password, code, address).user is not None


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_a_user_signs_in_with_password_and_code(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")

    found = environment.users.sign_in(" Ada ", made.password, environment.code(made), HOME).user

    assert found is not None
    assert (found.name, found.role) == ("ada", Role.ADMIN)


@pytest.mark.parametrize("typed", ["", "000000", "abcdef", "1" * 500, "١٢٣٤٥٦"])
def test_no_wrong_code_is_taken(environment: Environment, typed: str) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    assert typed != environment.code(made)

    assert not environment.enters("ada", made.password, typed)


def test_a_code_is_taken_once(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    code = environment.code(made)

    assert [environment.enters("ada", made.password, code) for _ in range(2)] == [True, False]
    environment.clock.advance(30)
    assert environment.enters("ada", made.password, environment.code(made))


@pytest.mark.parametrize(("seconds", "is_taken"), [(-61, False), (-30, True), (0, True), (30, True), (61, False)])
def test_clocks_may_differ_by_one_step(environment: Environment, seconds: float, is_taken: bool) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")

    assert environment.enters("ada", made.password, environment.code(made, seconds)) is is_taken


def test_a_right_code_without_the_password_is_nothing(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")

    assert not environment.enters("ada", "wrong", environment.code(made))
    assert environment.enters("ada", made.password, environment.code(made))


@pytest.mark.parametrize("name", ["eve", "", "\x00", "a" * 500, "{'$ne': 1}"])
def test_a_name_that_nobody_has_is_answered_like_a_wrong_password(environment: Environment, name: str) -> None:
    environment.users.add("ada", Role.ADMIN, by="ops")

    login = environment.users.sign_in(name, "wrong", "", HOME)

    assert (login.user, login.wait_seconds) == (None, 0)


def test_nothing_that_is_kept_or_logged_is_what_was_made(environment: Environment) -> None:
    with capture_logs() as lines:
        made = environment.users.add("ada", Role.ADMIN, by="ops")
        environment.enters("ada", made.password, "000000")

    kept = environment.store.find("ada")
    assert kept is not None
    assert kept.password_hash.startswith("$argon2id$")
    everything = f"{kept.password_hash}{kept.second_factor!r}{kept}{lines}{environment.audit.events}{made}"
    assert made.password not in everything
    assert made.shared_secret not in everything


def test_under_another_secret_key_no_code_is_right_and_the_log_says_why(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    environment.secret = b"t" * 32

    with capture_logs() as lines:
        is_in = environment.enters("ada", made.password, environment.code(made))

    assert not is_in
    assert [line["event"] for line in lines] == ["second_factor_unreadable"]
    assert "wavecom users reset ada" in lines[0]["error"]


def test_the_encrypted_secret_of_one_user_is_of_no_use_for_another(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    bob = environment.users.add("bob", Role.VIEWER, by="ops")
    stolen, kept = environment.store.find("ada"), environment.store.find("bob")
    assert stolen is not None
    assert kept is not None
    environment.store.set_credentials(
        "bob", password_hash=kept.password_hash, second_factor=stolen.second_factor, credentials_id="c"
    )

    assert not environment.enters("bob", bob.password, environment.code(made))


# --- guessing ---------------------------------------------------------------------------------------------------------


def test_who_guesses_too_often_is_refused_unheard_and_nobody_elsewhere_is(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    for _ in range(GUESSES_PER_MINUTE):
        assert environment.users.sign_in("ada", "wrong", "", HOME).wait_seconds == 0

    refused = environment.users.sign_in("ada", made.password, environment.code(made), HOME)
    elsewhere = environment.enters("ada", made.password, environment.code(made), ELSEWHERE)
    environment.clock.advance(60)

    assert refused.user is None
    assert 0 < refused.wait_seconds <= 60
    assert elsewhere
    assert environment.enters("ada", made.password, environment.code(made))


def test_codes_cannot_be_guessed_from_many_places(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    for number in range(CODES_PER_TEN_MINUTES):
        environment.enters("ada", made.password, "wrong", f"203.0.113.{number}")

    refused = environment.users.sign_in("ada", made.password, environment.code(made), ELSEWHERE)
    environment.clock.advance(600)

    assert (refused.user, refused.wait_seconds > 0) == (None, True)
    assert environment.enters("ada", made.password, environment.code(made))


def test_guesses_at_once_are_as_many_as_one_after_the_other(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.users.add("ada", Role.ADMIN, by="ops")
    guesses = GUESSES_PER_MINUTE + 10
    together = threading.Barrier(guesses)
    heard = itertools.count()

    def never(_password: str, _kept: str | None) -> bool:
        next(heard)
        time.sleep(0.2)
        return False

    def guess(_number: int) -> None:
        together.wait(30)
        environment.enters("ada", "wrong")

    monkeypatch.setattr(users, "is_right_password", never)
    with ThreadPoolExecutor(guesses) as threads:
        list(threads.map(guess, range(guesses)))

    assert next(heard) == GUESSES_PER_MINUTE


def test_who_signs_in_uses_up_nobodys_guesses(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops", has_second_factor=False)

    assert all(environment.enters("ada", made.password) for _ in range(GUESSES_PER_MINUTE + 5))


def test_a_password_is_guessed_no_faster_at_an_open_session(environment: Environment) -> None:
    made = environment.users.add("ada", Role.VIEWER, by="ops", has_second_factor=False)
    for _ in range(GUESSES_PER_MINUTE):
        with pytest.raises(InvalidUserError, match="another one"):
            environment.users.change_password("ada", "wrong", "nine small blue horses")

    with pytest.raises(InvalidUserError, match="too many wrong tries"):
        environment.users.change_password("ada", made.password, "nine small blue horses")
    environment.clock.advance(60)
    environment.users.change_password("ada", made.password, "nine small blue horses")


def test_strangers_keep_nobody_out(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops")
    for number in range(200):
        environment.enters("ada", "wrong", "000000", f"203.0.113.{number}")

    assert environment.enters("ada", made.password, environment.code(made))


# --- administration ---------------------------------------------------------------------------------------------------


def test_who_is_kept_out_does_not_get_in_and_is_not_found(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops", has_second_factor=False)

    environment.users.disable("ada", by="ops")
    out = (environment.enters("ada", made.password), environment.users.find("ada"))
    environment.users.enable("ada", by="ops")

    assert out == (False, None)
    assert environment.enters("ada", made.password)


def test_a_reset_ends_what_was_before(environment: Environment) -> None:
    old = environment.users.add("ada", Role.ADMIN, by="ops")
    before = environment.users.find("ada")

    new = environment.users.reset("ada", by="ops")
    after = environment.users.find("ada")

    assert before is not None
    assert after is not None
    assert before.credentials_id != after.credentials_id
    assert not environment.enters("ada", old.password, environment.code(old))
    assert environment.enters("ada", new.password, environment.code(new))


def test_a_user_chooses_a_password_of_his_own(environment: Environment) -> None:
    made = environment.users.add("ada", Role.VIEWER, by="ops", has_second_factor=False)
    chosen = "nine small blue horses"

    with pytest.raises(InvalidUserError):
        environment.users.change_password("ada", "wrong", chosen)
    with pytest.raises(InvalidUserError):
        environment.users.change_password("ada", made.password, "short")
    environment.users.change_password("ada", made.password, chosen)

    assert environment.enters("ada", chosen)
    assert not environment.enters("ada", made.password)


def test_a_reset_while_a_user_chooses_a_password_holds(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = environment.users.add("ada", Role.VIEWER, by="ops")
    reset: list[UserCredentials] = []

    def slow(password: str) -> str:
        if not reset:
            reset.append(UserCredentials(""))
            reset.append(environment.users.reset("ada", by="ops"))
        return hash_password(password)

    monkeypatch.setattr(users, "hash_password", slow)
    with pytest.raises(InvalidUserError, match="Sign in again"):
        environment.users.change_password("ada", made.password, "nine small blue horses")

    new = reset[-1]
    assert not environment.enters("ada", "nine small blue horses", environment.code(made))
    assert environment.enters("ada", new.password, environment.code(new))


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaa", "ada-lovelace-1", "x1" * 101])
def test_some_passwords_are_none(password: str) -> None:
    assert password_problem(password, "ada-lovelace")
    assert not password_problem(new_password(), "ada-lovelace")


def test_whatever_is_done_is_written_down_first(environment: Environment) -> None:
    made = environment.users.add("ada", Role.VIEWER, by="ops")
    environment.users.change_role("ada", Role.OPERATOR, by="ops")
    environment.users.disable("ada", by="ops")
    environment.users.enable("ada", by="ops")
    environment.users.change_password("ada", made.password, "nine small blue horses")
    environment.users.reset("ada", by="ops")

    assert [event.action for event in environment.audit.events] == [
        UserAction.ADD,
        UserAction.CHANGE_ROLE,
        UserAction.DISABLE,
        UserAction.ENABLE,
        UserAction.CHANGE_PASSWORD,
        UserAction.RESET,
    ]
    assert {event.user for event in environment.audit.events} == {"ada"}


def test_without_its_audit_entry_nothing_is_done(environment: Environment) -> None:
    environment.users.add("ada", Role.VIEWER, by="ops")
    environment.audit.is_up = False

    for change in (
        lambda: environment.users.add("bob", Role.ADMIN, by="ops"),
        lambda: environment.users.change_role("ada", Role.ADMIN, by="ops"),
        lambda: environment.users.reset("ada", by="ops"),
    ):
        with pytest.raises(StoreError):
            change()

    assert [(user.name, user.role) for user in environment.users.list()] == [("ada", Role.VIEWER)]


def test_names_are_checked_and_taken_once(environment: Environment) -> None:
    environment.users.add("ada", Role.VIEWER, by="ops")

    with pytest.raises(UserExistsError):
        environment.users.add("ada", Role.ADMIN, by="ops")
    for name in ("Ada", "a", "1ada", "a b", "a" * 41, "ada\n"):
        with pytest.raises(InvalidUserError):
            environment.users.add(name, Role.VIEWER, by="ops")
    with pytest.raises(UserNotFoundError):
        environment.users.reset("eve", by="ops")
