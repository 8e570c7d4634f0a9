"""Who is signed in, and the button that ends a session."""

from __future__ import annotations

import html
import re

from tests.unit.web.dashboard.environment import KEY, READ_ONLY_KEY, Browser, DashboardEnvironment


def _id_of(environment: DashboardEnvironment, viewer: str) -> str:
    [found] = [record.session_id for record in environment.sessions.list() if record.viewer == viewer]
    return found


def test_the_operator_sees_every_session_and_which_is_this_one(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    environment.browser(KEY)

    page = browser.get("/sessions").text

    assert "key id-kk" in page
    assert "2 open" in page
    assert page.count("This one") == 1
    assert page.count(">End</button>") == 1


def test_a_long_list_has_pages(environment: DashboardEnvironment, browser: Browser) -> None:
    opened = ["operator"]
    for number in range(59):
        environment.clock.advance(0.001 if number % 7 else 0)
        environment.sessions.open(f"user user-{number:02}", password_mark="m")
        opened.append(f"user user-{number:02}")

    first = browser.get("/sessions").text
    [older] = re.findall(r'href="([^"]+)" rel="next"', first)
    second = browser.get(html.unescape(older)).text

    shown = [re.findall(r"<span>(user user-\d\d|operator)</span>", page) for page in (first, second)]
    assert [len(each) for each in shown] == [50, 10]
    assert sorted([*shown[0], *shown[1]]) == sorted(opened)
    assert "60 open" in first
    assert "60 open" in second
    assert 'rel="next"' not in second


def test_a_session_is_ended_by_its_button_and_written_down(environment: DashboardEnvironment, browser: Browser) -> None:
    other = environment.browser(KEY)
    session_id = _id_of(environment, "key id-kk")
    browser.get("/sessions")

    answer = browser.post(f"/sessions/{session_id}/end", {})

    assert answer.status_code == 303
    assert "The session is ended" in browser.get(answer.location).text
    assert other.get("/status").status_code == 303
    [event] = environment.session_audit.events.values()
    assert (event.actor, event.viewer, event.session_id) == ("operator", "key id-kk", session_id)


def test_a_key_sees_and_ends_only_what_it_has_opened_itself(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    mine, again = environment.browser(READ_ONLY_KEY), environment.browser(READ_ONLY_KEY)
    page = mine.get("/sessions").text

    foreign = mine.post(f"/sessions/{_id_of(environment, 'operator')}/end", {})
    own = [record.session_id for record in environment.sessions.list("key id-rr")]
    answers = [mine.post(f"/sessions/{session_id}/end", {}).status_code for session_id in own]

    assert "2 open" in page
    assert ">operator<" not in page
    assert foreign.status_code == 404
    assert answers == [303, 303]
    assert (mine.get("/status").status_code, again.get("/status").status_code) == (200, 303)
    assert browser.get("/status").status_code == 200


def test_ones_own_session_is_not_ended_by_mistake(environment: DashboardEnvironment, browser: Browser) -> None:
    answer = browser.post(f"/sessions/{_id_of(environment, 'operator')}/end", {})

    assert "Sign out to end it" in browser.get(answer.location).text


def test_who_logs_in_again_and_again_does_not_fill_the_store(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    for _ in range(110):
        environment.sessions.open("key id-kk", key_id="id-kk")

    assert len(environment.sessions.list("key id-kk")) == 100
    assert browser.get("/status").status_code == 200


def test_what_a_browser_calls_itself_is_shown_harmlessly(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.sessions.open("key id-kk", key_id="id-kk", browser="\x1b[2J\x9b1m<script>alert(1)</script>" + "x" * 500)

    page = browser.get("/sessions").text

    [record] = environment.sessions.list("key id-kk")
    assert record.browser.isprintable()
    assert len(record.browser) == 200
    assert "<script>alert" not in page
