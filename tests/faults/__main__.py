"""``python -m tests.faults``: the fault drill."""

from __future__ import annotations

import random
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from harness.control import CHECKOUT
from harness.release import Release, ReleaseError
from tests.faults import cluster_scenarios, drill, programs, release_scenarios, report, scenarios
from tests.faults.display import Display
from tests.faults.drill import ScenarioResult, Size
from tests.faults.plan import DrillError
from tests.faults.scenarios import Scenario
from wavecom.commands.parameters import chosen, interrupt_on_termination
from wavecom.errors import ConfigurationError

QUICK = Size(notifications=300, rate=60, pace=0.35)
REPORTS = CHECKOUT / "docs" / "reports"
HOME = CHECKOUT / "var" / "faults"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--only", multiple=True, metavar="NAME", help="Run this scenario; may be given several times.")
@click.option("--list", "is_list", is_flag=True, help="List the scenarios and stop.")
@click.option("--cluster", "is_cluster", is_flag=True, help="The scenarios on three RabbitMQ nodes, and no others.")
@click.option(
    "--from",
    "revision",
    metavar="REVISION",
    help="Play the upgrade from this revision of the repository, and the way back to it, in place of everything else.",
)
@click.option("--seed", type=int, help="Repeat the run that printed this number. Default: a new one.")
@click.option("--quick", is_flag=True, help="300 notifications each and shorter faults, for trying changes out.")
@click.option("--rate", type=click.FloatRange(1, 2000), help="Notifications a second. Default: 110.")
@click.option("--verbose", is_flag=True, help="Tell everything that is broken and restarted, as it happens.")
@click.option("--stop-at-failure", is_flag=True, help="Stop after the first scenario that breaks a promise.")
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report. Default: docs/reports for a whole run, var/faults/report for a part of it.",
)
def main(
    only: tuple[str, ...],
    is_list: bool,
    is_cluster: bool,
    revision: str | None,
    seed: int | None,
    quick: bool,
    rate: float | None,
    verbose: bool,
    stop_at_failure: bool,
    folder: Path | None,
) -> None:
    """Break everything under load, let it heal, and hold the books against each other.

    Each scenario starts WaveCom's real processes on servers of their own, with a proxy before each server, a
    recording provider behind and clients in front. At least 2,000 notifications are submitted, 110 a second, while
    processes are killed, servers taken away, networks frozen. Then everything must settle, and a reconciliation is made
    from what clients were told, what MongoDB holds, what the provider recorded and what lies in the dead-letter queue:
    nothing accepted may be lost, nothing sent twice without saying so, nothing be left waiting.

    \b
      python -m tests.faults                                 everything; about an hour
      python -m tests.faults --only kill-workers --verbose   one scenario, with all that happens
      python -m tests.faults --quick                         everything in small; for trying out
      python -m tests.faults --cluster --rate 60             the losses of a node of three; about half an hour
      python -m tests.faults --only mixed --seed 4711        once more what seed 4711 drew
      python -m tests.faults --from v0.1.0                   upgrade from that release and back, under load
      WAVECOM_FAST_PATHS=0 python -m tests.faults --quick    with libraries' documented ways only (docs/celery.md)

    WAVECOM_* of the environment hold for the processes under test, but for what the drill decides itself.

    Needs rabbitmq-server and redis-server, a MongoDB (mongod on PATH, or secantusd-rs, which is built with cargo when
    it is missing, or one named in WAVECOM_MONGO_SERVER) and, for the clocks, libfaketime, which is installed
    when we may. Evidence and logs of each scenario stay in var/faults/NAME. Ctrl-C ends everything that was started.

    Exit code: 0 every promise kept, 1 a promise broken, 2 the drill itself could not be run.
    """
    if is_cluster and revision is not None:
        raise click.UsageError("--cluster and --from are two drills: give one of them")
    usual = scenarios.SCENARIOS
    if is_cluster:
        usual = cluster_scenarios.SCENARIOS
    elif revision is not None:
        usual = release_scenarios.SCENARIOS
    if is_list:
        for scenario in usual:
            click.echo(f"{scenario.name:<24} {scenario.what}")
        return
    selected = chosen(only, usual, [scenarios.SHORT] if usual is scenarios.SCENARIOS else [])
    size = QUICK if quick else Size()
    if rate is not None:
        size = Size(size.notifications, rate, size.pace)
    whole = not only and not quick and revision is None
    seed = random.SystemRandom().randrange(1, 1_000_000) if seed is None else seed
    interrupt_on_termination()
    console = Console()
    try:
        with Display(console, is_talkative=verbose) as display:
            release = None if revision is None else Release.check_out(revision, HOME / "releases")
            folder = folder or (REPORTS if whole else HOME / "report")
            is_good = _Run(selected, size, seed, display, folder, release).run(stop_at_failure=stop_at_failure)
    except (DrillError, ReleaseError, ConfigurationError) as error:
        console.print(f"The drill could not be run: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("Interrupted; everything that was started has been ended.")
        sys.exit(130)
    sys.exit(0 if is_good else 1)


class _Run:
    def __init__(
        self,
        chosen: list[Scenario],
        size: Size,
        seed: int,
        display: Display,
        folder: Path,
        other_release: Release | None,
    ) -> None:
        self._chosen = chosen
        self._size = size
        self._seed = seed
        self._display = display
        self._folder = folder
        self._other_release = other_release

    def run(self, *, stop_at_failure: bool) -> bool:
        """Whether every promise was kept."""
        began = datetime.now(UTC)
        display = self._display
        display.line(f"seed {self._seed}, {len(self._chosen)} scenarios, {self._size.rate:g} notifications a second")
        display.begin("preparing")
        mongo_program = programs.mongo_server(display.progress)
        needs_clock = any(scenario.fake_clock_of for scenario in self._chosen)
        faketime = programs.faketime_library(display.line) if needs_clock else None
        outcomes: list[ScenarioResult] = []
        for number, scenario in enumerate(self._chosen, 1):
            display.begin(f"[{number}/{len(self._chosen)}] {scenario.name}")
            home = HOME / scenario.name
            shutil.rmtree(home, ignore_errors=True)
            outcome = drill.run(
                scenario,
                home,
                size=self._size,
                seed=self._seed,
                mongo_program=mongo_program,
                faketime_library=faketime,
                other_release=self._other_release,
                say=display.say,
                progress=display.progress,
            )
            outcomes.append(outcome)
            display.scenario_ended(outcome)
            for data in ("rabbitmq", "redis", "mongodb"):
                shutil.rmtree(home / data, ignore_errors=True)
            description = report.RunDescription(
                command=" ".join(["python -m tests.faults", *sys.argv[1:]]),
                seed=self._seed,
                size=self._size,
                began=began,
                mongo_program=mongo_program,
            )
            page = report.write(self._folder, outcomes, description)
            if stop_at_failure and not outcome.is_good:
                break
        good = sum(outcome.is_good for outcome in outcomes)
        display.line(f"{good} of {len(outcomes)} scenarios kept every promise; report: {page}")
        return good == len(outcomes)


if __name__ == "__main__":
    main()
