"""Alert rules, board and runbooks: each metric, label and command in them is one that there is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.documented_commands import check_command, words_of
from tests.documented_metrics import documented_metrics
from wavecom.delivery_metrics import ACCEPTED
from wavecom.local.programs import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
BOARD = json.loads((ROOT / "deploy/grafana/wavecom.json").read_text(encoding="utf-8"))
RUNBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs/runbooks").glob("Wavecom*.md")}
SECTIONS = ["Symptom", "Look here", "Decide", "Act"]

#: What Prometheus adds to every series, and to those of a histogram.
OF_PROMETHEUS = {"instance", "le"}
#: Programs that runbooks have an operator run beside ours.
OTHER_PROGRAMS = {
    "chronyc",
    "curl",
    "mongosh",
    "rabbitmq-diagnostics",
    "redis-cli",
    "systemctl",
    "timedatectl",
    "uptime",
}


def blocks(page: str, language: str) -> list[str]:
    """The lines of all code blocks of a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines() if line]


def expressions() -> Iterator[Any]:
    for number, rule in enumerate(RULES):
        yield pytest.param(rule["expr"], id=f"rule {number} {rule.get('alert') or rule['record']}")
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield pytest.param(target["expr"], id=f"panel {panel['title']} {target['refId']}")
    for name, page in RUNBOOKS.items():
        for number, line in enumerate(blocks(page, "promql")):
            yield pytest.param(line, id=f"runbook {name} {number}")


def family(series: str) -> str | None:
    """The documented metric that a series belongs to; None: it belongs to none."""
    known = documented_metrics()
    if series in known:
        return series if known[series].type != "histogram" else None
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if base in known and known[base].type == "histogram" else None


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_names_metrics_and_labels_that_there_are(expression: str) -> None:
    series = re.findall(r"(?<![\w:])(wavecom_\w+)(?:\{([^}]*)\})?", expression)
    recorded = set(re.findall(r"wavecom:\w+:\w+", expression))

    assert series or recorded or expression == "rate(process_cpu_seconds_total[5m])"
    assert recorded <= {rule.get("record") for rule in RULES}
    for name, selector in series:
        metric = family(name)
        assert metric is not None, name
        used = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
        assert used <= {*documented_metrics()[metric].labels, *OF_PROMETHEUS}, name
    grouped = {label.strip() for found in re.findall(r"\bby \(([^)]*)\)", expression) for label in found.split(",")}
    of_all = {label for name, _ in series for label in documented_metrics()[str(family(name))].labels}
    assert grouped <= of_all | OF_PROMETHEUS


def test_bounds_of_histograms_in_rules_are_bounds_that_they_have() -> None:
    ACCEPTED.observe_many([(("sms", "high"), 0.0)])
    [histogram] = ACCEPTED.collect()
    bounds = {sample.labels["le"] for sample in histogram.samples if "le" in sample.labels}

    used = {bound for rule in RULES for bound in re.findall(r'le="([^"]+)"', rule["expr"])}

    assert used == {"5.0", "300.0"}
    assert used <= bounds


def test_every_alert_has_its_runbook_and_every_runbook_an_alert() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"

    assert set(RUNBOOKS) == {alert["alert"] for alert in ALERTS}
    index = (ROOT / "docs/runbooks/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((Wavecom\w+)\.md\)", index)) == set(RUNBOOKS)


def test_every_alert_is_fired_by_a_test_for_promtool() -> None:
    tests = (ROOT / "deploy/prometheus/alerts_test.yaml").read_text(encoding="utf-8")

    assert set(re.findall(r'alertname="(\w+)", alertstate="firing"', tests)) == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_a_runbook_has_its_parts_in_order_and_commands_that_there_are(name: str) -> None:
    page = RUNBOOKS[name]
    commands = [words_of(line) for line in blocks(page, "sh")]
    acts = blocks(page.split("## Act\n")[1], "sh")

    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert page.startswith(f"# {name}\n")
    assert acts
    for words in commands:
        if words[0] == "wavecom":
            check_command(words)
        else:
            assert words[0] in OTHER_PROGRAMS, words[0]
    for linked in re.findall(r"\]\((\w+)\.md\)", page):
        assert linked in RUNBOOKS


def starts() -> Iterator[Any]:
    for name, page in RUNBOOKS.items():
        for line in blocks(page, "sh"):
            if words_of(line)[:2] == ["wavecom", "start"]:
                yield pytest.param(line, id=f"{name}: {line}")


#: Processes that are nodes of Celery.
NODES = {program.name for program in PROGRAMS if " -n " in program.command}


@pytest.mark.parametrize("line", list(starts()))
def test_a_worker_that_a_page_starts_beside_others_has_a_name_of_its_own_and_the_settings_of_all(line: str) -> None:
    """The environment file says what a process is set to; of two nodes with one name on a host one is refused."""
    *variables, _, _, process = shlex.split(line)
    given = dict(variable.split("=", 1) for variable in variables)

    # Units are called as the process is, or as the process with an instance after it (worker1).
    assert given == ({"HONCHO_PROCESS_NAME": f"{process}.extra"} if process in NODES else {})


def test_a_page_that_starts_workers_is_found() -> None:
    assert len(list(starts())) > 5
    assert sorted(NODES) == ["ops", "worker", "worker-high"]


@pytest.mark.parametrize("process", sorted(NODES))
def test_the_alert_for_missing_processes_knows_nodes_by_all_their_names(process: str) -> None:
    [rule] = [rule for rule in ALERTS if rule["alert"] == "WavecomProcessMissing"]
    patterns = {
        name: pattern
        for pattern, name in re.findall(
            r'absent\(wavecom_process_info\{process=~?"([^"]+)"\}\), "process", "([^"]+)", "", ""\)', rule["expr"]
        )
    }

    assert set(patterns) == NODES | {"web"}
    for name in (process, f"{process}.1", f"{process}1", f"{process}.extra", "celery"):
        assert re.fullmatch(patterns[process], name), name
    for other in NODES - {process}:
        assert re.fullmatch(patterns[process], other) is None


def test_what_is_accepted_is_held_against_the_same_figures_in_the_alert_and_on_the_board() -> None:
    """Replays count on both sides or on neither: ``acceptance_to_provider`` has first lives alone."""
    [rule] = [rule for rule in ALERTS if rule["alert"] == "WavecomNothingReachesProviders"]
    panels = {panel["title"]: panel for panel in BOARD["panels"]}
    shown = [panels[title]["targets"][0]["expr"] for title in ("Accepted", "Taken by providers")]

    series = r"wavecom_\w+\{[^}]*\}"
    assert re.findall(series, rule["expr"]) == re.findall(series, " ".join(shown))
    assert "wavecom_acceptance_to_provider" not in rule["expr"]


@pytest.mark.parametrize(
    "line",
    ["wavecom providers open gateway", "wavecom start beats", "wavecom dead-letters list --code x", "wavecom doctor x"],
)
def test_a_command_that_there_is_not_would_be_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        check_command(words_of(line))
