"""Writes ``wavecom/commands/measured_costs.json``, which ``wavecom capacity`` reckons with, from a performance report.

``python -m harness.costs docs/reports/performance.json``. A test holds the file equal to the published report.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from wavecom.core.costs import full_group, group_size, windows_of_groups
from wavecom.core.windows import Windows

TARGET: Final = Path(__file__).parents[1] / "wavecom" / "commands" / "measured_costs.json"

#: Of reports made before they told it.
_WINDOWS_UNTOLD: Final = Windows(accept=0.015, claim=0.025, record=0.025)

_SUBJECT: Final = "WaveCom"
_ROUNDS: Final = 4_000

#: As ``windows_in_words`` has one.
_WINDOW: Final = re.compile(r"(\w+) ([\d.]+) ms")

PhaseFigures = Mapping[str, Any]


def costs_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The costs of a report (``performance.json``), with the figures that a simulation is held against."""
    windows = _windows(report)
    levels = _phases(report, "levels")
    rates = {name: float(name.removesuffix("/s")) for name in levels if name.endswith("/s")}
    samples = [(rate, levels[name][-1]) for name, rate in rates.items()]
    [steady], spikes, [overload] = (_phases(report, scenario)[scenario] for scenario in ("steady", "spike", "overload"))
    samples += [(each["accepted_per_second"], each) for each in (steady, *spikes)]
    memory = _phases(report, "memory")["long"][-1]["process_mib"]
    circumstances = report["circumstances"]
    return {
        "source": {
            "date": circumstances["date"].partition(",")[0],
            "machine": circumstances["machine"].partition(", Linux")[0],
            "MongoDB server": circumstances["MongoDB server"],
        },
        # JSON knows no infinity: what was waited for without end before there was a gap.
        "windows": {name: seconds for name, seconds in asdict(windows).items() if math.isfinite(seconds)},
        "groups": {
            name: _fit(name, seconds, [(rate, each["cpu_ms"][name] * _speed(each)) for rate, each in samples])
            for name, seconds in windows_of_groups(windows).items()
        },
        "accept_shares": _accept_shares(spikes, _values(report, "spike")),
        "load_ms": round(median(each["cpu_ms"]["load"] * _speed(each) for each in (steady, *spikes)), 4),
        "provider_ms": round(median(each["cpu_ms"]["provider"] * _speed(each) for each in (steady, *spikes)), 4),
        "process_mib": {name: memory[name] for name in ("web", "worker", "ops")},
        "seen": {
            "steady": {
                "rate": round(steady["accepted_per_second"], 1),
                "cpu_ms": steady["cpu_ms_total"],
                "cores": steady["used_cores"],
                "speed": _speed(steady),
            },
            "spike": {
                "count": spikes[0]["accepted"],
                "accepted_per_second": median(each["accepted_per_second"] for each in spikes),
                "end_to_end_per_second": median(each["end_to_end_per_second"] for each in spikes),
                # What was left of them for WaveCom when all were busy.
                "cores": _busy_cores(spikes, _values(report, "spike")),
                "speed": median(map(_speed, spikes)),
            },
            "overload": _overload(overload, _values(report, "overload")[0]),
        },
    }


def windows_in_words(windows: Windows) -> str:
    """For the facts of a report, where ``costs_of`` finds them again."""
    return ", ".join(f"{name} {1_000 * seconds:g} ms" for name, seconds in asdict(windows).items())


def _windows(report: Mapping[str, Any]) -> Windows:
    """Those of the code that it measured."""
    told = report["circumstances"].get("windows")
    if told is None:
        return _WINDOWS_UNTOLD
    return Windows(**{name: float(milliseconds) / 1_000 for name, milliseconds in _WINDOW.findall(told)})


def _overload(overload: PhaseFigures, values: Mapping[str, float]) -> dict[str, float]:
    offered = values["offered, per second"]
    return {
        "offered_per_second": offered,
        "seconds": round(overload["offered"] / offered, 1),
        "accepted_per_second": values["accepted, per second offered"],
        "worked_off_after_seconds": values["backlog worked off after, seconds"],
        "speed": _speed(overload),
    }


def _speed(phase: PhaseFigures) -> float:
    """How fast the cores were, as a share of the fastest that the run has seen: costs are kept as at full speed."""
    pace: Mapping[str, float] = phase["pace"]
    return round(pace["mean"] / pace["best"], 3)


def _busy_cores(spikes: Sequence[PhaseFigures], values: Sequence[Mapping[str, float]]) -> float:
    cores: list[float] = [
        value["CPU until all were accepted, ms"] * spike["accepted"] / spike["accept_seconds"] / 1_000
        for spike, value in zip(spikes, values, strict=True)
    ]
    return round(median(cores), 2)


def _accept_shares(spikes: Sequence[PhaseFigures], values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How the servers' work is divided, by what a spike has cost until all was accepted and what afterwards."""
    shares = []
    for spike, value in zip(spikes, values, strict=True):
        count, until = spike["accepted"], spike["accept_seconds"]
        received = sum(number for second, number in spike["curves"]["received"].items() if int(second) < until)
        later = count - min(received, count - 1)
        cpu, before = spike["cpu_ms"], value["CPU until all were accepted, ms"]
        delivery = (spike["cpu_ms_total"] - before) * count / later
        accepting = spike["cpu_ms_total"] - delivery - cpu["web"] - cpu["load"] - cpu["Redis"]
        shares.append(accepting / (cpu["MongoDB"] + cpu["RabbitMQ"]))
    share = round(min(0.9, max(0.1, median(shares))), 3)
    return {"MongoDB": share, "RabbitMQ": share}


def _fit(name: str, window_seconds: float, samples: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The costs, none below 0, whose squared relative errors over ``samples`` (rate, milliseconds) are least."""
    rows = [
        ((1 / cost, 1 / group_size(rate, window_seconds, full_group(name)) / cost, 1 / rate / cost), 1.0)
        for rate, cost in samples
        if cost
    ]
    found = [0.0, 0.0, 0.0]
    for _ in range(_ROUNDS):
        for index in range(3):
            others = [
                (row[index], target - sum(row[other] * found[other] for other in range(3) if other != index))
                for row, target in rows
            ]
            weight = sum(factor * factor for factor, _ in others)
            found[index] = max(0.0, sum(factor * rest for factor, rest in others) / weight)
    return dict(zip(("per_item_ms", "per_group_ms", "per_second_ms"), (round(each, 4) for each in found), strict=True))


def _phases(report: Mapping[str, Any], scenario: str) -> dict[str, list[PhaseFigures]]:
    found: dict[str, list[PhaseFigures]] = {}
    for outcome in report["outcomes"]:
        if outcome["scenario"] == scenario and outcome["subject"] == _SUBJECT:
            for name, phase in outcome["phases"].items():
                found.setdefault(name, []).append(phase)
    return found


def _values(report: Mapping[str, Any], scenario: str) -> list[Mapping[str, float]]:
    return [
        outcome["values"]
        for outcome in report["outcomes"]
        if outcome["scenario"] == scenario and outcome["subject"] == _SUBJECT
    ]


def text_of(report: Mapping[str, Any]) -> str:
    """The content of the file."""
    return json.dumps(costs_of(report), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), encoding="utf-8")
