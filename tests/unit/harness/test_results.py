"""What a run leaves behind, read back and put together with others'."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.command import main
from harness import results
from harness.figures import ArrivalRecord
from harness.goal_results import goal_results
from harness.speed import CoreSpeed
from harness.trial import Goal, ScenarioResult
from tests.unit.harness.test_figures import accepted, measured
from wavecom.errors import ConfigurationError


def outcome(scenario: str, value: float) -> ScenarioResult:
    """With something in every field."""
    return ScenarioResult(
        scenario,
        "WaveCom",
        phases={
            scenario: measured([accepted(0, "a")], {"a": ArrivalRecord(0.5, 1, "main")}, CoreSpeed(mean=400, best=500))
        },
        values={"carried": value},
        goals=[Goal("carried", value, 833, "/s", is_floor=True, aim=1600)],
        costless=["after"],
        spans=[("something happens", 1, 2)],
        pictures={"a curve": {"line": [(0, 1), (10, 2)]}},
        seconds=12.5,
        failure="",
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    outcomes = [outcome("steady", 900), ScenarioResult("spike", "Reference", failure="web has ended with -9")]

    results.write(tmp_path, {"machine": "two cores"}, outcomes)

    assert results.read(tmp_path) == ({"machine": "two cores"}, outcomes)


def test_nothing_but_the_whole_file_is_ever_there(tmp_path: Path) -> None:
    results.write(tmp_path, {}, [outcome("steady", 900)])
    results.write(tmp_path, {}, [outcome("steady", 900), outcome("spike", 20)])

    assert [path.name for path in tmp_path.iterdir()] == [results.FILE]
    assert len(results.read(tmp_path)[1]) == 2


def test_what_several_runs_played_counts_as_repeated() -> None:
    runs = [({}, [outcome("steady", 800)]), ({}, [outcome("steady", 900), outcome("spike", 900)])]

    _, outcomes = results.merged(runs)

    assert [(each.scenario, each.values) for each in goal_results(outcomes)] == [
        ("steady", (800, 900)),
        ("spike", (900,)),
    ]


def test_facts_that_differ_between_runs_are_all_told() -> None:
    first, second = {"code": "abc", "machine": "two cores"}, {"code": "def", "machine": "two cores", "Redis": "7"}

    facts, _ = results.merged([(first, []), (second, [])])

    assert facts == {"code": "abc; def", "machine": "two cores", "Redis": "7"}


@pytest.mark.parametrize("text", ["", "{}", '{"circumstances": {}, "outcomes": [{}]}'])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / results.FILE).write_text(text)

    with pytest.raises(ConfigurationError, match=results.FILE):
        results.read(tmp_path)


def test_the_command_makes_one_report_of_several(tmp_path: Path) -> None:
    for name, scenario in (("first", "memory"), ("second", "steady")):
        (tmp_path / name).mkdir()
        results.write(tmp_path / name, {"code": name}, [outcome(scenario, 900)])

    arguments = ["--merge", tmp_path / "first", "--merge", tmp_path / "second", "--report", tmp_path / "whole"]
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])

    assert done.exit_code == 0, done.output
    page = (tmp_path / "whole" / "performance.md").read_text(encoding="utf-8")
    assert "- code: first; second" in page
    # In the order of a whole run, whatever the parts' order was.
    assert 0 < page.index("\n## steady\n") < page.index("\n## memory\n")
    assert page.index("| steady | carried | 900 |") < page.index("| memory | carried | 900 |")


def test_the_command_says_what_it_can_not_merge(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--merge", str(tmp_path), "--report", str(tmp_path / "whole")])

    assert done.exit_code == 2
    assert results.FILE in done.output
    assert not (tmp_path / "whole").exists()
