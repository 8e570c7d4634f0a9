"""``wavecom capacity``: figures with their arithmetic, and docs/scaling.md says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.costs import costs_of, text_of, windows_in_words
from wavecom.cli import main
from wavecom.commands.capacity import measured_costs
from wavecom.core.costs import MeasuredCosts
from wavecom.core.windows import Windows

REPOSITORY = Path(__file__).parents[3]
SIZES = ["50000/min", "500000/min", "5000000/min", "50000000/min"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["capacity", *arguments])


def plan_of(size: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run("--rate", size, "--latency", "80ms", "--retention", "30d", "--receipts", "2", "--json").output
    )
    return found


def test_the_costs_are_those_of_the_published_report() -> None:
    """``python -m harness.costs docs/reports/performance.json`` writes them anew."""
    report = json.loads((REPOSITORY / "docs/reports/performance.json").read_text(encoding="utf-8"))
    kept = REPOSITORY / "wavecom/commands/measured_costs.json"

    assert kept.read_text(encoding="utf-8") == text_of(report)


def test_costs_are_reckoned_with_the_windows_of_the_code_that_was_measured() -> None:
    report = json.loads((REPOSITORY / "docs/reports/performance.json").read_text(encoding="utf-8"))
    measured = Windows(accept=0.005, claim=0.0025, record=0.025)
    report["circumstances"]["windows"] = windows_in_words(measured)

    costs = MeasuredCosts.of(costs_of(report))

    assert costs.windows == measured
    # Told of shorter windows, the same figures must come of smaller groups.
    assert costs.groups["web"].per_group_ms < measured_costs().groups["web"].per_group_ms


def test_each_figure_has_its_arithmetic() -> None:
    result = run("--rate", "50000/min", "--latency", "80ms", "--receipts", "2")

    assert result.exit_code == 0
    for words in (
        "web processes",
        "queue partitions",
        "storage",
        "connections to MongoDB",
        "the disk of a replica set",
    ):
        assert words in result.output
    assert "833/s x (1 + 2 receipts) / (2,000/s x 0.67), and 1" in result.output
    assert measured_costs().source["date"] in result.output


def test_the_simulated_share_of_one_web_process_is_told() -> None:
    played = json.loads(run("--rate", "100/s", "--json", "--simulate").output)["simulated"]

    assert played["rate"] == 100
    assert 0 < played["acceptP50Ms"] <= played["acceptP95Ms"] < 100
    assert played["waitingAfterOutage"] > 0


@pytest.mark.parametrize("size", SIZES)
def test_the_guide_has_the_figures_of_each_size(size: str) -> None:
    guide = (REPOSITORY / "docs/scaling.md").read_text(encoding="utf-8")
    needs = {each["what"]: each["amount"] for each in plan_of(size)["needs"]}
    names = ("web processes", "workers", "cores", "queue partitions", "shards")
    figures = [f"{needs[name]:,.0f}" for name in names]
    storage = f"{needs['storage']:,.1f} TB" if needs["storage"] < 100 else f"{needs['storage']:,.0f} TB"

    assert f"| {size.removesuffix('/min')} | {' | '.join([*figures, storage])} |" in guide.replace("`", "")


def test_the_guide_has_the_connections_of_a_large_deployment() -> None:
    guide = (REPOSITORY / "docs/scaling.md").read_text(encoding="utf-8")
    needs = {each["what"]: each["amount"] for each in plan_of("5000000/min")["needs"]}

    assert f"MongoDB ({needs['connections to MongoDB']:,.0f} at most)" in guide


def test_the_guide_has_each_limit() -> None:
    guide = (REPOSITORY / "docs/scaling.md").read_text(encoding="utf-8")

    for limit in plan_of("50000/min")["limits"]:
        assert f"| {limit['what']} | {limit['ratePerSecond']:,.0f} |" in guide


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rate", "fast"),
        ("--rate", "0/s"),
        ("--rate", "50000"),
        ("--latency", "soon"),
        ("--latency", "0ms"),
        ("--retention", "-1d"),
        ("--retention", "0d"),
        ("--retention", "36501d"),
    ],
)
def test_what_can_not_be_read_is_named_with_an_example(option: str, value: str) -> None:
    result = run("--rate", "1/s", option, value)

    assert result.exit_code == 2
    assert f"'{option}'" in result.output
    assert f"'{value}' is no" in result.output
    assert "such as" in result.output
