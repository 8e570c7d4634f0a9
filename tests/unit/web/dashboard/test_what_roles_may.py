"""Which role may do what: every address of the pages, tried by every role, and what a viewer sees of personal data.

The expectations stand here once more, by hand: who loosens the table in ``wavecom.core.roles``, or adds an address,
must say so here too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment
from wavecom.core.audit import AuditAction
from wavecom.core.callback_administration import NewCallback
from wavecom.core.callbacks import CallbackTry
from wavecom.core.job import Job, JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.roles import LEAST_ROLE, Permission, Role, allows
from wavecom.core.states import Status
from wavecom.web.dashboard.access import ViewerAuthenticator
from wavecom.web.dashboard.routes import OPEN, ROUTES

#: (method, path) → the least role. What changes something for others is never a viewer's.
LEAST = {
    ("GET", "/"): Role.VIEWER,
    ("POST", "/logout"): Role.VIEWER,
    ("GET", "/status"): Role.VIEWER,
    ("GET", "/status/live"): Role.VIEWER,
    ("GET", "/overview"): Role.VIEWER,
    ("GET", "/overview/live"): Role.VIEWER,
    ("GET", "/overview/stream"): Role.VIEWER,
    ("GET", "/notifications"): Role.VIEWER,
    ("GET", "/notifications/cancel"): Role.OPERATOR,
    ("POST", "/notifications/cancel"): Role.OPERATOR,
    ("GET", "/notifications/<job_id>"): Role.VIEWER,
    ("GET", "/notifications/<job_id>/live"): Role.VIEWER,
    ("GET", "/notifications/<job_id>/preview"): Role.OPERATOR,
    ("GET", "/notifications/<job_id>/preview/frame"): Role.OPERATOR,
    ("GET", "/notifications/<job_id>/reveal"): Role.VIEWER,
    ("POST", "/notifications/<job_id>/reveal"): Role.VIEWER,
    ("GET", "/notifications/<job_id>/cancel"): Role.OPERATOR,
    ("POST", "/notifications/<job_id>/cancel"): Role.OPERATOR,
    ("GET", "/notifications/<job_id>/retry"): Role.OPERATOR,
    ("POST", "/notifications/<job_id>/retry"): Role.OPERATOR,
    ("GET", "/notifications/<job_id>/elsewhere"): Role.OPERATOR,
    ("POST", "/notifications/<job_id>/elsewhere"): Role.OPERATOR,
    ("GET", "/notifications/<job_id>/settle"): Role.OPERATOR,
    ("POST", "/notifications/<job_id>/settle"): Role.OPERATOR,
    ("GET", "/suppressions"): Role.VIEWER,
    ("GET", "/suppressions/<suppression_id>"): Role.VIEWER,
    ("GET", "/suppressions/add"): Role.OPERATOR,
    ("POST", "/suppressions/add"): Role.OPERATOR,
    ("POST", "/suppressions/<suppression_id>/lift"): Role.OPERATOR,
    ("GET", "/outbox"): Role.OPERATOR,
    ("GET", "/send"): Role.OPERATOR,
    ("POST", "/send"): Role.OPERATOR,
    ("GET", "/providers"): Role.VIEWER,
    ("GET", "/providers/<name>/<lever>"): Role.OPERATOR,
    ("POST", "/providers/<name>/<lever>"): Role.OPERATOR,
    ("GET", "/system"): Role.VIEWER,
    ("GET", "/system/live"): Role.VIEWER,
    ("GET", "/system/stream"): Role.VIEWER,
    ("GET", "/clients"): Role.VIEWER,
    ("GET", "/settings"): Role.VIEWER,
    ("GET", "/audit"): Role.OPERATOR,
    ("GET", "/audit/export"): Role.OPERATOR,
    ("GET", "/dead-letters"): Role.VIEWER,
    ("GET", "/operations"): Role.VIEWER,
    ("GET", "/dead-letters/<action>"): Role.OPERATOR,
    ("POST", "/dead-letters/<action>"): Role.OPERATOR,
    ("GET", "/operations/<operation_id>"): Role.VIEWER,
    ("GET", "/operations/<operation_id>/live"): Role.VIEWER,
    ("POST", "/operations/<operation_id>/stop"): Role.OPERATOR,
    ("POST", "/operations/<operation_id>/resume"): Role.OPERATOR,
    ("GET", "/templates"): Role.VIEWER,
    ("GET", "/templates/<account>/<template>"): Role.VIEWER,
    ("GET", "/templates/<account>/<template>/<version>/frame"): Role.VIEWER,
    ("POST", "/templates/<account>/<template>/change"): Role.OPERATOR,
    ("GET", "/campaigns"): Role.VIEWER,
    ("GET", "/campaigns/<campaign_id>"): Role.VIEWER,
    ("GET", "/campaigns/<campaign_id>/live"): Role.VIEWER,
    ("GET", "/campaigns/<campaign_id>/export"): Role.VIEWER,
    ("GET", "/campaigns/add"): Role.OPERATOR,
    ("POST", "/campaigns/add"): Role.OPERATOR,
    ("POST", "/campaigns/<campaign_id>/change"): Role.OPERATOR,
    ("GET", "/callbacks"): Role.VIEWER,
    ("GET", "/callbacks/<callback_id>"): Role.VIEWER,
    ("GET", "/callbacks/add"): Role.OPERATOR,
    ("POST", "/callbacks/add"): Role.OPERATOR,
    ("GET", "/callbacks/<callback_id>/edit"): Role.OPERATOR,
    ("POST", "/callbacks/<callback_id>/edit"): Role.OPERATOR,
    ("POST", "/callbacks/<callback_id>/change"): Role.OPERATOR,
    ("GET", "/sessions"): Role.VIEWER,
    ("POST", "/sessions/<session_id>/end"): Role.VIEWER,
    ("GET", "/password"): Role.VIEWER,
    ("POST", "/password"): Role.VIEWER,
    ("GET", "/users"): Role.ADMIN,
    ("POST", "/users/<name>/role"): Role.ADMIN,
    ("POST", "/users/<name>/disable"): Role.ADMIN,
    ("POST", "/users/<name>/enable"): Role.ADMIN,
}
RANKS = {role: rank for rank, role in enumerate(Role)}
JOB = make_job(
    type=Channel.EMAIL,
    status=Status.QUEUED,
    to={"email": "amina.haddad@example.com", "name": "Amina Haddad"},
    payload={"subject": "Your code", "text": "The code is 421337."},
    metadata={"note": "for amina.haddad@example.com"},
    idempotency_key="welcome-amina.haddad@example.com",
    error=JobError("rejected", "550 no mailbox AMINA.HADDAD@example.com here", "gateway"),
    logs=(LogEntry(NOW, "accepted", message="to Amina Haddad"),),
)
SECRETS = re.compile(r"amina\.haddad|Amina Haddad|421337|Your code", re.IGNORECASE)


def _path(path: str) -> str:
    entry = "019cebab-8995-7000-8000-0000000000aa"
    names = {
        "job_id": JOB.job_id,
        "suppression_id": entry,
        "campaign_id": entry,
        "session_id": "some",
        "name": "bob",
        "lever": "pause",
        "action": "again",
        "operation_id": entry,
        "callback_id": entry,
    }
    return re.sub(r"<(\w+)>", lambda found: names.get(found[1], "sandbox"), path)


def test_every_address_is_in_this_table_and_in_that_of_the_routes(environment: DashboardEnvironment) -> None:
    served = {
        (method, rule.rule)
        for rule in environment.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("dashboard.") and rule.endpoint not in OPEN
    }
    declared = {
        (method, route.path): LEAST_ROLE[route.permission(method)] for route in ROUTES for method in route.methods
    }

    assert declared == LEAST
    assert served == set(declared)


def test_every_permission_has_a_role_and_a_higher_role_has_all_of_a_lower() -> None:
    assert set(LEAST_ROLE) == set(Permission)
    for role, permission in product(Role, Permission):
        assert allows(role, permission) is (RANKS[role] >= RANKS[LEAST_ROLE[permission]])


@pytest.mark.parametrize("role", Role)
def test_each_role_gets_in_where_it_may_and_nowhere_else(environment: DashboardEnvironment, role: Role) -> None:
    environment.put(JOB)
    environment.user("bob", Role.VIEWER)
    browser = environment.browser_as(role)
    before = environment.jobs.get(JOB.job_id), environment.users.list(), list(environment.suppressions.digests())
    refused = {}

    for (method, path), least in LEAST.items():
        if RANKS[role] < RANKS[least]:
            address = _path(path)
            answer = (
                browser.get(address) if method == "GET" else browser.post(address, {"role": "admin", "reason": "x"})
            )
            refused[method, path] = answer.status_code

    assert set(refused.values()) <= {403}
    after = environment.jobs.get(JOB.job_id), environment.users.list(), list(environment.suppressions.digests())
    assert before == after
    for (method, path), least in LEAST.items():
        if RANKS[role] >= RANKS[least] and path != "/logout":
            answer = browser.get(_path(path)) if method == "GET" else browser.post(_path(path), {})
            assert answer.status_code != 403, (method, path)


def test_a_role_changes_at_once_in_a_session_that_is_open(environment: DashboardEnvironment) -> None:
    browser = environment.browser_as(Role.ADMIN)

    before = browser.get("/users").status_code
    environment.users.change_role("some-admin", Role.VIEWER, by="ada@ops")

    assert (before, browser.get("/users").status_code) == (200, 403)


def test_who_is_kept_out_or_reset_is_out_at_once(environment: DashboardEnvironment) -> None:
    first, second = environment.browser_as(Role.VIEWER), environment.browser_as(Role.OPERATOR)

    environment.users.disable("some-viewer", by="ada@ops")
    environment.users.reset("some-operator", by="ada@ops")

    assert [each.get("/status").status_code for each in (first, second)] == [303, 303]


def test_an_admin_changes_roles_of_others_and_never_his_own(environment: DashboardEnvironment) -> None:
    environment.user("bob", Role.VIEWER)
    browser = environment.browser_as(Role.ADMIN)
    page = browser.get("/users").text

    for name in ("bob", "some-admin"):
        browser.post(f"/users/{name}/role", {"role": "operator"})
        browser.post(f"/users/{name}/disable", {})

    assert "bob" in page
    found = {user.name: (user.role, user.disabled_at is None) for user in environment.users.list()}
    assert found == {"bob": (Role.OPERATOR, False), "some-admin": (Role.ADMIN, True)}
    assert {event.actor for event in environment.user_audit.events if event.user == "bob"} == {
        "ada@ops",
        "user some-admin",
    }
    assert browser.post("/users/bob/role", {"role": "king"}).status_code == 400
    assert browser.post("/users/nobody/role", {"role": "viewer"}).status_code == 404


# --- personal data ----------------------------------------------------------------------------------------------------

PAGES = ("/notifications", "/notifications/{job_id}", "/notifications/{job_id}/live")


@pytest.mark.parametrize("page", PAGES)
def test_a_viewer_sees_no_recipient_and_no_message(environment: DashboardEnvironment, page: str) -> None:
    environment.put(JOB)

    seen = environment.browser_as(Role.VIEWER).get(page.format(job_id=JOB.job_id))
    full = environment.browser_as(Role.OPERATOR).get(page.format(job_id=JOB.job_id))

    assert seen.status_code == 200
    assert not SECRETS.search(seen.text)
    assert "a…@example.com" in seen.text
    assert page == "/notifications" or SECRETS.search(full.text)


@pytest.mark.parametrize(
    "to",
    [
        {"token": "t0ken-of-the-phone", "platform": "ios"},
        {"subscription": {"endpoint": "https://push.example/secret", "keys": {"auth": "k"}}},
    ],
)
def test_a_viewer_sees_no_push_address(environment: DashboardEnvironment, to: dict[str, object]) -> None:
    job = make_job(type=Channel.PUSH, to=to, payload={"body": "hush"})
    environment.put(job)

    page = environment.browser_as(Role.VIEWER).get(f"/notifications/{job.job_id}").text

    assert not re.search("t0ken-of|push.example/secret|hush", page)


@pytest.mark.parametrize("quoted", ["447700900123", "+44 7700 900123", "(44) 7700-900-123", "44.7700.900.123"])
def test_a_number_is_hidden_in_what_a_provider_says(environment: DashboardEnvironment, quoted: str) -> None:
    job = make_job(type=Channel.SMS, to={"phone": "+447700900123"}, error=JobError("rejected", f"{quoted} is out", "p"))
    environment.put(job)

    page = environment.browser_as(Role.VIEWER).get(f"/notifications/{job.job_id}").text

    assert "900123" not in re.sub(r"[\s().-]", "", page)
    assert "is out" in page


def test_a_viewer_sees_of_a_callback_neither_the_clients_secret_in_its_address_nor_what_it_answered(
    environment: DashboardEnvironment,
) -> None:
    callbacks = environment.events.administration
    made = callbacks.create("key k-1", NewCallback(account="acme", url="https://shop.example/hook/s3cret?key=t0ken"))
    tried = replace(callbacks.test(made.callback_id, None), tried=1)
    answer = CallbackTry(NOW, 5, 400, "http_400", "no such customer: amina.haddad@example.com")
    environment.events.deliveries.record([(tried, answer)])

    seen = environment.browser_as(Role.VIEWER).get(f"/callbacks/{made.callback_id}").text
    full = environment.browser_as(Role.OPERATOR).get(f"/callbacks/{made.callback_id}").text

    assert not re.search("s3cret|t0ken|no such customer", seen)
    assert "https://shop.example/…" in seen
    assert "http_400" in seen
    assert "hook/s3cret?key=t0ken" in full
    assert "no such customer" in full


def test_a_viewer_sees_nothing_of_the_audit_on_the_overview(environment: DashboardEnvironment) -> None:
    browsers = [environment.browser_as(role) for role in Role]
    environment.audit_entries.entries = [
        {
            "entryId": "1",
            "action": "reveal",
            "operator": "user bob",
            "startedAt": NOW,
            "filters": {"reason": "ticket 7"},
        }
    ]

    pages = [browser.get(path).text for browser in browsers for path in ("/overview", "/overview/live")]

    assert ["ticket 7" in page for page in pages] == [False, False, True, True, True, True]


def test_a_viewer_reveals_one_for_a_reason_that_is_written_down_first(environment: DashboardEnvironment) -> None:
    environment.put(JOB)
    browser = environment.browser_as(Role.VIEWER)
    path = f"/notifications/{JOB.job_id}/reveal"

    browser.get(path)
    for reason in ("", "  ", "x" * 501, "two\nlines"):
        refused = browser.post(path, {"reason": reason})
        assert (refused.status_code, SECRETS.search(refused.text)) == (422, None)
    shown = browser.post(path, {"reason": "customer asks, ticket 7"})

    assert "421337" in shown.text
    assert "data-refresh" not in shown.text
    entry = environment.audit.only()
    assert (entry.action, entry.operator, entry.first_id) == (AuditAction.REVEAL, "user some-viewer", JOB.job_id)
    assert entry.filters["reason"] == "customer asks, ticket 7"
    assert not SECRETS.search(browser.get(f"/notifications/{JOB.job_id}").text)


def test_without_its_audit_entry_nothing_is_revealed(environment: DashboardEnvironment) -> None:
    environment.put(JOB)
    browser = environment.browser_as(Role.VIEWER)
    environment.audit.is_away = True

    answer = browser.post(f"/notifications/{JOB.job_id}/reveal", {"reason": "ticket 7"})

    assert (answer.status_code, SECRETS.search(answer.text)) == (503, None)


def test_what_a_named_operator_cancels_is_in_the_audit_by_name_and_in_the_log_without(
    environment: DashboardEnvironment,
) -> None:
    environment.put(_waiting())
    browser = environment.browser_as(Role.OPERATOR)

    browser.post(f"/notifications/{_waiting().job_id}/cancel", {})

    job: Job | None = environment.jobs.get(_waiting().job_id)
    assert job is not None
    assert (job.status, job.logs[-1].by) == (Status.CANCELLED, "operator")
    assert (environment.audit.only().action, environment.audit.only().operator) == (
        AuditAction.CANCEL,
        "user some-operator",
    )


def _waiting() -> Job:
    return JOB


# --- signing in -------------------------------------------------------------------------------------------------------


def test_a_user_needs_the_code_and_a_second_one_the_next_time(environment: DashboardEnvironment) -> None:
    made = environment.user("ada", Role.ADMIN, has_second_factor=True)
    browser = environment.browser(None)
    browser.get("/login?with=user")

    without = browser.post("/login?with=user", {"name": "ada", "secret": made.password})
    unknown = browser.post("/login?with=user", {"name": "eve", "secret": made.password})

    assert (without.status_code, unknown.status_code) == (401, 401)
    assert "is wrong" in without.text
    assert browser.get("/status").status_code == 303


def test_who_guesses_at_users_is_told_to_wait(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    browser.get("/login?with=user")

    answers = [browser.post("/login?with=user", {"name": "ada", "secret": "wrong"}) for _ in range(22)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 2
    assert "Retry-After" in answers[-1].headers


def test_a_user_changes_the_password_and_only_this_session_goes_on(environment: DashboardEnvironment) -> None:
    made = environment.user("ada", Role.VIEWER)
    browsers = []
    for _ in range(2):
        browser = environment.browser(None)
        browser.get("/login?with=user")
        browser.post("/login?with=user", {"name": "ada", "secret": made.password})
        browsers.append(browser)
    mine, other = browsers
    mine.get("/password")
    new = "nine small blue horses"

    wrong = [
        mine.post("/password", {"old": old, "new": one, "again": two}).status_code
        for old, one, two in ((made.password, new, new + "x"), ("wrong", new, new), (made.password, "short", "short"))
    ]
    done = mine.post("/password", {"old": made.password, "new": new, "again": new})

    assert wrong == [422] * 3
    assert done.status_code == 303
    assert (mine.get("/status").status_code, other.get("/status").status_code) == (200, 303)


def test_a_session_of_who_signed_in_just_before_a_reset_is_over_when_it_begins(
    environment: DashboardEnvironment,
) -> None:
    made = environment.user("ada", Role.VIEWER)
    access = ViewerAuthenticator(environment.key_ring, environment.users, environment.sessions, None, b"s" * 32)
    signed_in, _ = access.user_for("ada", made.password, "", "192.0.2.1")
    assert signed_in is not None

    before = access.open_session(signed_in, "192.0.2.1", "a browser")
    was_open = access.viewer_of(before, is_activity=True)
    environment.users.reset("ada", by="ops", has_second_factor=False)
    after = access.open_session(signed_in, "192.0.2.1", "a browser")

    assert was_open is not None
    assert [access.viewer_of(token, is_activity=True) for token in (before, after)] == [None, None]


def test_a_user_sees_and_ends_only_sessions_of_his_own(environment: DashboardEnvironment) -> None:
    viewer, operator = environment.browser_as(Role.VIEWER), environment.browser_as(Role.OPERATOR)
    theirs = next(each for each in environment.sessions.list() if each.viewer == "user some-operator")

    page = viewer.get("/sessions").text
    answer = viewer.post(f"/sessions/{theirs.session_id}/end", {})

    assert "some-operator" not in page
    assert answer.status_code == 404
    assert operator.get("/status").status_code == 200


def test_one_sees_in_the_navigation_what_one_may_open(environment: DashboardEnvironment) -> None:
    def words(browser: Browser) -> set[str]:
        return set(re.findall(r'<li><a href="[^"]+"[^>]*>([^<]+)</a></li>', browser.get("/sessions").text))

    viewer, admin = words(environment.browser_as(Role.VIEWER)), words(environment.browser_as(Role.ADMIN))

    assert {"Send", "Outbox"} <= admin - viewer
    assert {"Status", "Notifications", "Suppressions"} <= viewer
