"""Marks in the charts: which deeds have one, and where it stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.factories import NOW, later
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment, text_of
from wavecom.web.dashboard.chart import SLOT
from wavecom.web.dashboard.chart_marks import MOST, ChartMark, marks

STEP = timedelta(minutes=5)


def marked(*entries: dict[str, Any]) -> tuple[ChartMark, ...]:
    return marks([{"startedAt": later(600), "operator": "ada@ops"} | entry for entry in entries], NOW, STEP, 12)


def test_a_mark_stands_where_it_happened_and_says_what_and_who() -> None:
    [mark] = marked({"action": "pause_provider", "provider": "gateway", "startedAt": later(450)})

    assert mark == ChartMark(1.5 * SLOT, later(450), "Paused a provider: gateway (ada@ops)")


def test_what_can_not_have_changed_the_figures_has_none() -> None:
    unmarked = [
        {"action": "reveal"},
        {"action": "create_key"},
        {"action": "replay", "dryRun": True},
        {"action": "cancel", "filters": {"jobs": "job-1"}},
        {"action": "pause_provider", "provider": "gateway", "startedAt": later(-1)},
        {"action": "pause_provider", "provider": "gateway", "startedAt": later(3600)},
    ]

    assert marked(*unmarked) == ()
    assert len(marked(*unmarked, {"action": "cancel", "filters": {"statuses": "queued"}}, {"action": "replay"})) == 2


def test_of_very_many_the_newest_are_shown() -> None:
    found = marked(*({"action": "replay", "startedAt": later(number)} for number in range(MOST + 20)))

    assert [mark.at for mark in found] == [later(number) for number in range(20, MOST + 20)]


def test_the_overview_shows_them_as_lines_and_in_words(environment: DashboardEnvironment, browser: Browser) -> None:
    at = environment.clock.now() - timedelta(minutes=10)
    environment.audit_entries.entries = [
        {"entryId": "e-1", "action": "begin_release", "operator": "wavecom", "version": "1.1", "startedAt": at}
    ]

    page = browser.get("/overview").text

    assert page.count('<line class="mark"') == 2
    assert "A release began: 1.1 (wavecom)" in text_of(page)
