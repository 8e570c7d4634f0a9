"""All chosen scenarios, with every subject, as often as asked; the report is written after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.deployment import DeploymentError
from harness.display import Display
from harness.goal_results import goal_results, in_words, limit
from harness.speed import SpeedProbe
from harness.subject import GROUPS, WAVECOM, Subject
from harness.trial import Options, Scenario, ScenarioResult, SharedDeployment, Trial

Round = tuple[Scenario, Subject]
Keep = Callable[[Sequence[ScenarioResult]], object]


def run(
    scenarios: Sequence[Scenario],
    subjects: Sequence[Subject],
    options: Options,
    *,
    home: Path,
    repeats: int,
    display: Display,
    probe: SpeedProbe,
    keep: Keep,
) -> list[ScenarioResult]:
    """Subjects take turns within a scenario, so that the machine's moods fall on all alike.

    On a quick tour one follows the other, so that they need not be started for each scenario. When a process dies,
    that is the outcome of its trial. Raises ``ConfigurationError`` when something does not start.
    """
    outcomes: list[ScenarioResult] = []
    rates: dict[str, float] = {}
    rounds = _by_subject(scenarios, subjects) if options.is_quick else in_turn(scenarios, subjects, repeats)
    with SharedDeployment() as shared:
        for number, (scenario, subject) in enumerate(rounds, 1):
            display.begin(f"[{number}/{len(rounds)}] {scenario.name}, {subject.name}")
            trial = Trial(home, subject, options, display, scenario.name, rates, shared, probe)
            began = time.monotonic()
            try:
                scenario.run(trial)
            except (DeploymentError, OSError) as error:
                trial.outcome.failure = str(error)
                shared.close()
            trial.outcome.seconds = round(time.monotonic() - began, 1)
            outcomes.append(trial.outcome)
            show(trial.outcome, display)
            keep(outcomes)
    return outcomes


def in_turn(scenarios: Sequence[Scenario], subjects: Sequence[Subject], repeats: int) -> list[Round]:
    """What is played, in this order."""
    return [
        (scenario, subject)
        for scenario in scenarios
        for number in range(repeats)
        for subject in subjects
        if number < scenario.times(subject, repeats)
    ]


def _by_subject(scenarios: Sequence[Scenario], subjects: Sequence[Subject]) -> list[Round]:
    return [(scenario, subject) for subject in subjects for scenario in scenarios if scenario.is_possible_for(subject)]


def show(outcome: ScenarioResult, display: Display) -> None:
    """A few lines on the terminal about what has just been measured."""
    display.line(f"{outcome.scenario}, {outcome.subject} ({outcome.seconds:.0f} s)")
    if outcome.failure:
        display.line(f"    FAILED: {outcome.failure}")
    for words, value in outcome.values.items():
        display.line(f"    {words}: {value:,.10g}")
    for name, figures in outcome.phases.items():
        books = (
            "every one once"
            if figures.is_whole
            else (f"LOST {figures.lost}, REPEATED {figures.repeated}, UNEXPECTED {figures.unexpected}")
        )
        latencies = (
            ("accept p50/p95/p99", figures.accept),
            ("from the answer to the provider", figures.end_to_end),
            ("due to provider", figures.due_to_provider),
            ("created to recorded", figures.created_to_recorded),
        )
        times = ", ".join(
            f"{words} {each.p50:.0f}/{each.p95:.0f}/{each.p99:.0f} ms" for words, each in latencies if each.count
        )
        display.line(
            f"    {name}: {figures.accepted:,} of {figures.offered:,} accepted ({_counts(figures.answers)}), received"
            f" {figures.received:,}, {books}; {figures.accepted_per_second:,.0f}/s accepted,"
            f" {figures.end_to_end_per_second:,.0f}/s end to end"
        )
        display.line(f"        {times}; others kept {figures.noise_cores:.2f} cores busy, we {figures.used_cores:.2f}")
        split = "  ".join(f"{group} {figures.cpu_ms[group]:.2f}" for group in GROUPS if group in figures.cpu_ms)
        display.line(
            f"        CPU {figures.cpu_ms_total:.2f} ms each: {split}; the cores at {figures.pace.speed:.2f} of their"
            f" best, {figures.cpu_ms_at_full_speed:.2f} ms at full speed"
        )
    for goal in outcome.goals if outcome.subject == WAVECOM else ():
        word = "met" if goal.is_met else "missed"
        aim = f", aim {limit(goal, goal.aim)}" if goal.aim is not None else ""
        display.line(f"    {word}: {goal.what} {goal.value:,.10g} (must be {limit(goal, goal.limit)}{aim})")


def show_goal_results(outcomes: Sequence[ScenarioResult], display: Display) -> None:
    """Every goal, in one line, when all has been measured."""
    for each in goal_results(outcomes):
        measured, repeats, middle = in_words(each)
        must = limit(each.goal, each.goal.limit)
        display.line(
            f"{middle.strip('*'):<7} {each.scenario}: {each.goal.what} {measured} ({must}); repeats: {repeats}"
        )


def _counts(answers: Mapping[str, int]) -> str:
    return ", ".join(f"{word}: {count}" for word, count in answers.items())
