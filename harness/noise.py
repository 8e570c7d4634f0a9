"""What disturbed a run: other programs, cores that were slow for a while, and how far repeats lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from harness.figures import Figures
from harness.tables import table
from harness.trial import ScenarioResult

#: More than this in the hands of other programs, and a reader is warned.
_QUIET_CORES = 0.1
#: Cores below this on average, likewise. The load alone, which keeps caches from staying warm, costs up to a fifth.
_FULL_SPEED = 0.75


def with_common_best(outcomes: Sequence[ScenarioResult]) -> list[ScenarioResult]:
    """The same, each phase held against the best pace that any of them knew: it may have been seen only later."""
    best = max((figures.pace.best for outcome in outcomes for figures in outcome.phases.values()), default=0.0)
    return [
        replace(
            outcome,
            phases={
                name: replace(figures, pace=replace(figures.pace, best=best))
                for name, figures in outcome.phases.items()
            },
        )
        for outcome in outcomes
    ]


def summary(outcomes: Sequence[ScenarioResult]) -> list[str]:
    """The lines of a paragraph that warns where a warning is due."""
    phases = [figures for outcome in outcomes for figures in outcome.phases.values()]
    cores = [figures.noise_cores for figures in phases] or [0.0]
    speeds = [figures.pace.speed for figures in phases] or [1.0]
    lines = [
        f"Other programs kept {median(cores):.2f} of the machine's cores busy meanwhile (at most {max(cores):.2f})."
        f" The cores ran at {median(speeds):.2f} of their best speed (at worst {min(speeds):.2f})."
    ]
    if median(cores) > _QUIET_CORES or median(speeds) < _FULL_SPEED:
        lines.append("**That is not a quiet machine: take rates as lower bounds, latencies and costs as upper ones.**")
    return lines


def section(outcomes: Sequence[ScenarioResult]) -> list[str]:
    """How speed was measured, and every phase with its repeats."""
    return [
        "## Noise",
        "",
        "The cores of a virtual machine share theirs with neighbours whom no counter shows: for seconds at a time the"
        " same instructions take up to twice the processor time. So a fixed piece of work (2 ms) is timed in processor"
        " time three times a second all the while. *Speed* is its average over a phase, relative to the fastest"
        " ever seen in the run: at 0.62 everything costs 1.6 times as much. *At full speed* is the cost as measured"
        " times that speed: a lower bound, because a busy machine's caches are colder than those of an idle one, which"
        " slows the piece of work as well (0.8 to 0.9 with nobody else there). Goals are judged"
        " by what was measured, in good moods of the machine and bad.",
        "",
        "The spread is what lies between the lowest and the highest of the repeats, as a share of the median.",
        "",
        *table(
            (
                "scenario, phase",
                "who",
                "repeats",
                "speed",
                "CPU ms, measured",
                "spread",
                "CPU ms at full speed",
                "spread",
                "end to end/s",
                "spread",
                "others' cores",
            ),
            _rows(outcomes),
        ),
        "",
    ]


def _rows(outcomes: Sequence[ScenarioResult]) -> list[Sequence[object]]:
    found: dict[tuple[str, str, str], list[Figures]] = {}
    costless = {(outcome.scenario, name) for outcome in outcomes for name in outcome.costless}
    for outcome in outcomes:
        for name, figures in outcome.phases.items():
            found.setdefault((outcome.scenario, name, outcome.subject), []).append(figures)
    rows: list[Sequence[object]] = []
    for (scenario, name, subject), repeats in found.items():
        is_priced = (scenario, name) not in costless
        title = scenario if name == scenario else f"{scenario}, {name}"
        measured = _range([each.cpu_ms_total for each in repeats], ".2f") if is_priced else ("–", "–")
        at_full_speed = _range([each.cpu_ms_at_full_speed for each in repeats], ".2f") if is_priced else ("–", "–")
        rate = _range([each.end_to_end_per_second for each in repeats], ",.0f")
        speed, _ = _range([each.pace.speed for each in repeats], ".2f")
        cores, _ = _range([each.noise_cores for each in repeats], ".2f")
        rows.append((title, subject, len(repeats), speed, *measured, *at_full_speed, *rate, cores))
    return rows


def _range(values: Sequence[float], form: str) -> tuple[str, str]:
    """The middle one with the lowest and the highest, and how far these lie apart."""
    middle = median(values)
    if len(values) == 1:
        return f"{middle:{form}}", "–"
    apart = f"{(max(values) - min(values)) / middle:.0%}" if middle else "–"
    return f"{middle:{form}} ({min(values):{form}} to {max(values):{form}})", apart
