"""Signing in to the pages by an identity provider, and everything that must not get in that way."""

from __future__ import annotations

import html
import re
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from prometheus_client import REGISTRY
from structlog.typing import EventDict
from werkzeug.test import TestResponse

from tests.memory_identity_provider import ISSUER, MemoryIdentityProvider, SignedOut, sign_on_with
from tests.unit.web.dashboard.environment import KEY, PASSWORD, Browser, DashboardEnvironment, text_of
from wavecom.accounts.sign_on import CLOCKS_DIFFER_SECONDS
from wavecom.accounts.users import GUESSES_PER_MINUTE
from wavecom.core.roles import Role
from wavecom.web.dashboard.access import ViewerAuthenticator


class SignOnEnvironment(DashboardEnvironment):
    """Pages at which people sign in by a provider that knows one of them."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.provider = MemoryIdentityProvider()
        super().__init__(
            home,
            sign_on=partial(sign_on_with, self.provider),
            **{"oidc_issuer": ISSUER, "oidc_label": "Bank SSO"} | settings,
        )


@pytest.fixture
def environment(tmp_path: Path) -> SignOnEnvironment:
    return SignOnEnvironment(tmp_path)


def begin(browser: Browser, wanted: str = "") -> dict[str, str]:
    """Leave for the provider; what the browser was sent there with."""
    answer = browser.get(f"/login/sso?{urlencode({'next': wanted})}" if wanted else "/login/sso")
    assert answer.status_code == 303
    assert answer.location.startswith(f"{ISSUER}/authorize?")
    return dict(parse_qsl(urlsplit(answer.location).query))


def come_back(browser: Browser, state: str, **answer: str) -> TestResponse:
    return browser.get(f"/login/sso/callback?{urlencode({'code': 'right', 'state': state} | answer)}")


def sign_in(environment: SignOnEnvironment, wanted: str = "", **claims: Any) -> Browser:
    environment.provider.claims |= claims
    browser = environment.browser(None)
    answer = come_back(browser, begin(browser, wanted)["state"])
    assert answer.status_code == 303
    browser.get("/notifications")
    return browser


def cookie_of(environment: SignOnEnvironment, browser: Browser) -> str:
    cookie = browser.client.get_cookie(environment.app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    return cookie.value


def throttled() -> float:
    return (
        REGISTRY.get_sample_value("wavecom_security_events_total", {"surface": "pages", "reason": "throttled"}) or 0.0
    )


def test_the_login_leads_to_the_provider_and_the_answer_leads_in(environment: SignOnEnvironment) -> None:
    browser = environment.browser(None)
    page = browser.get("/login?next=/audit")
    [link] = re.findall(r'href="(/login/sso[^"]*)"', page.text)
    assert "Sign in with Bank SSO" in text_of(page.text)

    sent = dict(parse_qsl(urlsplit(browser.get(html.unescape(link)).location).query))
    answer = come_back(browser, sent["state"])

    assert sent["redirect_uri"] == "http://localhost/login/sso/callback"
    assert (answer.status_code, answer.location) == (303, "/audit")
    assert "Signed in as sso:ada (viewer)" in text_of(browser.get("/status").text)


@pytest.mark.parametrize(("groups", "role"), [(["staff"], "viewer"), (["shift"], "operator"), (["admins"], "admin")])
def test_groups_decide_what_somebody_may(environment: SignOnEnvironment, groups: list[str], role: str) -> None:
    browser = sign_in(environment, groups=groups)

    assert browser.get("/users").status_code == (200 if role == "admin" else 403)
    assert browser.get("/audit").status_code == (403 if role == "viewer" else 200)


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "\t//evil.example",
        "/a\r\nSet-Cookie: x=1",
        "/notifications?metadataValue=" + "x" * 5000,
    ],
)
def test_nobody_is_led_elsewhere_afterwards(environment: SignOnEnvironment, wanted: str) -> None:
    browser = environment.browser(None)

    answer = come_back(browser, begin(browser, wanted)["state"])

    assert answer.location == "/status"


def test_an_answer_counts_once_and_only_in_the_browser_that_began(environment: SignOnEnvironment) -> None:
    mine, victims = environment.browser(None), environment.browser(None)
    state = begin(mine)["state"]

    at_victim = come_back(victims, state)
    first = come_back(mine, state)
    mine.post("/logout", {})
    again = come_back(mine, state)

    assert (at_victim.status_code, first.status_code, again.status_code) == (403, 303, 403)
    assert "not begun in this browser" in text_of(at_victim.text)
    assert victims.get("/status").status_code == 303


@pytest.mark.parametrize("state", ["", "another", "x" * 5000, "\x00"])
def test_a_strange_state_lets_nobody_in(environment: SignOnEnvironment, state: str) -> None:
    browser = environment.browser(None)
    begin(browser)

    assert come_back(browser, state).status_code == 403
    assert environment.provider.redeemed == []


def test_nothing_of_the_session_before_the_sign_in_lives_on(environment: SignOnEnvironment) -> None:
    """A planted cookie (session fixation) is worth nothing afterwards."""
    victim, attacker = environment.browser(None), environment.browser(None)
    victim.get("/login")
    state = begin(victim)["state"]
    planted, token = cookie_of(environment, victim), victim.token

    come_back(victim, state)
    victim.get("/notifications")
    attacker.client.set_cookie(environment.app.config["SESSION_COOKIE_NAME"], planted)

    assert attacker.get("/status").status_code == 303
    assert victim.token != token
    assert victim.post("/logout", {"csrf_token": token}).status_code == 400


def test_somebody_may_begin_in_several_tabs_and_not_in_many(environment: SignOnEnvironment) -> None:
    browser = environment.browser(None)
    states = [begin(browser)["state"] for _ in range(5)]

    assert come_back(browser, states[0]).status_code == 403
    assert come_back(browser, states[2]).status_code == 303


def test_sessions_are_like_all_others(environment: SignOnEnvironment) -> None:
    browser, admin = sign_in(environment), environment.browser()
    [record] = [each for each in environment.sessions.list() if each.viewer == "user sso:ada"]

    assert "user sso:ada" in text_of(admin.get("/sessions").text)
    admin.post(f"/sessions/{record.session_id}/end", {})

    assert browser.get("/status").status_code == 303


def test_who_is_kept_out_is_out_at_once_and_does_not_get_in_again(environment: SignOnEnvironment) -> None:
    browser, admin = sign_in(environment), environment.browser()
    admin.get("/users")

    admin.post("/users/sso:ada/disable", {})

    assert browser.get("/status").status_code == 303
    again = environment.browser(None)
    refused = come_back(again, begin(again)["state"])
    assert refused.status_code == 403
    assert "kept out" in text_of(refused.text)


def test_the_list_of_users_says_who_signs_in_by_the_provider_and_offers_no_role(
    environment: SignOnEnvironment,
) -> None:
    sign_in(environment)
    admin = environment.browser()

    page = admin.get("/users").text
    answer = admin.post("/users/sso:ada/role", {"role": "admin"}, follow_redirects=True)

    assert "Single sign-on" in text_of(page)
    assert "/users/sso:ada/role" not in page
    assert "identity provider" in text_of(answer.text)
    kept = environment.users.find("sso:ada")
    assert kept is not None
    assert kept.role is Role.VIEWER


def test_a_long_list_of_users_has_pages(environment: SignOnEnvironment) -> None:
    for number in range(60):
        environment.user(f"user-{number:02}", Role.VIEWER)
    admin = environment.browser()

    first = admin.get("/users").text
    [further] = re.findall(r'href="([^"]+)" rel="next"', first)
    second = admin.get(html.unescape(further)).text

    names = [re.findall(r"<strong>(user-\d\d)</strong>", page) for page in (first, second)]
    assert [len(each) for each in names] == [50, 10]
    assert [*names[0], *names[1]] == [f"user-{number:02}" for number in range(60)]
    assert 'rel="next"' not in second


def test_a_page_for_a_password_is_not_his(environment: SignOnEnvironment) -> None:
    browser = sign_in(environment)

    assert browser.get("/password").status_code == 403
    assert 'href="/password"' not in browser.get("/status").text


def test_signing_out_ends_the_session_and_leads_on_to_the_provider(environment: SignOnEnvironment) -> None:
    browser = sign_in(environment)

    page = browser.post("/logout", {})

    [url] = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert html.unescape(url) == environment.provider.logout_url("id-token", "http://localhost/login")
    assert browser.get("/status").status_code == 303
    assert environment.sessions.list() == []


def test_who_signed_in_otherwise_is_not_signed_out_there(environment: SignOnEnvironment) -> None:
    answer = environment.browser().post("/logout", {})

    assert (answer.status_code, answer.location) == (303, "/login")


def test_the_providers_token_is_kept_where_the_database_alone_does_not_tell_it(environment: SignOnEnvironment) -> None:
    environment.provider.claims["sub"] = "8"
    sign_in(environment)
    [record] = environment.sessions.list()

    assert record.sealed_id_token is not None
    assert b"id-token" not in record.sealed_id_token
    assert "id-token" not in repr(record)


@pytest.mark.parametrize(
    ("claims", "answer", "status", "says"),
    [
        ({"groups": ["visitors"]}, {}, 403, "none of your groups has a role"),
        ({}, {"error": "access_denied"}, 403, "did not let you"),
        ({}, {"iss": "https://evil.example"}, 403, "You are not signed in"),
        ({}, {"code": "wrong"}, 403, "You are not signed in"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_it_is_noted(
    environment: SignOnEnvironment,
    log_lines: list[EventDict],
    claims: dict[str, Any],
    answer: dict[str, str],
    status: int,
    says: str,
) -> None:
    environment.provider.claims |= claims
    browser = environment.browser(None)

    page = come_back(browser, begin(browser)["state"], **answer)

    assert page.status_code == status
    assert says in text_of(page.text)
    assert [line["event"] for line in log_lines] == ["access_refused", "sign_on_refused"]
    assert "evil" not in str(log_lines)
    assert browser.get("/status").status_code == 303


def test_a_provider_that_is_away_is_told_of_as_such(environment: SignOnEnvironment, log_lines: list[EventDict]) -> None:
    browser = environment.browser(None)
    state = begin(browser)["state"]
    environment.provider.is_up = False

    answers = [come_back(browser, state), browser.get("/login/sso")]

    assert [each.status_code for each in answers] == [503, 503]
    assert all("identity provider does not answer" in text_of(each.text) for each in answers)
    assert {line["event"] for line in log_lines} == {"identity_provider_unavailable"}
    assert browser.log_in(PASSWORD).status_code == 303, "other ways in stay open"


def test_who_fails_again_and_again_waits(environment: SignOnEnvironment) -> None:
    browser = environment.browser(None)
    before = throttled()
    for _ in range(GUESSES_PER_MINUTE):
        come_back(browser, begin(browser)["state"], code="wrong")

    slowed = come_back(browser, begin(browser)["state"])

    assert slowed.status_code == 429
    assert int(slowed.headers["Retry-After"]) > 0
    assert throttled() == before + 1


def test_passwords_may_open_nothing_more(tmp_path: Path) -> None:
    environment = SignOnEnvironment(tmp_path, password_sign_in=False, operator_password=None)
    made = environment.user("bob", Role.ADMIN)
    browser = environment.browser(None)

    page = text_of(browser.get("/login?with=user").text)
    refused = browser.post("/login?with=user", {"name": "bob", "secret": made.password})

    assert "Password" not in page
    assert refused.status_code == 403
    assert browser.get("/status").status_code == 303
    assert environment.browser(KEY).get("/status").status_code == 200
    assert sign_in(environment).get("/status").status_code == 200


def test_a_session_ends_when_what_opened_it_opens_nothing_more(environment: SignOnEnvironment) -> None:
    sign_in(environment)
    environment.user("bob", Role.ADMIN)
    users = [environment.users.find(name) for name in ("sso:ada", "bob")]

    def authenticator(**settings: Any) -> ViewerAuthenticator:
        return ViewerAuthenticator(
            environment.key_ring, environment.users, environment.sessions, None, b"s" * 32, **settings
        )

    with_both = authenticator(issuer=ISSUER)
    tokens = [
        with_both.open_session(with_both.viewer_of_user(user), "192.0.2.1", "a browser") for user in users if user
    ]

    def opens(access: ViewerAuthenticator) -> list[bool]:
        return [access.viewer_of(token, is_activity=False) is not None for token in tokens]

    assert opens(with_both) == [True, True]
    assert opens(authenticator(issuer="https://other.example")) == [False, True]
    assert opens(authenticator()) == [False, True]
    assert opens(authenticator(issuer=ISSUER, takes_passwords=False)) == [True, False]


def told(environment: SignOnEnvironment, token: str) -> TestResponse:
    """The answer to the provider, which has neither a session nor a form of ours."""
    return environment.app.test_client().post("/login/sso/logout", data={"logout_token": token})


def is_in(browser: Browser) -> bool:
    return browser.get("/status").status_code == 200


def test_who_signs_out_at_the_provider_is_signed_out_here(environment: SignOnEnvironment) -> None:
    ada, again = sign_in(environment, sid="s-1"), sign_in(environment, sid="s-2")
    bob = sign_in(environment, sub="8", preferred_username="bob", sid="s-3")
    others = environment.browser(KEY), environment.browser(PASSWORD)
    now = environment.clock.now().timestamp()
    environment.provider.signed_out_by = {"of ada": SignedOut("7", None, now)}

    answer = told(environment, "of ada")
    repeated = told(environment, "of ada")

    assert (answer.status_code, answer.json) == (200, {"ended": 2})
    assert answer.headers["Cache-Control"] == "no-store"
    assert (repeated.status_code, repeated.json) == (200, {"ended": 0})
    assert [is_in(browser) for browser in (ada, again, bob, *others)] == [False, False, True, True, True]
    ended = list(environment.session_audit.events.values())
    assert [(event.actor, event.viewer) for event in ended] == [("identity provider", "user sso:ada")] * 2


@pytest.mark.parametrize("subject", ["7", None])
def test_one_session_of_the_provider_ends_alone(environment: SignOnEnvironment, subject: str | None) -> None:
    first, second = sign_in(environment, sid="s-1"), sign_in(environment, sid="s-2")
    now = environment.clock.now().timestamp()
    environment.provider.signed_out_by = {"of s-2": SignedOut(subject, "s-2", now)}

    answer = told(environment, "of s-2")

    assert answer.json == {"ended": 1}
    assert [is_in(browser) for browser in (first, second)] == [True, False]


def test_a_session_is_not_ended_by_somebody_elses_name_for_it(environment: SignOnEnvironment) -> None:
    ada = sign_in(environment, sid="s-1")
    sign_in(environment, sub="8", preferred_username="bob", sid="s-3")
    now = environment.clock.now().timestamp()
    environment.provider.signed_out_by = {
        "bob's": SignedOut("8", "s-1", now),
        "a stranger's": SignedOut("9", None, now),
        "no session's": SignedOut(None, "s-9", now),
    }

    answers = [told(environment, token).json for token in environment.provider.signed_out_by]

    assert answers == [{"ended": 0}] * 3
    assert is_in(ada)


def test_a_logout_token_that_is_sent_again_ends_no_later_session(environment: SignOnEnvironment) -> None:
    sign_in(environment)
    environment.provider.signed_out_by = {"of ada": SignedOut("7", None, environment.clock.now().timestamp())}
    told(environment, "of ada")
    environment.clock.advance(CLOCKS_DIFFER_SECONDS + 1)
    later = sign_in(environment)

    repeated = told(environment, "of ada")

    assert repeated.json == {"ended": 0}
    assert is_in(later)


@pytest.mark.parametrize("token", ["forged", "", "x" * 5000])
def test_a_logout_token_that_is_not_believed_ends_nothing(environment: SignOnEnvironment, token: str) -> None:
    ada = sign_in(environment)

    answer = told(environment, token)

    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    assert answer.headers["Cache-Control"] == "no-store"
    assert is_in(ada)


def test_a_provider_that_is_away_is_told_to_come_again(environment: SignOnEnvironment) -> None:
    environment.provider.is_up = False

    assert told(environment, "any").status_code == 503


def test_without_a_provider_there_is_no_such_way(tmp_path: Path) -> None:
    browser = DashboardEnvironment(tmp_path).browser(None)

    assert "/login/sso" not in browser.get("/login").text
    assert browser.get("/login/sso").status_code == 404
    assert browser.get("/login/sso/callback?code=x&state=y").status_code == 404
    assert browser.post("/login/sso/logout", {"logout_token": "x"}).status_code == 404
