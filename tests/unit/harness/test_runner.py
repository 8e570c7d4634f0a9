"""What is played how often, and by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.runner import in_turn
from harness.scenarios import SCENARIOS, find
from harness.subject import WAVECOM, DeploymentConfig, Process
from harness.trial import Scenario


@dataclass
class Plain:
    """An application that has nothing special."""

    name: str
    has_batch: bool = False
    has_lanes: bool = False
    has_lists: bool = False
    has_limits: bool = False
    has_receipts: bool = False
    has_templates: bool = False

    def processes(self, config: DeploymentConfig) -> Sequence[Process]:
        raise NotImplementedError


OURS = Plain(WAVECOM, has_batch=True, has_lists=True, has_limits=True, has_receipts=True, has_templates=True)
OTHER = Plain("Reference")


def times(scenario: str, repeats: int) -> dict[str, int]:
    found = find(scenario)
    assert found is not None
    return dict(Counter(subject.name for _, subject in in_turn([found], [OURS, OTHER], repeats)))


def test_long_scenarios_are_played_once_however_many_repeats_are_asked_for() -> None:
    assert times("growth", 3) == {WAVECOM: 1, "Reference": 1}
    assert times("memory", 3) == {WAVECOM: 1, "Reference": 1}


def test_the_reference_is_repeated_only_where_a_goal_is_a_ratio_to_it() -> None:
    assert times("steady", 3) == {WAVECOM: 3, "Reference": 3}
    assert times("spike", 3) == {WAVECOM: 3, "Reference": 1}


def test_who_lacks_what_a_scenario_is_about_does_not_play_it() -> None:
    assert times("batch", 1) == times("storm", 1) == times("waiting", 1) == {WAVECOM: 1}


def test_subjects_take_turns_within_a_scenario() -> None:
    steady = find("steady")
    assert steady is not None

    assert [subject.name for _, subject in in_turn([steady], [OURS, OTHER], 2)] == [WAVECOM, "Reference"] * 2


def test_without_repeats_everything_is_played_once_by_everybody_who_can() -> None:
    rounds: list[tuple[Scenario, str]] = [
        (scenario, subject.name) for scenario, subject in in_turn(SCENARIOS, [OURS], 1)
    ]

    assert [scenario for scenario, _ in rounds] == list(SCENARIOS)
