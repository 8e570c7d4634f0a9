"""What commands that change many jobs share: their options, their progress, and what they say at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wavecom.commands.console import console, operator_name, table_of
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.job import Job


def bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the commands that change something."""

    @click.option("--limit", type=click.IntRange(min=1), metavar="N", help="No more than N of them.")
    @click.option("--dry-run", is_flag=True, help="Only count them; changes nothing.")
    @click.option(
        "--rate", type=click.FloatRange(0.1, 10_000), default=50, show_default=True, metavar="N", help="A second."
    )
    @click.option("--yes", "-y", is_flag=True, help="Don't ask.")
    @click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
    @wraps(command)
    def with_options(
        *args: Any, limit: int | None, dry_run: bool, rate: float, yes: bool, operator: str, **arguments: Any
    ) -> Any:
        options = BulkOptions(operator=operator, rate_per_second=rate, limit=limit, is_dry_run=dry_run)
        is_asking = not (yes or dry_run) and sys.stdin.isatty()
        return command(*args, options=options, is_asking=is_asking, **arguments)

    return with_options


@contextmanager
def progress_bar(expected: int | None) -> Iterator[Callable[[BulkOperation], None]]:
    """A bar on standard error, where that is a terminal; yields what an operation reports its progress to."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=expected)
        yield lambda operation: progress.update(task, completed=operation.looked_at)


def print_operation(operation: BulkOperation, participle: str, whose: str = "provider") -> None:
    """How many were moved, by what they have in common, and the audit entry."""
    if operation.reasons:
        table = table_of("error" if whose == "provider" else "reason", whose, "count", whole=frozenset({"count"}))
        for (code, provider), count in operation.reasons.most_common():
            table.add_row(code, provider or "", str(count))
        console().print(table)
    would_be = "would be " if operation.is_dry_run else ""
    done_before = f", {operation.already_done} were done already or are not failed" if operation.already_done else ""
    in_doubt = f", {operation.in_doubt} left alone, because they may have arrived already" if operation.in_doubt else ""
    click.echo(f"{operation.done} {would_be}{participle}{done_before}{in_doubt}. Audit entry {operation.operation_id}.")
    if operation.in_doubt:
        click.echo("Add --accept-duplicate to send those all the same, or settle them: wavecom unconfirmed --help.")
    if operation.unpublished:
        click.echo(f"RabbitMQ did not take {operation.unpublished} of them yet; the sweep publishes them when it does.")


def masked_recipient_of(job: Job) -> str:
    """The recipient as lists show it."""
    from wavecom.web.dashboard.formatting import masked_recipient

    return masked_recipient(job)
