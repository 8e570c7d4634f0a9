"""A key's session sees and changes only what belongs to its account, on every page; it ends with its key."""

from __future__ import annotations

import pytest

from tests.factories import make_job
from tests.unit.web.dashboard.environment import (
    CLIENT,
    KEY,
    PASSWORD,
    READ_ONLY_KEY,
    TEST_KEY,
    Browser,
    DashboardEnvironment,
)
from wavecom.accounts import Administrator, KeyScope, hash_of
from wavecom.accounts.keyring import MEMORY_SECONDS
from wavecom.core.job import Job
from wavecom.core.keys import KeyRecord
from wavecom.core.states import Status
from wavecom.web.dashboard.access import SCOPES
from wavecom.web.dashboard.routes import OPEN, ROUTES

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
    ("GET", "/notifications/<job_id>/preview"): "/notifications/{job_id}/preview",
    ("GET", "/notifications/<job_id>/preview/frame"): "/notifications/{job_id}/preview/frame",
    ("GET", "/notifications/cancel"): "/notifications/cancel?type=sms",
    ("POST", "/notifications/cancel"): "/notifications/cancel?type=sms",
    ("GET", "/notifications/<job_id>/elsewhere"): "/notifications/{job_id}/elsewhere",
    ("POST", "/notifications/<job_id>/elsewhere"): "/notifications/{job_id}/elsewhere",
    ("GET", "/notifications/<job_id>/cancel"): "/notifications/{job_id}/cancel",
    ("POST", "/notifications/<job_id>/cancel"): "/notifications/{job_id}/cancel",
    ("GET", "/notifications/<job_id>/retry"): "/notifications/{job_id}/retry",
    ("POST", "/notifications/<job_id>/retry"): "/notifications/{job_id}/retry",
    ("GET", "/notifications/<job_id>/settle"): "/notifications/{job_id}/settle",
    ("POST", "/notifications/<job_id>/settle"): "/notifications/{job_id}/settle",
    ("GET", "/suppressions"): "/suppressions",
    ("GET", "/suppressions/add"): "/suppressions/add",
    ("POST", "/suppressions/add"): "/suppressions/add",
    ("GET", "/suppressions/<suppression_id>"): "/suppressions/019cebab-8995-7000-8000-0000000000aa",
    ("POST", "/suppressions/<suppression_id>/lift"): "/suppressions/019cebab-8995-7000-8000-0000000000aa/lift",
    ("GET", "/templates"): "/templates",
    ("GET", "/templates/<account>/<template>"): "/templates/globex/order",
    ("GET", "/templates/<account>/<template>/<version>/frame"): "/templates/globex/order/1/frame",
    ("POST", "/templates/<account>/<template>/change"): "/templates/globex/order/change",
    ("GET", "/campaigns"): "/campaigns",
    ("GET", "/campaigns/add"): "/campaigns/add",
    ("POST", "/campaigns/add"): "/campaigns/add",
    ("GET", "/campaigns/<campaign_id>"): "/campaigns/019cebab-8995-7000-8000-0000000000aa",
    ("GET", "/campaigns/<campaign_id>/live"): "/campaigns/019cebab-8995-7000-8000-0000000000aa/live",
    ("GET", "/campaigns/<campaign_id>/export"): "/campaigns/019cebab-8995-7000-8000-0000000000aa/export",
    ("POST", "/campaigns/<campaign_id>/change"): "/campaigns/019cebab-8995-7000-8000-0000000000aa/change",
    ("GET", "/callbacks"): "/callbacks",
    ("GET", "/callbacks/add"): "/callbacks/add",
    ("POST", "/callbacks/add"): "/callbacks/add",
    ("GET", "/callbacks/<callback_id>"): f"/callbacks/{'a' * 32}",
    ("GET", "/callbacks/<callback_id>/edit"): f"/callbacks/{'a' * 32}/edit",
    ("POST", "/callbacks/<callback_id>/edit"): f"/callbacks/{'a' * 32}/edit",
    ("POST", "/callbacks/<callback_id>/change"): f"/callbacks/{'a' * 32}/change",
    ("GET", "/outbox"): "/outbox",
    ("GET", "/send"): "/send",
    ("POST", "/send"): "/send?type=sms",
    ("GET", "/sessions"): "/sessions",
    ("POST", "/sessions/<session_id>/end"): "/sessions/somebody-elses/end",
    ("POST", "/logout"): "/logout",
    # Not for keys at all:
    ("GET", "/dead-letters"): "/dead-letters",
    ("GET", "/operations"): "/operations",
    ("GET", "/dead-letters/<action>"): "/dead-letters/again",
    ("POST", "/dead-letters/<action>"): "/dead-letters/again",
    ("GET", "/operations/<operation_id>"): "/operations/some",
    ("GET", "/operations/<operation_id>/live"): "/operations/some/live",
    ("POST", "/operations/<operation_id>/stop"): "/operations/some/stop",
    ("POST", "/operations/<operation_id>/resume"): "/operations/some/resume",
    ("GET", "/system"): "/system",
    ("GET", "/system/live"): "/system/live",
    ("GET", "/system/stream"): "/system/stream",
    ("GET", "/clients"): "/clients",
    ("GET", "/settings"): "/settings",
    ("GET", "/audit"): "/audit",
    ("GET", "/audit/export"): "/audit/export",
    ("GET", "/providers"): "/providers",
    ("GET", "/providers/<name>/<lever>"): "/providers/sandbox/pause",
    ("POST", "/providers/<name>/<lever>"): "/providers/sandbox/pause",
    ("GET", "/overview"): "/overview",
    ("GET", "/overview/live"): "/overview/live",
    ("GET", "/overview/stream"): "/overview/stream",
    ("GET", "/notifications/<job_id>/reveal"): "/notifications/{job_id}/reveal",
    ("POST", "/notifications/<job_id>/reveal"): "/notifications/{job_id}/reveal",
    ("GET", "/password"): "/password",
    ("POST", "/password"): "/password",
    ("GET", "/users"): "/users",
    ("POST", "/users/<name>/role"): "/users/ada/role",
    ("POST", "/users/<name>/disable"): "/users/ada/disable",
    ("POST", "/users/<name>/enable"): "/users/ada/enable",
}


@pytest.fixture
def jobs(environment: DashboardEnvironment) -> dict[str, Job]:
    """One delivered job of each account, with a secret in it."""
    environment.keys.add(
        KeyRecord(
            key_id="other",
            hash=hash_of(OTHER_KEY),
            client="globex",
            scopes=frozenset(KeyScope),
            is_live=True,
            created_at=environment.clock.now(),
        )
    )
    made = {
        account: make_job(client=account, status=Status.DELIVERED, payload={"text": f"secret of {account}."})
        for account in KEYS
    }
    environment.put(*made.values())
    for job in made.values():
        environment.deliver(job)
    return made


def test_every_page_is_tried_here(environment: DashboardEnvironment) -> None:
    pages = {
        (method, rule.rule)
        for rule in environment.app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}
        if rule.endpoint.startswith("dashboard.") and rule.endpoint not in OPEN
    }

    assert pages == set(REQUESTS)


@pytest.mark.parametrize(("mine", "theirs"), PAIRS)
@pytest.mark.parametrize("page", REQUESTS, ids=" ".join)
def test_no_page_shows_or_changes_what_is_somebody_elses(
    environment: DashboardEnvironment, jobs: dict[str, Job], page: tuple[str, str], mine: str, theirs: str
) -> None:
    browser = environment.browser(KEYS[mine])
    path = REQUESTS[page].format(job_id=jobs[theirs].job_id)
    before = [environment.jobs.get(job.job_id) for job in jobs.values()]

    answer = browser.get(path) if page[0] == "GET" else browser.post(path, {"job_id": jobs[theirs].job_id})

    assert f"secret of {theirs}." not in answer.text
    [route] = [route for route in ROUTES if route.path == page[1]]
    if route.permission(page[0]) not in SCOPES:
        assert answer.status_code == 403
    elif "<job_id>" in page[1]:
        assert answer.status_code == 404
    assert [environment.jobs.get(job.job_id) for job in jobs.values()] == before


def test_the_operator_sees_all_and_a_key_its_own(environment: DashboardEnvironment, jobs: dict[str, Job]) -> None:
    for account, key in KEYS.items():
        own = environment.browser(key).get(f"/notifications/{jobs[account].job_id}")
        assert f"secret of {account}." in own.text
        assert (
            f"secret of {account}." in environment.browser(PASSWORD).get(f"/notifications/{jobs[account].job_id}").text
        )
        assert f"secret of {account}." in environment.browser(key).get("/outbox").text


def test_who_is_signed_in_with_a_test_key_is_told_so(environment: DashboardEnvironment) -> None:
    assert f"Signed in as {CLIENT} (test)" in environment.browser(TEST_KEY).get("/status").text


# --- sessions end with their key ------------------------------------------------------------------------------------


def _key_id(environment: DashboardEnvironment, key: str) -> str:
    record = environment.keys.find(hash_of(key))
    assert record is not None
    return record.key_id


def _is_in(browser: Browser) -> bool:
    return browser.get("/status").status_code == 200


@pytest.mark.parametrize("key", [KEY, READ_ONLY_KEY, TEST_KEY])
def test_a_session_ends_at_once_when_its_key_is_revoked_here(environment: DashboardEnvironment, key: str) -> None:
    browser, other = environment.browser(key), environment.browser()

    environment.services.key_administration.revoke(OPERATOR, _key_id(environment, key))

    assert not _is_in(browser)
    assert _is_in(other)


def test_a_session_ends_within_seconds_when_its_key_is_revoked_elsewhere(environment: DashboardEnvironment) -> None:
    browser = environment.browser(KEY)
    assert _is_in(browser)

    environment.keys.revoke(_key_id(environment, KEY), environment.clock.now())
    environment.clock.advance(MEMORY_SECONDS)

    assert not _is_in(browser)


def test_a_session_ends_with_the_overlap_of_its_rotated_key(environment: DashboardEnvironment) -> None:
    browser = environment.browser(KEY)
    environment.services.key_administration.rotate(OPERATOR, _key_id(environment, KEY))

    still = _is_in(browser)
    environment.clock.advance(24 * 3600)

    assert still
    assert not _is_in(browser)


def test_sessions_of_a_key_that_is_revoked_are_gone_from_the_store(environment: DashboardEnvironment) -> None:
    environment.browser(KEY)

    environment.services.key_administration.revoke(OPERATOR, _key_id(environment, KEY))

    assert list(environment.sessions.list()) == []


def test_while_keys_cannot_be_looked_up_a_session_is_neither_ended_nor_trusted(
    environment: DashboardEnvironment,
) -> None:
    browser = environment.browser(KEY)
    environment.clock.advance(MEMORY_SECONDS)
    environment.keys.is_up = False

    away = browser.get("/status").status_code
    environment.keys.is_up = True

    assert away == 503
    assert _is_in(browser)
