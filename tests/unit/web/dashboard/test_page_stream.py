"""Parts of pages that are sent when they change, to those who may see them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.factories import NOW
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment
from tests.unit.web.rsgi_client import StreamConnection, scope_of
from wavecom.core.roles import Role
from wavecom.web import streams
from wavecom.web.dashboard import overview, page_stream
from wavecom.web.dashboard.overview import ChartRange

PATH = "/overview/stream?range=hour"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_stream.PageSource, "period_seconds", 0.01)
    monkeypatch.setattr(streams, "CHECK_SECONDS", 0.02)


def digests(text: str) -> list[str]:
    return re.findall(r"^id: (\w+)$", text, re.MULTILINE)


def test_a_browser_gets_the_part_unless_it_has_it(browser: Browser) -> None:
    first = browser.get(PATH)

    assert (first.status_code, first.mimetype) == (200, "text/event-stream")
    assert "event: part\ndata: " in first.text
    assert "A second, now" in first.text
    [digest] = digests(first.text)
    assert browser.get(PATH, headers={"Last-Event-ID": digest}).text == "retry: 2000\n\n"
    # The part of another page, or of another time, is another.
    assert digests(browser.get("/overview/stream?range=day").text) != [digest]


def test_the_part_is_what_the_page_would_ask_for(browser: Browser) -> None:
    lines = [line.removeprefix("data: ") for line in browser.get(PATH).text.splitlines() if line.startswith("data: ")]

    assert "\n".join(lines) == browser.get("/overview/live?range=hour").text


def test_who_is_not_signed_in_is_sent_to_the_login(environment: DashboardEnvironment) -> None:
    assert environment.app.test_client().get(PATH).status_code == 303


class Windows:
    """Browsers' windows that show the overview, over granian's protocol."""

    def __init__(self, environment: DashboardEnvironment, browser: Browser) -> None:
        self._rsgi: Any = environment.app.rsgi  # type: ignore[attr-defined]
        cookie = browser.client.get_cookie(environment.app.config["SESSION_COOKIE_NAME"])
        assert cookie is not None
        self._cookie = f"{cookie.key}={cookie.value}"
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._rsgi.start(loop)
        self._rsgi.streams.start(loop)

    async def open(self) -> StreamConnection:
        path, _, query = PATH.partition("?")
        connection = StreamConnection()
        scope = scope_of("GET", path, {"Cookie": self._cookie, "Host": "localhost"}, query)
        self._tasks.append(asyncio.create_task(self._rsgi.serve(scope, connection)))
        await connection.until(lambda text: bool(text) or connection.status_code >= 300)
        assert connection.status_code == 200, connection.text
        return connection

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)


def on_loop(test: Callable[[], Any]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(main())


def test_what_changes_is_made_once_for_all_windows(
    environment: DashboardEnvironment, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows(environment, browser)
    made: list[int] = []

    def body(_range: ChartRange, _sees_audit: bool) -> str:
        made.append(1)
        return f"<p>{len(made)}</p>"

    monkeypatch.setattr(overview, "_body", body)

    async def test() -> None:
        windows.start()
        those = [await windows.open() for _ in range(20)]
        at_first = len(made)
        for each in those:
            await each.until(lambda text: f"<p>{at_first + 5}</p>" in text)
        # 20 windows that have had the same five.
        assert len(made) < at_first + 20
        for each in those:
            each.leave()
        await windows.close()

    on_loop(test)


def test_a_part_that_can_not_be_made_ends_the_stream_so_that_the_page_asks_what_is_wrong(
    environment: DashboardEnvironment, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows(environment, browser)

    async def test() -> None:
        windows.start()
        window = await windows.open()
        monkeypatch.setattr(overview, "_body", lambda *_arguments: 1 / 0)
        await windows.close()
        assert window.has_ended

    on_loop(test)


def test_windows_of_viewers_are_sent_nothing_of_the_audit_and_those_of_operators_are(
    environment: DashboardEnvironment,
) -> None:
    environment.audit_entries.entries = [
        {"entryId": "1", "action": "replay", "operator": "user bob", "startedAt": NOW, "reason": "ticket 7"}
    ]
    opened = [Windows(environment, environment.browser_as(role)) for role in (Role.OPERATOR, Role.VIEWER)]

    async def test() -> None:
        opened[0].start()
        operators, viewers = [await each.open() for each in opened]
        assert "ticket 7" in operators.text
        assert "data:" in viewers.text
        assert "ticket 7" not in viewers.text
        environment.users.change_role("some-operator", Role.VIEWER, by="ada@ops")
        await opened[0].close()
        assert operators.has_ended
        viewers.leave()
        await opened[1].close()

    on_loop(test)


def test_a_window_whose_session_has_ended_gets_nothing_more(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    windows = Windows(environment, browser)

    async def test() -> None:
        windows.start()
        window = await windows.open()
        await asyncio.to_thread(browser.post, "/logout", {})
        while not window.has_ended:
            await asyncio.sleep(0.01)
        await windows.close()

    on_loop(test)
