"""Goals, held against repeats and against their median."""

from __future__ import annotations

from harness.goal_results import STEADY_RATE, GoalResult, goal_results, in_words
from harness.trial import Goal, ScenarioResult


def played(
    *values: float, limit: float = 100, is_floor: bool = False, aim: float | None = None
) -> list[ScenarioResult]:
    """A repeat for each value."""
    return [
        ScenarioResult("spike", "WaveCom", goals=[Goal("accept p99", value, limit, "ms", is_floor=is_floor, aim=aim)])
        for value in values
    ]


def only(outcomes: list[ScenarioResult]) -> GoalResult:
    [result] = goal_results(outcomes)
    return result


def steady(subject: str, rate: float) -> ScenarioResult:
    return ScenarioResult("steady", subject, values={STEADY_RATE: rate})


def test_each_repeat_is_judged_and_so_is_the_median() -> None:
    result = only(played(90, 120, 95))

    assert result.repeats == (True, False, True)
    assert result.median == 95
    assert result.is_met


def test_one_good_repeat_does_not_make_up_for_a_median_that_misses() -> None:
    result = only(played(90, 120, 130))

    assert not result.is_met
    assert in_words(result) == ("120 (90 to 130)", "met, missed, missed", "**missed**")


def test_an_aim_is_no_limit() -> None:
    result = only(played(900, limit=833, is_floor=True, aim=1600))

    assert result.is_met
    assert not result.aim_is_met
    assert only(played(1700, limit=833, is_floor=True, aim=1600)).aim_is_met


def test_a_repeat_that_died_has_missed_the_goals_of_the_others() -> None:
    result = only([*played(90), ScenarioResult("spike", "WaveCom", failure="web has ended with -9"), *played(95)])

    assert result.repeats == (True, False, True)
    assert in_words(result)[1] == "met, failed, met"


def test_a_scenario_that_never_came_to_its_goals_has_missed() -> None:
    result = only([ScenarioResult("spike", "WaveCom", failure="web has ended with -9")])

    assert not result.is_met
    assert in_words(result) == ("–", "failed", "**missed**")


def test_others_than_wavecom_have_no_goals() -> None:
    reference = [ScenarioResult("spike", "Reference", goals=[Goal("accept p99", 900, 500, "ms")])]

    assert goal_results(reference) == []


def test_each_steady_rate_is_held_against_the_references_of_the_same_turn() -> None:
    outcomes = [
        *(steady("WaveCom", 900), steady("Reference", 300)),
        *(steady("WaveCom", 900), steady("Reference", 310)),
        *(steady("WaveCom", 930), steady("Reference", 300)),
    ]

    result = only(outcomes)

    assert result.values == (3.0, 2.9, 3.1)
    assert result.repeats == (True, False, True)
    assert result.is_met


def test_a_reference_that_was_not_measured_is_no_goal() -> None:
    assert goal_results([steady("WaveCom", 900)]) == []
