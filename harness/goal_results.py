"""Every goal, held against each repeat and against the median of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.subject import WAVECOM
from harness.trial import Goal, ScenarioResult

#: The value that WaveCom and the reference application are compared by, and how many times as much it must be.
STEADY_RATE = "highest steady rate, per second"
TIMES_THE_REFERENCE = 3.0


@dataclass(frozen=True, slots=True)
class GoalResult:
    """A goal and what became of it."""

    scenario: str
    goal: Goal
    #: Of each repeat; None: it could not be played to its end.
    values: tuple[float | None, ...]

    @property
    def median(self) -> float | None:
        """Of the repeats that were played to their end; None when none was."""
        found = [value for value in self.values if value is not None]
        return median(found) if found else None

    @property
    def repeats(self) -> tuple[bool, ...]:
        """Whether each repeat met it; what could not be played has not."""
        return tuple(value is not None and self.goal.is_met_by(value) for value in self.values)

    @property
    def is_met(self) -> bool:
        """Whether the median meets it."""
        return self.median is not None and self.goal.is_met_by(self.median)

    @property
    def aim_is_met(self) -> bool:
        """Whether the median meets what is aimed at beyond the limit."""
        return self.goal.aim is not None and self.median is not None and self.goal.is_met_by(self.median, self.goal.aim)


def goal_results(outcomes: Sequence[ScenarioResult]) -> list[GoalResult]:
    """WaveCom's goals, in the order of the scenarios; a scenario that never came to its goals has missed one."""
    own = [outcome for outcome in outcomes if outcome.subject == WAVECOM]
    found = []
    for scenario in dict.fromkeys(outcome.scenario for outcome in own):
        repeats = [outcome for outcome in own if outcome.scenario == scenario]
        goals = {goal.what: goal for outcome in repeats for goal in outcome.goals}
        if not goals:
            goals = {"could not be measured": Goal("could not be measured", 0, 0)} if _has_failed(repeats) else {}
        for what, goal in goals.items():
            values = tuple(_value(outcome, what) for outcome in repeats)
            found.append(GoalResult(scenario, goal, values))
        found += _beside_reference(scenario, repeats, outcomes)
    return found


def _has_failed(repeats: Sequence[ScenarioResult]) -> bool:
    return any(outcome.failure for outcome in repeats)


def _value(outcome: ScenarioResult, what: str) -> float | None:
    return next((goal.value for goal in outcome.goals if goal.what == what), None)


def _beside_reference(
    scenario: str, repeats: Sequence[ScenarioResult], outcomes: Sequence[ScenarioResult]
) -> list[GoalResult]:
    """Each repeat beside the reference's of the same turn, or its last where it was not repeated."""
    others = [
        outcome.values[STEADY_RATE]
        for outcome in outcomes
        if outcome.scenario == scenario and outcome.subject != WAVECOM and outcome.values.get(STEADY_RATE)
    ]
    if not others or not any(STEADY_RATE in outcome.values for outcome in repeats):
        return []
    values = tuple(
        round(outcome.values[STEADY_RATE] / others[min(number, len(others) - 1)], 2)
        if STEADY_RATE in outcome.values
        else None
        for number, outcome in enumerate(repeats)
    )
    goal = Goal("highest steady rate, to the reference's", 0, TIMES_THE_REFERENCE, "times", is_floor=True)
    return [GoalResult(scenario, goal, values)]


def limit(goal: Goal, value: float | None) -> str:
    """A limit or an aim in words."""
    if value is None:
        return "–"
    sign = "≥" if goal.is_floor else "≤"
    return f"{sign} {value:,.6g} {goal.unit}".strip()


def in_words(result: GoalResult) -> tuple[str, str, str]:
    """What was measured, and in words whether each repeat and the median met the goal."""
    played = [value for value in result.values if value is not None]
    if not played:
        return "–", ", ".join(["failed"] * len(result.values)), "**missed**"
    words = ", ".join(
        "failed" if value is None else "met" if is_met else "missed"
        for value, is_met in zip(result.values, result.repeats, strict=True)
    )
    return spread(played), words, "met" if result.is_met else "**missed**"


def spread(values: Sequence[float]) -> str:
    """The middle one, with the range when it was measured more than once."""
    middle = f"{median(values):,.6g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.6g} to {max(values):,.6g})"
