"""A key's session sees and changes only what belongs to its account, on every page; it ends with its key."""

from __future__ import annotations

import pytest

from tests.factories import make_job
from tests.unit.dashboard.environment import CLIENT, KEY, PASSWORD, READ_ONLY_KEY, TEST_KEY, Browser, World
from wavecom.accounts import Administrator, Scope, hash_of
from wavecom.accounts.keyring import MEMORY_SECONDS
from wavecom.core.job import Job
from wavecom.core.keys import KeyRecord
from wavecom.core.states import Status
from wavecom.web.dashboard import OPEN

OTHER_KEY = "wc_live_" + "o" * 43
KEYS = {CLIENT: KEY, "globex": OTHER_KEY, f"{CLIENT}:test": TEST_KEY}
PAIRS = [(mine, theirs) for mine in KEYS for theirs in KEYS if mine != theirs]
OPERATOR = Administrator("ada@ops")

#: Every page → a request that tries for ``{job_id}`` of somebody else's.
REQUESTS = {
    ("GET", "/"): "/",
    ("GET", "/status"): "/status",
    ("GET", "/status/live"): "/status/live",
    ("GET", "/notifications"): "/notifications",
    ("GET", "/notifications/<job_id>"): "/notifications/{job_id}",
    ("GET", "/notifications/<job_id>/live"): "/notifications/{job_id}/live",
    ("GET", "/notifications/<job_id>/cancel"): "/notifications/{job_id}/cancel",
    ("POST", "/notifications/<job_id>/cancel"): "/notifications/{job_id}/cancel",
    ("GET", "/notifications/<job_id>/retry"): "/notifications/{job_id}/retry",
    ("POST", "/notifications/<job_id>/retry"): "/notifications/{job_id}/retry",
    ("GET", "/notifications/<job_id>/settle"): "/notifications/{job_id}/settle",
    ("POST", "/notifications/<job_id>/settle"): "/notifications/{job_id}/settle",
    ("GET", "/outbox"): "/outbox",
    ("GET", "/send"): "/send",
    ("POST", "/send"): "/send?type=sms",
    ("GET", "/sessions"): "/sessions",
    ("POST", "/sessions/<session_id>/end"): "/sessions/somebody-elses/end",
    ("POST", "/logout"): "/logout",
}


@pytest.fixture
def jobs(world: World) -> dict[str, Job]:
    """One delivered job of each account, with a secret in it."""
    world.keys.add(
        KeyRecord(
            key_id="other",
            hash=hash_of(OTHER_KEY),
            client="globex",
            scopes=frozenset(Scope),
            is_live=True,
            created_at=world.clock.now(),
        )
    )
    made = {
        account: make_job(client=account, status=Status.DELIVERED, payload={"text": f"secret of {account}."})
        for account in KEYS
    }
    world.put(*made.values())
    for job in made.values():
        world.deliver(job)
    return made


def test_every_page_is_tried_here(world: World) -> None:
    pages = {
        (method, rule.rule)
        for rule in world.app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}
        if rule.endpoint.startswith("dashboard.") and rule.endpoint not in OPEN
    }

    assert pages == set(REQUESTS)


@pytest.mark.parametrize(("mine", "theirs"), PAIRS)
@pytest.mark.parametrize("page", REQUESTS, ids=" ".join)
def test_no_page_shows_or_changes_what_is_somebody_elses(
    world: World, jobs: dict[str, Job], page: tuple[str, str], mine: str, theirs: str
) -> None:
    browser = world.browser(KEYS[mine])
    path = REQUESTS[page].format(job_id=jobs[theirs].job_id)
    before = [world.jobs.get(job.job_id) for job in jobs.values()]

    answer = browser.get(path) if page[0] == "GET" else browser.post(path, {"job_id": jobs[theirs].job_id})

    assert f"secret of {theirs}." not in answer.text
    assert "<job_id>" not in page[1] or answer.status_code == 404
    assert [world.jobs.get(job.job_id) for job in jobs.values()] == before


def test_the_operator_sees_all_and_a_key_its_own(world: World, jobs: dict[str, Job]) -> None:
    for account, key in KEYS.items():
        own = world.browser(key).get(f"/notifications/{jobs[account].job_id}")
        assert f"secret of {account}." in own.text
        assert f"secret of {account}." in world.browser(PASSWORD).get(f"/notifications/{jobs[account].job_id}").text
        assert f"secret of {account}." in world.browser(key).get("/outbox").text


def test_who_is_signed_in_with_a_test_key_is_told_so(world: World) -> None:
    assert f"Signed in as {CLIENT} (test)" in world.browser(TEST_KEY).get("/status").text


# --- sessions end with their key ------------------------------------------------------------------------------------


def _key_id(world: World, key: str) -> str:
    record = world.keys.find(hash_of(key))
    assert record is not None
    return record.key_id


def _is_in(browser: Browser) -> bool:
    return browser.get("/status").status_code == 200


@pytest.mark.parametrize("key", [KEY, READ_ONLY_KEY, TEST_KEY])
def test_a_session_ends_at_once_when_its_key_is_revoked_here(world: World, key: str) -> None:
    browser, other = world.browser(key), world.browser()

    world.services.key_administration.revoke(OPERATOR, _key_id(world, key))

    assert not _is_in(browser)
    assert _is_in(other)


def test_a_session_ends_within_seconds_when_its_key_is_revoked_elsewhere(world: World) -> None:
    browser = world.browser(KEY)
    assert _is_in(browser)

    world.keys.revoke(_key_id(world, KEY), world.clock.now())
    world.clock.advance(MEMORY_SECONDS)

    assert not _is_in(browser)


def test_a_session_ends_with_the_overlap_of_its_rotated_key(world: World) -> None:
    browser = world.browser(KEY)
    world.services.key_administration.rotate(OPERATOR, _key_id(world, KEY))

    still = _is_in(browser)
    world.clock.advance(24 * 3600)

    assert still
    assert not _is_in(browser)


def test_sessions_of_a_key_that_is_revoked_are_gone_from_the_store(world: World) -> None:
    world.browser(KEY)

    world.services.key_administration.revoke(OPERATOR, _key_id(world, KEY))

    assert list(world.sessions.list()) == []


def test_while_keys_cannot_be_looked_up_a_session_is_neither_ended_nor_trusted(world: World) -> None:
    browser = world.browser(KEY)
    world.clock.advance(MEMORY_SECONDS)
    world.keys.is_up = False

    away = browser.get("/status").status_code
    world.keys.is_up = True

    assert away == 503
    assert _is_in(browser)
