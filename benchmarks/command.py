"""``python -m benchmarks``: how much WaveCom carries on this machine, beside a plain application of the same stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.reference.subject import Reference
from benchmarks.span_sink import traced
from benchmarks.target import measure_target
from harness import results, runner, scenarios
from harness.deployment import DeploymentError
from harness.display import Display
from harness.environment import own_settings
from harness.given_servers import ADDRESSES, MONGODB_URI
from harness.lock import alone_in
from harness.programs import mongo_server
from harness.report import Report, RunDescription
from harness.speed import SpeedProbe
from harness.subject import Subject, WaveCom
from harness.trial import Options
from wavecom.commands.parameters import chosen, interrupt_on_termination
from wavecom.errors import ConfigurationError
from wavecom.settings import default_home

CHECKOUT = Path(__file__).resolve().parents[1]

#: Where logs of what was started are, and reports that nobody wants elsewhere.
HOME = Path(os.environ.get("WAVECOM_HOME") or default_home()) / "bench"

#: Slow spells last for seconds: long enough to find a moment between two.
_CALIBRATION_SECONDS = 5.0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--only", multiple=True, metavar="NAME", help="Play this scenario; may be given several times.")
@click.option("--list", "is_list", is_flag=True, help="List the scenarios and stop.")
@click.option("--quick", is_flag=True, help="Everything in small, in a few minutes: does it work here?")
@click.option("--rate", type=click.FloatRange(1, 20_000), help="Notifications a second. Default: what holds.")
@click.option("--minutes", type=click.FloatRange(0.05, 1440), default=1.0, help="How long a rate must hold.")
@click.option(
    "--repeats", type=click.IntRange(1, 20), default=1, help="Play each scenario so often, save the long ones."
)
@click.option("--latency", type=click.FloatRange(0, 9000), default=50.0, help="Milliseconds to the provider's answer.")
@click.option("--failing", type=click.FloatRange(0, 1), default=0.0, help="Share of calls that it answers 503.")
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report. Default: bench/report in WAVECOM_HOME.",
)
@click.option(
    "--merge",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    metavar="FOLDER",
    help="Play nothing; make one report of the one in this folder and others. Give it for each.",
)
@click.option("--keys", type=click.FloatRange(0, 1), default=0.5, help="Share of requests with an Idempotency-Key.")
@click.option(
    "--traces",
    type=click.FloatRange(0, 1),
    help="Have WaveCom trace this share of notifications, for a collector that drops all. Default: no traces.",
)
@click.option(
    "--subject",
    "names",
    multiple=True,
    type=click.Choice(["wavecom", "reference"]),
    help="Measure only this one; may be given twice. Default: both.",
)
@click.option("--target", metavar="URL", help="Measure a deployment of yours by its API, with the key WAVECOM_API_KEY.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="With --target: be the provider (type http) that the deployment calls, and count what arrives.",
)
def main(names: tuple[str, ...], target: str | None, listen: str | None, traces: float | None, **asked: Any) -> None:
    """Measure what WaveCom and a plain application of the same stack carry, in the same run.

    Starts WaveCom's processes by the commands of its Procfile, a RabbitMQ, a Redis and a MongoDB-wire server, a
    recording provider and a load generator, each in processes of its own, and asks for a steady rate, a spike of 50,000
    and more. Every scenario ends with a reconciliation: what was accepted must have arrived at the provider exactly
    once. Costs are processor time per notification, split by process. WAVECOM_* variables set for this command
    reach the processes, so that settings can be compared.

    To measure with servers of yours set AMQP_URL, REDIS_URL or MONGODB_URI, as for `wavecom run`: an empty database
    and a virtual host of its own, because everything in them is deleted afterwards. They must be empty.
    One benchmark at a time in a home: a second one says who is there, and ends.

    \b
      python -m benchmarks                          everything, into docs/reports
      python -m benchmarks --only steady            the highest rate that holds for a minute
      python -m benchmarks --only steady --rate 833 --minutes 10
      python -m benchmarks --quick
      python -m benchmarks --only steady --rate 500 --subject wavecom --traces 0.01    what traces cost
      python -m benchmarks --only memory --report here     a part of it; every trial is kept as soon as it is played
      python -m benchmarks --merge here --merge there --report whole
      WAVECOM_API_KEY=... python -m benchmarks --target https://wavecom.example.com --rate 50 --minutes 2

    Exit code: 0 measured, 1 something was lost or sent twice, 2 it could not be run.
    """
    if target is not None:
        kept = {name: asked[name] for name in ("rate", "minutes", "keys", "folder")}
        measure_target(target, listen=listen, home=HOME, **kept)
    if listen is not None:
        raise click.UsageError("--listen goes with --target")
    is_whole = not (asked["only"] or asked["quick"] or asked["merge"] or names)
    if is_whole and asked["folder"] is None:
        asked["folder"] = CHECKOUT / "docs" / "reports"
    with traced(traces) as variables:
        subjects: list[Subject] = [WaveCom({**own_settings(), **variables}), Reference()]
        measured = [subject for subject in subjects if not names or subject.name.lower() in names]
        measure(measured, command=" ".join(["python -m benchmarks", *sys.argv[1:]]), **asked)


def measure(
    subjects: Sequence[Subject],
    *,
    command: str,
    only: tuple[str, ...],
    is_list: bool,
    quick: bool,
    rate: float | None,
    minutes: float,
    repeats: int,
    latency: float,
    failing: float,
    keys: float,
    folder: Path | None,
    merge: tuple[Path, ...] = (),
) -> None:
    """Play what was asked for with ``subjects``; ends the process."""
    if is_list:
        for scenario in scenarios.SCENARIOS:
            click.echo(f"{scenario.name:<12} {scenario.what}")
        return
    if merge:
        _merge(merge, folder or HOME / "report")
        return
    selected = chosen(only, scenarios.SCENARIOS)
    options = Options(
        is_quick=quick,
        rate=rate,
        minutes=minutes,
        latency_seconds=latency / 1000,
        failing=failing,
        keys=keys,
        addresses={name: os.environ[name] for name in ADDRESSES if os.environ.get(name)},
    )
    interrupt_on_termination()
    console = Console()
    try:
        with alone_in(HOME), Display(console) as display, SpeedProbe() as probe:
            display.begin("preparing")
            mongo_program = None if MONGODB_URI in options.addresses else mongo_server(display.progress)
            display.progress("finding out how fast the cores are")
            best = probe.calibrate(_CALIBRATION_SECONDS)
            display.line(f"While nothing runs the cores are at {best.speed:.2f} of their best, on average.")
            description = RunDescription(
                command=command,
                options=options,
                repeats=repeats,
                began=datetime.now(UTC),
                mongo_program=mongo_program,
            )
            report = Report(folder or HOME / "report", selected, description.facts)
            outcomes = runner.run(
                selected,
                subjects,
                replace(options, mongo_program=mongo_program),
                home=HOME,
                repeats=repeats,
                display=display,
                probe=probe,
                keep=report.write,
            )
            runner.show_goal_results(outcomes, display)
            display.line(f"report: {report.write(outcomes)}")
    except (DeploymentError, ConfigurationError) as error:
        console.print(f"The benchmark could not be run: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started has been ended.")
        sys.exit(130)
    sys.exit(0 if all(outcome.is_whole for outcome in outcomes) else 1)


def _merge(folders: Sequence[Path], folder: Path) -> None:
    """One report of several, in ``folder``, which may be one of them; ends the process when one can't be read."""
    try:
        facts, outcomes = results.merged([results.read(each) for each in folders])
    except ConfigurationError as error:
        click.echo(f"The reports could not be merged: {error}", err=True)
        sys.exit(2)
    order = [scenario.name for scenario in scenarios.SCENARIOS]
    outcomes.sort(key=lambda outcome: order.index(outcome.scenario))
    report = Report(folder, scenarios.SCENARIOS, lambda: facts)
    click.echo(f"report: {report.write(outcomes)}")
