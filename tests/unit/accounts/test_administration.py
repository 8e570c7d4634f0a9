from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyAudit, MemoryKeyStore
from wavecom.accounts import Administrator, Caller, IssuedKey, KeyAdministration, KeyRing, KeyScope
from wavecom.accounts.keyring import MEMORY_SECONDS
from wavecom.core.keys import KeyAction, KeyEvent, KeyStatus
from wavecom.core.quota import UNLIMITED, Limits
from wavecom.errors import ForbiddenError, KeyEndedError, KeyNotFoundError, StoreError, UnauthenticatedError

OPERATOR = Administrator("ada@ops")
EVERY_SCOPE = frozenset(KeyScope)


class Store(MemoryKeyStore):
    """Runs ``before_retire`` in the moment between the look and the write."""

    def __init__(self) -> None:
        super().__init__()
        self.before_retire: Callable[[], object] = lambda: None

    def retire(self, key_id: str, at: datetime, replaced_by: str) -> bool:
        self.before_retire()
        return super().retire(key_id, at, replaced_by)


class Audit(MemoryKeyAudit):
    is_up = True

    def record_key_event(self, event: KeyEvent) -> None:
        if not self.is_up:
            raise StoreError("away")
        super().record_key_event(event)


class Environment:
    def __init__(self, usual: Limits = UNLIMITED) -> None:
        self.clock = FakeClock()
        self.store = Store()
        self.audit = Audit()
        self.ring = KeyRing(self.store, self.clock)
        numbers = itertools.count(1)
        self.administration = KeyAdministration(
            store=self.store,
            audit=self.audit,
            clock=self.clock,
            new_id=lambda: f"id-{next(numbers)}",
            on_ended=self.ring.forget,
            usual=usual,
        )

    def make(
        self,
        by: Administrator = OPERATOR,
        *,
        client: str = "acme",
        scopes: frozenset[str] = EVERY_SCOPE,
        is_live: bool = True,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        return self.administration.create(
            by, client=client, name="backend", scopes=scopes, is_live=is_live, expires_at=expires_at
        )

    def works(self, key: str) -> bool:
        try:
            self.ring.authenticate(key)
        except UnauthenticatedError:
            return False
        return True

    def actions(self) -> list[tuple[KeyAction, str, str]]:
        return [(event.action, event.key_id, event.actor) for event in self.audit.events.values()]


@pytest.fixture
def environment() -> Environment:
    return Environment()


def admin_of(
    client: str = "acme", *, scopes: frozenset[str] = EVERY_SCOPE, is_live: bool = True, key_id: str = "id-0"
) -> Administrator:
    account = client if is_live else f"{client}:test"
    return Administrator.of(caller_with(account, scopes, is_live, key_id))


def caller_with(account: str, scopes: frozenset[str], is_live: bool, key_id: str, **more: Any) -> Caller:
    more = {"budget": key_id} | more
    return Caller(client=account, name=f"key {key_id}", scopes=scopes, is_live=is_live, key_id=key_id, **more)


@pytest.mark.parametrize(("is_live", "prefix"), [(True, "wc_live_"), (False, "wc_test_")])
def test_a_new_key_works_and_scanners_would_know_it(environment: Environment, is_live: bool, prefix: str) -> None:
    made = environment.make(is_live=is_live, scopes=frozenset({"send"}))

    assert made.key.startswith(prefix)
    assert environment.ring.authenticate(made.key) == caller_with(
        "acme" if is_live else "acme:test", frozenset({"send"}), is_live, made.record.key_id
    )
    assert made.record.hint == made.key[-4:]


def test_nothing_that_is_kept_or_said_holds_the_key(environment: Environment) -> None:
    with capture_logs() as lines:
        made = environment.make()
        again = environment.administration.rotate(OPERATOR, made.record.key_id)
        environment.administration.revoke(OPERATOR, again.record.key_id)

    kept = repr((lines, environment.store.of_client(None), environment.audit.events, made, again))
    for key in (made.key, again.key):
        assert key not in kept
        assert key[8:-4] not in kept


def test_every_deed_leaves_an_entry(environment: Environment) -> None:
    made = environment.make()
    again = environment.administration.rotate(admin_of(), made.record.key_id)
    environment.administration.revoke(OPERATOR, again.record.key_id)
    environment.administration.revoke(OPERATOR, again.record.key_id)

    assert environment.actions() == [
        (KeyAction.CREATE, made.record.key_id, "ada@ops"),
        (KeyAction.ROTATE, made.record.key_id, "key id-0"),
        (KeyAction.REVOKE, again.record.key_id, "ada@ops"),
    ]


def test_nothing_is_done_that_the_audit_does_not_hear_of(environment: Environment) -> None:
    made = environment.make()
    environment.audit.is_up = False

    with pytest.raises(StoreError):
        environment.make()
    with pytest.raises(StoreError):
        environment.administration.rotate(OPERATOR, made.record.key_id)
    with pytest.raises(StoreError):
        environment.administration.revoke(OPERATOR, made.record.key_id)

    assert environment.store.of_client(None) == [made.record]


@pytest.mark.parametrize("client", ["", "acme:test", "a b", "x" * 65])
def test_no_key_is_made_for_a_client_whose_name_could_be_mistaken(environment: Environment, client: str) -> None:
    with pytest.raises(ValueError, match="name"):
        environment.make(client=client)


# --- who may do what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", list(KeyScope))
def test_nobody_gives_a_scope_that_they_lack(environment: Environment, lacking: KeyScope) -> None:
    by = admin_of(scopes=EVERY_SCOPE - {lacking})
    powerful = environment.make()

    with pytest.raises(ForbiddenError, match=lacking):
        environment.make(by, scopes=frozenset({lacking}))
    with pytest.raises(ForbiddenError, match=lacking):
        environment.administration.rotate(by, powerful.record.key_id)

    assert environment.store.of_client(None) == [powerful.record]
    assert environment.make(by, scopes=by.scopes).record.scopes == by.scopes


def test_a_test_key_makes_and_manages_test_keys_only(environment: Environment) -> None:
    live, test = environment.make(), environment.make(is_live=False)
    by = admin_of(is_live=False)

    with pytest.raises(ForbiddenError, match="test keys only"):
        environment.make(by, is_live=True)
    with pytest.raises(KeyNotFoundError):
        environment.administration.rotate(by, live.record.key_id)
    with pytest.raises(KeyNotFoundError):
        environment.administration.revoke(by, live.record.key_id)

    assert environment.administration.list(by) == [test.record]
    assert not environment.make(by, is_live=False).record.is_live


def test_a_live_key_manages_the_test_keys_of_its_client_too(environment: Environment) -> None:
    test = environment.make(is_live=False)

    environment.administration.revoke(admin_of(), test.record.key_id)

    assert not environment.works(test.key)


def test_a_key_manages_nothing_of_another_client(environment: Environment) -> None:
    theirs = environment.make(client="globex")

    with pytest.raises(ForbiddenError):
        environment.make(admin_of("acme"), client="globex")
    for act in (environment.administration.rotate, environment.administration.revoke):
        with pytest.raises(KeyNotFoundError):
            act(admin_of("acme"), theirs.record.key_id)

    assert environment.administration.list(admin_of("acme"), client="globex") == []
    assert environment.works(theirs.key)


def test_the_operator_manages_all(environment: Environment) -> None:
    made = {environment.make(client=client).record.key_id for client in ("acme", "globex")}

    assert {record.key_id for record in environment.administration.list(OPERATOR)} == made
    assert [record.client for record in environment.administration.list(OPERATOR, "globex")] == ["globex"]


FIVE = Limits(5, 100)


def limited(limits: Limits = FIVE, **more: Any) -> Administrator:
    """An administrator with a key that is under limits."""
    return Administrator.of(caller_with("acme", EVERY_SCOPE, True, "id-0", limits=limits, **more))


def test_a_key_made_by_a_key_has_its_limits_and_shares_its_count_and_so_do_those_after_it(
    environment: Environment,
) -> None:
    made = environment.make(limited())
    again = environment.administration.rotate(OPERATOR, made.record.key_id)
    grandchild = environment.make(Administrator.of(environment.ring.authenticate(again.key)))
    for_tests = environment.make(limited(), is_live=False)

    for key in (made, again, grandchild, for_tests):
        caller = environment.ring.authenticate(key.key)
        assert (caller.limits, caller.budget) == (FIVE, "id-0")


def test_an_operator_gives_each_key_a_count_of_its_own(environment: Environment) -> None:
    first, second = environment.make(), environment.make()

    assert environment.ring.authenticate(first.key).budget == first.record.key_id
    assert environment.ring.authenticate(second.key).budget == second.record.key_id


@pytest.mark.parametrize("limits", [FIVE, Limits(5, None), Limits(None, 100)])
@pytest.mark.parametrize("its", [Limits(), Limits(50, 100), Limits(5, 1000), FIVE])
def test_who_is_under_limits_rotates_no_key_with_a_count_of_its_own(
    environment: Environment, limits: Limits, its: Limits
) -> None:
    sibling = environment.make(Administrator("ada", limits=its))

    with pytest.raises(ForbiddenError, match="has limits of its own"):
        environment.administration.rotate(limited(limits), sibling.record.key_id)

    assert environment.works(sibling.key)
    assert len(environment.administration.list(OPERATOR)) == 1


def test_the_limits_of_the_settings_are_limits_too() -> None:
    environment = Environment(usual=Limits(None, 5000))
    sibling = environment.make()

    with pytest.raises(ForbiddenError):
        environment.administration.rotate(limited(Limits()), sibling.record.key_id)


def test_who_is_under_limits_rotates_what_shares_its_count_itself_too(environment: Environment) -> None:
    own = environment.make(Administrator("ada", limits=FIVE))
    own_rights = Administrator.of(environment.ring.authenticate(own.key))
    made = environment.make(own_rights)

    rotated = [environment.administration.rotate(own_rights, key.record.key_id) for key in (made, own)]

    assert {environment.ring.authenticate(key.key).budget for key in rotated} == {own.record.key_id}


def test_without_limits_every_key_of_the_client_may_be_rotated(environment: Environment) -> None:
    narrow = environment.make(Administrator("ada", limits=FIVE))

    rotated = environment.administration.rotate(admin_of("acme"), narrow.record.key_id)

    assert environment.ring.authenticate(rotated.key).limits == FIVE


def test_no_key_makes_one_that_lasts_longer_than_itself(environment: Environment) -> None:
    end = environment.clock.now() + timedelta(hours=1)
    ending = limited(Limits(), expires_at=end)

    assert environment.make(ending).record.expires_at == end
    assert environment.make(ending, expires_at=end - timedelta(minutes=1)).record.expires_at == end - timedelta(
        minutes=1
    )
    with pytest.raises(ForbiddenError, match="lasts longer"):
        environment.make(ending, expires_at=end + timedelta(seconds=1))


def test_no_key_rotates_one_that_lasts_longer_nor_itself_beyond_its_end(environment: Environment) -> None:
    end = environment.clock.now() + timedelta(hours=1)
    ending = environment.make(expires_at=end)
    by_itself = Administrator.of(environment.ring.authenticate(ending.key))
    environment.clock.advance(1800)
    for expires_at in (None, end + timedelta(days=1)):
        other = environment.make(expires_at=expires_at)
        with pytest.raises(ForbiddenError, match="lasts longer"):
            environment.administration.rotate(by_itself, other.record.key_id)

    rotated = environment.administration.rotate(by_itself, ending.record.key_id)

    assert rotated.record.expires_at == end
    by_operator = environment.administration.rotate(OPERATOR, rotated.record.key_id)
    assert by_operator.record.expires_at is not None


# --- rotation -----------------------------------------------------------------------------------------------------


def test_a_rotated_key_works_beside_the_new_one_for_the_overlap_and_not_longer(environment: Environment) -> None:
    old = environment.make(scopes=frozenset({"send"}), is_live=False)

    new = environment.administration.rotate(OPERATOR, old.record.key_id, timedelta(hours=2))

    assert new.record.scopes == {"send"}
    assert (new.record.client, new.record.name, new.record.is_live) == ("acme", "backend", False)
    assert environment.works(old.key)
    assert environment.works(new.key)
    environment.clock.advance(2 * 3600)
    assert not environment.works(old.key)
    assert environment.works(new.key)


def test_without_an_overlap_the_old_key_ends_at_once(environment: Environment) -> None:
    old = environment.make()
    environment.works(old.key)

    new = environment.administration.rotate(OPERATOR, old.record.key_id, timedelta(0))

    assert not environment.works(old.key)
    assert environment.works(new.key)


def test_an_overlap_makes_no_key_live_longer_and_a_successor_lives_as_long_as_it_was_meant_to(
    environment: Environment,
) -> None:
    began = environment.clock.now()
    old = environment.make(expires_at=began + timedelta(days=30))
    environment.clock.advance(29.5 * 86_400)

    new = environment.administration.rotate(OPERATOR, old.record.key_id)

    retired = environment.store.find_by_id(old.record.key_id)
    assert retired is not None
    assert retired.expires_at == began + timedelta(days=30)
    assert new.record.expires_at == environment.clock.now() + timedelta(days=30)


def test_a_key_that_has_ended_or_been_rotated_is_not_rotated(environment: Environment) -> None:
    revoked, expired, rotated = (
        environment.make(),
        environment.make(expires_at=environment.clock.now()),
        environment.make(),
    )
    environment.administration.revoke(OPERATOR, revoked.record.key_id)
    environment.administration.rotate(OPERATOR, rotated.record.key_id)
    before = environment.store.of_client(None)

    for key in (revoked, expired, rotated):
        with pytest.raises(KeyEndedError):
            environment.administration.rotate(OPERATOR, key.record.key_id)

    assert environment.store.of_client(None) == before


def test_a_key_that_is_revoked_while_it_is_rotated_stays_revoked_and_has_no_successor(environment: Environment) -> None:
    old = environment.make()
    environment.store.before_retire = lambda: environment.store.revoke(old.record.key_id, environment.clock.now())

    with pytest.raises(KeyEndedError, match="at the same moment"):
        environment.administration.rotate(OPERATOR, old.record.key_id)

    records = environment.store.of_client(None)
    assert {record.status(environment.clock.now()) for record in records} == {KeyStatus.REVOKED}


# --- revocation ---------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_at_once_here_and_within_seconds_elsewhere(environment: Environment) -> None:
    made = environment.make()
    elsewhere = KeyRing(environment.store, environment.clock)
    environment.works(made.key)
    elsewhere.authenticate(made.key)

    environment.administration.revoke(OPERATOR, made.record.key_id)

    assert not environment.works(made.key)
    environment.clock.advance(MEMORY_SECONDS)
    with pytest.raises(UnauthenticatedError):
        elsewhere.authenticate(made.key)


def test_who_showed_a_key_before_is_known_by_its_id_until_it_ends(environment: Environment) -> None:
    made = environment.make()
    elsewhere = KeyRing(environment.store, environment.clock)

    before = elsewhere.caller_of(made.record.key_id)
    environment.administration.revoke(OPERATOR, made.record.key_id)
    environment.clock.advance(MEMORY_SECONDS)

    assert before == environment_caller(made)
    assert elsewhere.caller_of(made.record.key_id) is None
    assert elsewhere.caller_of("nobody's") is None


def environment_caller(made: IssuedKey) -> Caller:
    return caller_with("acme", made.record.scopes, True, made.record.key_id)


def test_an_unknown_key_is_not_revoked(environment: Environment) -> None:
    with pytest.raises(KeyNotFoundError):
        environment.administration.revoke(OPERATOR, "nobody's")

    assert environment.audit.events == {}
