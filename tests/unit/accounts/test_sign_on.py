"""Signing in by an identity provider: what is begun, what counts as its answer, and which user that is here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes import FakeClock
from tests.memory_identity_provider import ISSUER, MemoryIdentityProvider, sign_on_with
from tests.memory_storage import MemoryUserAudit, MemoryUserStore
from wavecom.accounts.sign_on import LONGEST_SECONDS, BegunSignOn
from wavecom.accounts.users import GUESSES_PER_MINUTE, InvalidUserError, Users
from wavecom.core.roles import Role
from wavecom.core.sign_on import SignOnError
from wavecom.core.users import UserAction, UserRecord
from wavecom.errors import StoreError

BACK = "https://notify.bank.example/login/sso/callback"
HOME = "192.0.2.1"


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryUserStore()
        self.audit = MemoryUserAudit()
        self.provider = MemoryIdentityProvider()
        numbers = iter(range(1000))
        self.users = Users(
            store=self.store,
            audit=self.audit,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            new_id=lambda: f"id-{next(numbers)}",
            secret=lambda: b"s" * 32,
        )
        self.sign_on = sign_on_with(self.provider, self.users, self.clock)

    def begin(self) -> BegunSignOn:
        return self.sign_on.begin(BACK, "/status")[1]

    def finish(self, begun: BegunSignOn | None, code: str = "right", **answer: str) -> UserRecord | None:
        given = {"code": code, "state": begun.state if begun else "s"} | answer
        return self.sign_on.finish(begun, given, HOME).user

    def signs_in(self, **claims: Any) -> UserRecord:
        self.provider.claims |= claims
        found = self.finish(self.begin())
        assert found is not None
        return found

    def actions(self) -> list[tuple[UserAction, str, str]]:
        return [(each.action, each.actor, each.user) for each in self.audit.events]


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_what_is_begun_is_sent_there_and_comes_back_through_a_cookie(environment: Environment) -> None:
    url, begun = environment.sign_on.begin(BACK, "/audit?page=2")
    again = BegunSignOn.of_json(begun.as_json())

    sent = dict(parse_qsl(urlsplit(url).query))
    assert sent == {"redirect_uri": BACK, "state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier}
    assert len({*sent.values()}) == 4
    assert again == begun
    assert begun.state not in repr(begun)


@pytest.mark.parametrize("value", [None, {}, "x", {"state": "s"}, 7])
def test_what_no_sign_on_has_begun_is_nothing(value: Any) -> None:
    assert BegunSignOn.of_json(value) is None


def test_secrets_are_new_each_time(environment: Environment) -> None:
    found = [environment.begin() for _ in range(3)]

    assert len({each for begun in found for each in (begun.state, begun.nonce, begun.verifier)}) == 9


def test_a_person_becomes_a_user_at_the_first_sign_in_and_is_the_same_at_the_next(environment: Environment) -> None:
    first = environment.signs_in()
    second = environment.signs_in(preferred_username="ada.married")

    assert (first.name, first.role, first.issuer, first.subject) == ("sso:ada", Role.VIEWER, ISSUER, "7")
    assert second == first, "who is renamed there keeps his name here"
    assert environment.actions() == [
        (UserAction.ADD, "identity provider", "sso:ada"),
        (UserAction.SIGN_ON, "user sso:ada", "sso:ada"),
        (UserAction.SIGN_ON, "user sso:ada", "sso:ada"),
    ]
    assert environment.audit.events[1].details == {"subject": "7", "role": "viewer"}


def test_a_name_that_another_person_has_had_opens_nothing_of_his(environment: Environment) -> None:
    first = environment.signs_in()
    second = environment.signs_in(sub="8", groups=["admins"])

    assert second.name.startswith("sso:ada.")
    assert second.name != first.name
    assert environment.store.find(first.name) == first


def test_a_user_with_a_password_and_one_of_the_provider_are_two(environment: Environment) -> None:
    made = environment.users.add("ada", Role.ADMIN, by="ops", has_second_factor=False)

    found = environment.signs_in()

    assert found.name == "sso:ada"
    assert environment.users.sign_in("sso:ada", made.password, "", HOME).user is None
    assert environment.users.sign_in("sso:ada", "", "", HOME).user is None


def test_the_same_subject_of_another_provider_is_another_person(environment: Environment) -> None:
    first = environment.signs_in()
    environment.provider.issuer = "https://other.example"

    assert environment.signs_in().name != first.name


def test_the_groups_of_each_sign_in_decide_on_the_role(environment: Environment) -> None:
    environment.signs_in()
    promoted = environment.signs_in(groups=["admins"])

    assert promoted.role is Role.ADMIN
    assert environment.store.find("sso:ada") == promoted
    assert (UserAction.CHANGE_ROLE, "identity provider", "sso:ada") in environment.actions()


def test_who_is_kept_out_here_is_not_let_in_whatever_he_is_called_there(environment: Environment) -> None:
    environment.signs_in()
    environment.users.disable("sso:ada", by="ops")
    environment.provider.claims["preferred_username"] = "bob"

    with pytest.raises(SignOnError) as refused:
        environment.finish(environment.begin())

    assert refused.value.reason == "kept_out"


def test_password_and_role_of_such_a_user_are_not_ours_to_change(environment: Environment) -> None:
    environment.signs_in()

    with pytest.raises(InvalidUserError, match="single sign-on"):
        environment.users.reset("sso:ada", by="ops")
    with pytest.raises(InvalidUserError, match="single sign-on"):
        environment.users.change_role("sso:ada", Role.ADMIN, by="ops")
    with pytest.raises(InvalidUserError, match="single sign-on"):
        environment.users.change_password("sso:ada", "", "a new password 123")


def test_nobody_is_let_in_without_an_audit_entry(environment: Environment) -> None:
    environment.audit.is_up = False

    with pytest.raises(StoreError):
        environment.finish(environment.begin())

    assert environment.store.all() == []


def test_an_answer_to_nothing_that_this_browser_has_begun_is_refused(environment: Environment) -> None:
    begun = environment.begin()

    for kept, answer in ((None, {}), (begun, {"state": "another"}), (begun, {"state": ""})):
        with pytest.raises(SignOnError) as refused:
            environment.finish(kept, **answer)
        assert refused.value.reason == "state"
    assert environment.provider.redeemed == []


@pytest.mark.parametrize(("seconds", "is_taken"), [(LONGEST_SECONDS, True), (LONGEST_SECONDS + 1, False), (-1, False)])
def test_what_was_begun_is_good_for_ten_minutes(environment: Environment, seconds: float, is_taken: bool) -> None:
    begun = environment.begin()
    begun = replace(begun, begun_at=begun.begun_at - seconds)

    if is_taken:
        assert environment.finish(begun) is not None
    else:
        with pytest.raises(SignOnError, match="too long"):
            environment.finish(begun)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": "access_denied"}, "denied"),
        ({"error": "server_error"}, "trouble_there"),
        ({"error": "<script>"}, "request_refused"),
        ({"iss": "https://evil.example"}, "wrong_issuer"),
        ({"code": ""}, "no_code"),
        ({"code": "x" * 5000}, "no_code"),
        ({"code": "wrong"}, "code_refused"),
    ],
)
def test_other_answers_let_nobody_in_and_quote_nothing(
    environment: Environment, answer: dict[str, str], reason: str
) -> None:
    with pytest.raises(SignOnError) as refused:
        environment.finish(environment.begin(), **answer)

    assert refused.value.reason == reason
    assert "script" not in str(refused.value)


def test_the_code_is_redeemed_with_what_was_begun(environment: Environment) -> None:
    begun = environment.begin()
    environment.finish(begun)

    assert environment.provider.redeemed == [{"verifier": begun.verifier, "redirect_uri": BACK, "nonce": begun.nonce}]


def test_who_fails_too_often_waits_and_others_do_not(environment: Environment) -> None:
    for _ in range(GUESSES_PER_MINUTE):
        with pytest.raises(SignOnError):
            environment.finish(environment.begin(), "wrong")
    begun = environment.begin()

    slowed = environment.sign_on.finish(begun, {"code": "right", "state": begun.state}, HOME)
    elsewhere = environment.sign_on.finish(begun, {"code": "right", "state": begun.state}, "198.51.100.7")

    assert slowed.user is None
    assert slowed.wait_seconds > 0
    assert elsewhere.user is not None


def test_who_gets_in_is_never_slowed_down(environment: Environment) -> None:
    for _ in range(GUESSES_PER_MINUTE + 5):
        environment.signs_in()
