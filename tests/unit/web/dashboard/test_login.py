"""Who gets in, how, for how long, and how guessing is slowed down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from structlog.typing import EventDict

from tests.memory_storage import MemorySessionStore
from tests.unit.web.dashboard.environment import (
    CLIENT,
    KEY,
    PASSWORD,
    READ_ONLY_KEY,
    SEND_ONLY_KEY,
    TEST_KEY,
    Browser,
    DashboardEnvironment,
)
from wavecom.accounts import hash_of
from wavecom.core.roles import Role
from wavecom.web.dashboard.routes import OPEN

JOB_ID = "019ceb00-0000-7000-8000-000000000001"
#: What stands in addresses for names; "some" where it does not matter.
PARTS = {"job_id": JOB_ID, "name": "ada", "lever": "pause", "action": "again"}


def addresses(environment: DashboardEnvironment) -> list[tuple[str, str]]:
    """(method, path) of every page."""
    return [
        (method, re.sub(r"<(\w+)>", lambda each: PARTS.get(each[1], "some"), rule.rule))
        for rule in environment.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) & {"GET", "POST"})
        if rule.endpoint.startswith("dashboard.") and rule.endpoint not in OPEN
    ]


def test_every_page_asks_for_the_login(environment: DashboardEnvironment) -> None:
    pages = addresses(environment)

    for method, path in pages:
        answer = environment.app.test_client().open(path, method=method)

        assert answer.status_code == 303, (method, path)
        assert answer.location.startswith("/login"), (method, path)
    assert len(pages) >= 10


@pytest.mark.parametrize("secret", [PASSWORD, KEY, READ_ONLY_KEY, TEST_KEY])
def test_a_right_secret_opens_the_pages(environment: DashboardEnvironment, secret: str) -> None:
    browser = environment.browser(None)

    answer = browser.log_in(secret)

    assert answer.status_code == 303
    assert answer.location == "/status"
    assert browser.get("/status").status_code == 200


@pytest.mark.parametrize("secret", ["", " ", "wrong", KEY[:-1], PASSWORD.upper(), "wc_live_🔑", "\x00", "k" * 2000])
def test_a_wrong_secret_is_refused_and_says_what_to_do(environment: DashboardEnvironment, secret: str) -> None:
    browser = environment.browser(None)

    answer = browser.log_in(secret)

    assert answer.status_code == 401
    assert "not a key or password" in answer.text
    assert browser.get("/status").status_code == 303


def test_white_space_around_a_pasted_key_does_not_matter(environment: DashboardEnvironment) -> None:
    answer = environment.browser(None).log_in(f"  {KEY}\n")

    assert answer.status_code == 303


def test_a_key_that_may_not_read_is_told_so(environment: DashboardEnvironment) -> None:
    answer = environment.browser(None).log_in(SEND_ONLY_KEY)

    assert answer.status_code == 403
    assert "needs the scope read" in answer.text


def test_without_a_password_in_the_settings_none_opens_the_pages(tmp_path: Path) -> None:
    browser = DashboardEnvironment(tmp_path, operator_password=None).browser(None)

    assert browser.log_in(PASSWORD).status_code == 401
    assert "operator" not in browser.get("/login").text


def test_after_the_login_the_page_that_was_wanted_opens(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    asked = browser.get("/notifications?status=failed&type=sms")
    page = browser.get(asked.location)

    answer = browser.post("/login", {"secret": PASSWORD, "next": "/notifications?status=failed&type=sms"})

    assert "/notifications?status=failed&amp;type=sms" in page.text
    assert answer.location == "/notifications?status=failed&type=sms"


@pytest.mark.parametrize(
    "next_",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "/a\\..\\evil",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/ok\r\nSet-Cookie: a=b",
    ],
)
def test_a_login_never_leads_to_another_host(environment: DashboardEnvironment, next_: str) -> None:
    browser = environment.browser(None)
    browser.get("/login")

    answer = browser.post("/login", {"secret": PASSWORD, "next": next_})

    assert answer.location == "/status"


def test_who_is_logged_in_already_is_not_asked_again(browser: Browser) -> None:
    assert browser.get("/login").location == "/status"


def test_signing_out_ends_the_session(browser: Browser) -> None:
    answer = browser.post("/logout", {})

    assert answer.status_code == 303
    assert "You are signed out." in browser.get(answer.location).text
    assert browser.get("/status").status_code == 303


def test_a_cookie_that_was_copied_ends_with_the_logout(environment: DashboardEnvironment, browser: Browser) -> None:
    copy = Browser(environment.app.test_client())
    cookie = browser.client.get_cookie(cookie_name(browser))
    assert cookie is not None
    copy.client.set_cookie(cookie.key, cookie.value)
    before = copy.get("/status").status_code

    browser.post("/logout", {})

    assert before == 200
    assert copy.get("/status").status_code == 303
    assert copy.get("/sessions").status_code == 303


def test_a_login_ends_the_session_before_it_and_gives_another_token(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    copy = Browser(environment.app.test_client())
    cookie = browser.client.get_cookie(cookie_name(browser))
    assert cookie is not None
    copy.client.set_cookie(cookie.key, cookie.value)

    browser.post("/login", {"secret": KEY})

    assert copy.get("/status").status_code == 303
    assert browser.get("/status").status_code == 200
    assert [record.viewer for record in environment.sessions.list()] == ["key id-kk"]


def test_a_session_ends_when_nobody_has_looked_for_long_enough(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    answers = []
    for minutes in (59, 59, 60):
        environment.clock.advance(minutes * 60)
        answers.append(browser.get("/status").status_code)

    assert answers == [200, 200, 303]


def test_a_page_that_updates_by_itself_does_not_keep_its_session_alive(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    answers = []
    for _ in range(4):
        environment.clock.advance(20 * 60)
        answers.append(browser.get("/status/live").status_code)

    assert answers == [200, 200, 303, 303]


def test_a_session_ends_after_its_lifetime_however_busy(environment: DashboardEnvironment, browser: Browser) -> None:
    answers = []
    for _ in range(12 * 2):
        environment.clock.advance(1800)
        answers.append(browser.get("/status").status_code)

    assert answers == [200] * 23 + [303]


def test_both_times_are_settings(tmp_path: Path) -> None:
    environment = DashboardEnvironment(tmp_path, session_idle_minutes=5, session_hours=1)
    idle, busy = environment.browser(), environment.browser()
    answers = []
    for _ in range(15):
        environment.clock.advance(4 * 60)
        answers.append(busy.get("/status").status_code)

    assert idle.get("/status").status_code == 303
    assert answers == [200] * 14 + [303]


def test_the_store_keeps_a_hash_and_never_the_token(environment: DashboardEnvironment, browser: Browser) -> None:
    with browser.client.session_transaction() as session:
        token = session["token"]

    [record] = environment.sessions.list()
    assert record.token_hash == hash_of(token)
    assert token not in repr(record) + record.session_id


def test_a_new_password_ends_the_sessions_of_the_old_one(tmp_path: Path) -> None:
    store = MemorySessionStore()
    old = DashboardEnvironment(tmp_path, session_store=store).browser()
    cookie = old.client.get_cookie(cookie_name(old))
    assert cookie is not None
    same = DashboardEnvironment(tmp_path, session_store=store).browser(None)
    new = DashboardEnvironment(tmp_path, session_store=store, operator_password="another password altogether").browser(
        None
    )
    for browser in (same, new):
        browser.client.set_cookie(cookie.key, cookie.value)

    assert same.get("/status").status_code == 200
    assert new.get("/status").status_code == 303


def test_a_forged_session_is_no_session(browser: Browser) -> None:
    name = cookie_name(browser)
    cookie = browser.client.get_cookie(name)
    assert cookie is not None

    browser.client.set_cookie(name, cookie.value[:-2] + ("AA" if cookie.value[-2:] != "AA" else "BB"))

    assert browser.get("/status").status_code == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)

    plain = browser.get("/login").headers["Set-Cookie"]

    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert "Expires" not in plain
    assert "Domain" not in plain
    assert not plain.startswith("__Host-")


@pytest.mark.parametrize(
    ("proxies", "url", "forwarded", "is_secure"),
    [
        (0, "https://wavecom.example", None, True),
        (0, "http://wavecom.example", "https", False),
        (1, "http://wavecom.example", "https", True),
        (1, "http://wavecom.example", "http", False),
        (1, "http://wavecom.example", None, False),
    ],
)
def test_over_tls_the_cookie_is_secure_and_bound_to_this_host_as_hsts_is_told(
    tmp_path: Path, proxies: int, url: str, forwarded: str | None, is_secure: bool
) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-Proto": forwarded}
    client = DashboardEnvironment(
        tmp_path, trusted_proxies=proxies, allowed_hosts=("wavecom.example",)
    ).app.test_client()

    answer = client.get("/login", base_url=url, headers=headers)

    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-wavecom_") is is_secure
    assert ("; Secure" in cookie) is is_secure
    assert "; Path=/" in cookie
    assert ("Strict-Transport-Security" in answer.headers) is is_secure


def test_over_tls_a_cookie_that_anybody_could_have_planted_is_not_looked_at(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    cookie = browser.client.get_cookie(cookie_name(browser))
    assert cookie is not None
    stranger = environment.app.test_client()
    stranger.set_cookie(cookie.key, cookie.value)

    assert stranger.get("/status").status_code == 200
    assert stranger.get("/status", base_url="https://localhost").status_code == 303


def test_behind_a_tls_proxy_one_can_log_in_and_out(tmp_path: Path) -> None:
    browser = DashboardEnvironment(tmp_path, trusted_proxies=1).browser(None)
    proxied = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.5",
        "Referer": "https://localhost/login",
    }
    browser.get("/login", headers=proxied)

    entered = browser.post("/login", {"secret": PASSWORD}, headers=proxied)
    seen = browser.get("/sessions", headers=proxied)
    left = browser.post("/logout", {}, headers=proxied)

    assert [answer.status_code for answer in (entered, seen, left)] == [303, 200, 303]
    assert "203.0.113.5" in seen.text
    assert browser.get("/status", headers=proxied).status_code == 303


def test_two_copies_of_wavecom_on_one_machine_have_cookies_of_their_own(tmp_path: Path) -> None:
    first, second = (
        DashboardEnvironment(tmp_path, secret_key="1" * 32),
        DashboardEnvironment(tmp_path, secret_key="2" * 32),
    )

    assert cookie_name(first.browser()) != cookie_name(second.browser())


def test_the_login_starts_a_new_session(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    browser.get("/login")
    planted = browser.token

    browser.post("/login", {"secret": PASSWORD})

    browser.token = planted
    assert browser.post("/logout", {}).status_code == 400


def test_a_key_sees_only_its_own_client(environment: DashboardEnvironment) -> None:
    assert f"Signed in as {CLIENT}" in environment.browser(KEY).get("/status").text


# --- Guessing ---------------------------------------------------------------------------------------------------------


def test_a_right_secret_is_let_in_after_any_number_of_wrong_ones_from_its_address(
    environment: DashboardEnvironment,
) -> None:
    browser = environment.browser(None)
    refused = [browser.log_in("wrong").status_code for _ in range(30)]

    assert set(refused) == {401, 429}
    assert environment.browser(None).log_in(PASSWORD).status_code == 303
    assert environment.browser(None).log_in(KEY).status_code == 303


def test_after_many_failures_an_address_is_told_to_wait_with_further_guesses(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    for _ in range(20):
        browser.log_in("wrong")

    answer = browser.log_in("wrong again")

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "3"
    assert "wait 3 seconds" in answer.text


def test_wrong_logins_through_a_proxy_do_not_slow_down_others_behind_it(tmp_path: Path) -> None:
    browser = DashboardEnvironment(tmp_path, trusted_proxies=1).browser(None)
    for _ in range(30):
        browser.get("/login")
        guesser = browser.post("/login", {"secret": "wrong"}, headers={"X-Forwarded-For": "203.0.113.5"})

    other = browser.post("/login", {"secret": "mistyped"}, headers={"X-Forwarded-For": "203.0.113.6"})

    assert guesser.status_code == 429
    assert other.status_code == 401


def test_who_has_a_key_of_his_own_does_not_guess_faster(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    answers = []
    for _ in range(3):
        answers += [browser.log_in("wrong").status_code for _ in range(15)]
        assert browser.log_in(KEY).status_code == 303
        browser.post("/logout", {})

    assert answers.count(401) == 20
    assert set(answers[20:]) == {429}


def test_a_login_is_logged_without_its_secret(environment: DashboardEnvironment, log_lines: list[EventDict]) -> None:
    environment.browser(None).log_in("a wrong secret")
    environment.browser(KEY)

    assert [line["event"] for line in log_lines] == ["access_refused", "page_login"]
    assert (log_lines[0]["surface"], log_lines[0]["reason"]) == ("pages", "wrong_login")
    assert log_lines[1]["viewer"] == "key id-kk"
    assert "a wrong secret" not in str(log_lines)
    assert KEY not in str(log_lines)


def test_a_body_without_end_is_not_read_for_a_stranger(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    browser.get("/login")

    answer = browser.post("/login", {"secret": "k" * 20_000})

    assert answer.status_code == 413
    assert "too large" in answer.text


def cookie_name(browser: Browser) -> str:
    name: str = browser.client.application.config["SESSION_COOKIE_NAME"]
    return name


def test_each_way_of_signing_in_stands_in_the_audit_and_what_was_refused_does_not(
    environment: DashboardEnvironment,
) -> None:
    environment.browser(PASSWORD)
    environment.browser(KEY)
    environment.browser_as(Role.VIEWER)
    refused = environment.browser(None).log_in("no such secret")

    begun = [*environment.session_audit.begun.values()]

    assert refused.status_code == 401
    assert [event.actor.partition(" ")[0] for event in begun] == ["operator", "key", "user"]
    assert begun[2].actor == "user some-viewer"
    assert [event.address for event in begun] == ["127.0.0.1"] * 3
    assert {event.session_id for event in begun} == {each.session_id for each in environment.sessions.list()}
