"""A run's figures as a file, written after every trial, and read back to make one report of several runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from harness.figures import Figures, Latencies
from harness.goal_results import goal_results
from harness.report_files import write_figures
from harness.speed import CoreSpeed
from harness.trial import Goal, ScenarioResult
from wavecom.errors import ConfigurationError, Problem

#: Of the report and its files.
NAME = "performance"
FILE = f"{NAME}.json"

_LATENCIES = ("accept", "accept_from_sending", "end_to_end", "due_to_provider", "created_to_recorded")

Facts = Mapping[str, str]
T = TypeVar("T")


def write(folder: Path, facts: Facts, outcomes: Sequence[ScenarioResult]) -> None:
    """Write all that ``read`` needs, and what programs may want to know of it."""
    content = {
        "circumstances": facts,
        "judgements": [
            {
                "scenario": each.scenario,
                **asdict(each.goal),
                "value": each.median,
                "values": each.values,
                "repeats_met": each.repeats,
                "is_met": each.is_met,
                "aim_is_met": each.aim_is_met,
            }
            for each in goal_results(outcomes)
        ],
        "outcomes": [
            {
                **asdict(outcome),
                "phases": {name: _content(figures) for name, figures in outcome.phases.items()},
                "goals": [{**asdict(goal), "is_met": goal.is_met} for goal in outcome.goals],
                "is_whole": outcome.is_whole,
            }
            for outcome in outcomes
        ],
    }
    write_figures(folder, NAME, content)


def _content(figures: Figures) -> dict[str, object]:
    return {
        **asdict(figures),
        "speed": round(figures.pace.speed, 3),
        "cpu_ms_total_at_full_speed": figures.cpu_ms_at_full_speed,
    }


def read(folder: Path) -> tuple[Facts, list[ScenarioResult]]:
    """What ``write`` wrote; raises ``ConfigurationError`` when it did not, or an older release did."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["circumstances"], [_outcome(each) for each in content["outcomes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"holds no figures that can be read ({type(error).__name__}: {error})"
        raise ConfigurationError([Problem(str(path), message)]) from error


def merged(runs: Sequence[tuple[Facts, Sequence[ScenarioResult]]]) -> tuple[Facts, list[ScenarioResult]]:
    """As if it had been one run: what several of them played counts as repeated. Facts that differ are all told."""
    words = dict.fromkeys(word for facts, _ in runs for word in facts)
    facts = {word: "; ".join(dict.fromkeys(facts[word] for facts, _ in runs if word in facts)) for word in words}
    return facts, [outcome for _, outcomes in runs for outcome in outcomes]


def _outcome(content: Mapping[str, Any]) -> ScenarioResult:
    known = _known(ScenarioResult, content)
    pictures = {
        name: {words: [(x, y) for x, y in points] for words, points in curves.items()}
        for name, curves in content["pictures"].items()
    }
    return ScenarioResult(
        **known
        | {
            "phases": {name: _figures(each) for name, each in content["phases"].items()},
            "goals": [Goal(**_known(Goal, each)) for each in content["goals"]],
            "spans": [(words, since, until) for words, since, until in content["spans"]],
            "pictures": pictures,
        }
    )


def _figures(content: Mapping[str, Any]) -> Figures:
    latencies = {name: Latencies(**content[name]) for name in _LATENCIES}
    curves = {
        name: {int(second): count for second, count in counts.items()} for name, counts in content["curves"].items()
    }
    return Figures(**_known(Figures, content) | latencies | {"pace": CoreSpeed(**content["pace"]), "curves": curves})


def _known(kind: type[T], content: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was only derived from the rest."""
    return {field.name: content[field.name] for field in fields(kind)}  # type: ignore[arg-type]
