"""``wavecom doctor``: what is wrong with this deployment, and the command that mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from wavecom.commands.console import console, print_json, table_of
from wavecom.core.diagnosis import CheckResult, Severity, worst
from wavecom.diagnosis.checks import CHECKS, run_checks
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.errors import SettingsError
from wavecom.observability import configure_logging
from wavecom.settings import Settings

_STYLES: Final[Mapping[Severity, str]] = {
    Severity.OK: "green",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("names", nargs=-1, type=click.Choice([each.name for each in CHECKS]), metavar="[CHECK]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--all", "shows_all", is_flag=True, help="What is well, too; with --json always.")
@click.option("--accounts", is_flag=True, help="Ask each provider about our account, too; sends nothing to anybody.")
@click.pass_context
def doctor(context: click.Context, names: Sequence[str], as_json: bool, shows_all: bool, accounts: bool) -> None:
    """Look at settings, servers and providers; say what is wrong, and the command that mends it.

    Reads and changes nothing, a message to ourselves through RabbitMQ and a probe key in Redis aside. What can't be
    reached hides nothing else. No secret, recipient or content is shown. To be run where a process of WaveCom runs,
    with its environment. Without CHECK it runs all: settings, mongodb, redis, rabbitmq, clocks, indexes, queues,
    deliveries, restore, providers, certificates, disk.

    \b
      wavecom doctor
      wavecom doctor queues indexes --all
      wavecom doctor --accounts --json | jq 'select(.severity != "ok")'

    \b
    Exit code: 0 no errors (warnings perhaps), 1 errors, 2 asked for wrongly.
    """
    results = _diagnose(names, accounts=accounts)
    if as_json:
        for result in results:
            print_json(asdict(result))
    else:
        _show(results, shows_all=shows_all)
    context.exit(int(worst(results) is Severity.ERROR))


def _diagnose(names: Sequence[str], *, accounts: bool) -> list[CheckResult]:
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        # Where the servers are is not known then: nothing else can be looked at. The message says what is wanted; to
        # unset the variable would leave a default, which is another fault.
        return [CheckResult("settings", each.where, Severity.ERROR, each.message) for each in error.problems]
    configure_logging(settings.log_level, "doctor")
    checks = [each for each in CHECKS if not names or each.name in names]
    return run_checks(DiagnosisContext(settings=settings, asks_accounts=accounts), checks)


def _show(results: Sequence[CheckResult], *, shows_all: bool) -> None:
    out = console()
    shown = [each for each in results if shows_all or each.severity is not Severity.OK]
    if shown:
        table = table_of("", "CHECK", "OF", "FOUND", "DO", whole=frozenset({"", "CHECK"}))
        for each in shown:
            row: tuple[Any, ...] = (each.severity.value, each.check, each.subject, each.text, each.remedy)
            table.add_row(*row, style=_STYLES[each.severity] if each.severity is not Severity.OK else None)
        out.print(table)
    counts = {severity: sum(each.severity is severity for each in results) for severity in Severity}
    out.print(
        f"{len(results)} looked at: {counts[Severity.OK]} well, {counts[Severity.WARNING]} warnings, "
        f"{counts[Severity.ERROR]} errors."
    )
