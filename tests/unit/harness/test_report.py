"""The report, written from figures that nobody has measured."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.figures import ArrivalRecord
from harness.report import Report, RunDescription
from harness.scenarios import SCENARIOS, find
from harness.scenarios.resources import slope
from harness.speed import CoreSpeed
from harness.trial import Goal, Options, ScenarioResult
from tests.unit.harness.test_figures import accepted, measured

STEADY = find("steady")


@pytest.fixture
def report(tmp_path: Path) -> Report:
    description = RunDescription(
        command="make bench", options=Options(), repeats=1, began=datetime.now(UTC), mongo_program=Path("/bin/true")
    )
    assert STEADY is not None
    return Report(tmp_path, [STEADY], description.facts)


def outcome(subject: str, rate: float, *, lost: int = 0) -> ScenarioResult:
    figures = replace(measured([accepted(0, "a")], {"a": ArrivalRecord(0.5, 1, "main")}), lost=lost)
    return ScenarioResult(
        "steady",
        subject,
        phases={"steady": figures},
        values={"highest steady rate, per second": rate},
        goals=[Goal("carried end to end", rate, 833, "/s", is_floor=True, aim=1600)],
        spans=[("something happens", 1, 2)],
        pictures={"a curve": {"line": [(0, 1), (10, 2)]}},
    )


def test_the_page_says_what_was_aimed_at_and_whether_it_was_met(report: Report) -> None:
    page = report.write([outcome("WaveCom", 900), outcome("Reference", 300)]).read_text(encoding="utf-8")

    assert "| steady | carried end to end | 900 | ≥ 833 /s | met | met | ≥ 1,600 /s | no |" in page


def test_every_figure_is_also_a_ratio_to_the_reference(report: Report) -> None:
    page = report.write([outcome("WaveCom", 900), outcome("Reference", 300)]).read_text(encoding="utf-8")

    assert "| highest steady rate, per second | 900 | 300 | 3.00 |" in page


def test_repeats_are_given_with_their_range(report: Report) -> None:
    page = report.write([outcome("WaveCom", rate) for rate in (800, 900, 850)]).read_text(encoding="utf-8")

    assert "| 850 (800 to 900) | ≥ 833 /s | missed, met, met | met |" in page


def test_what_was_lost_is_said_in_the_first_lines(report: Report) -> None:
    page = report.write([outcome("WaveCom", 900, lost=3)]).read_text(encoding="utf-8")

    assert "3 of them never arrived" in page.partition("##")[0]


def test_what_died_on_the_way_is_said_and_spoils_no_other_figure(report: Report) -> None:
    died = ScenarioResult("steady", "WaveCom", failure="worker1 has ended with -9")

    page = report.write([died, outcome("Reference", 300)]).read_text(encoding="utf-8")

    assert "| steady | could not be measured | – | – | failed | **missed** | – | – |" in page
    assert "WaveCom could not be measured to the end**: worker1 has ended with -9" in page
    assert not died.is_whole


def test_programs_find_the_same_in_the_json_file(report: Report, tmp_path: Path) -> None:
    report.write([outcome("WaveCom", 900)])

    [found] = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))["outcomes"]

    assert found["values"] == {"highest steady rate, per second": 900}
    assert found["goals"][0]["is_met"] is True
    assert found["is_whole"] is True


def test_programs_find_what_became_of_every_goal_in_each_repeat(report: Report, tmp_path: Path) -> None:
    report.write([outcome("WaveCom", rate) for rate in (800, 900, 850)])

    [found] = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))["judgements"]

    assert (found["what"], found["value"], found["is_met"]) == ("carried end to end", 850, True)
    assert (found["values"], found["repeats_met"]) == ([800, 900, 850], [False, True, True])


def test_every_picture_on_the_page_is_there_and_well_formed(report: Report, tmp_path: Path) -> None:
    page = report.write([outcome("WaveCom", 900), outcome("Reference", 300)]).read_text(encoding="utf-8")

    shown = {part.partition(")")[0] for part in page.split("](performance/")[1:]}

    assert shown == {f"{name}.svg" for name in ("cost", "steady", "steady-a-curve")}
    for name in shown:
        ET.parse(tmp_path / "performance" / name)


def slowed(each: ScenarioResult, mean: float, best: float, cpu_ms: float) -> ScenarioResult:
    figures = replace(each.phases["steady"], pace=CoreSpeed(mean, best), cpu_ms_total=cpu_ms)
    return replace(each, phases={"steady": figures})


def test_every_phase_is_held_against_the_best_speed_of_the_whole_run(report: Report, tmp_path: Path) -> None:
    first = slowed(outcome("WaveCom", 900), mean=200, best=250, cpu_ms=2.0)
    later = slowed(outcome("Reference", 300), mean=400, best=500, cpu_ms=6.0)

    page = report.write([first, later]).read_text(encoding="utf-8")

    found = json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))["outcomes"]
    assert [each["phases"]["steady"]["speed"] for each in found] == [0.4, 0.8]
    assert [each["phases"]["steady"]["cpu_ms_total_at_full_speed"] for each in found] == [0.8, 4.8]
    assert "| steady | WaveCom | 2 | **2.00** | 0.40 | 0.80 |" in page
    assert "ran at 0.60 of their best speed (at worst 0.40)" in page
    assert "not a quiet machine" in page


def test_the_spread_of_repeats_is_given_as_measured_and_at_full_speed(report: Report) -> None:
    calm = slowed(outcome("WaveCom", 900), mean=500, best=500, cpu_ms=2.0)
    disturbed = slowed(outcome("WaveCom", 900), mean=250, best=500, cpu_ms=4.0)

    page = report.write([calm, disturbed]).read_text(encoding="utf-8")

    assert (
        "| steady | WaveCom | 2 | 0.75 (0.50 to 1.00) | 3.00 (2.00 to 4.00) | 67% | 2.00 (2.00 to 2.00) | 0% |" in page
    )


def test_scenarios_have_names_of_their_own() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_the_slope_of_a_straight_line_is_its_own() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(1, 1)]) == 0
