"""``wavecom migrate``: brings what an earlier release has stored into the form of this one, while WaveCom runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wavecom.commands.console import explaining_errors, operator_name, print_json
from wavecom.commands.parameters import counted
from wavecom.observability import configure_logging
from wavecom.services.migration import MigrationServices, migration_services
from wavecom.settings import Settings
from wavecom.storage.mongo.shard_key_migration import MigrationRefusedError, MigrationState, ShardKeyMigration


@click.command("migrate", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--dry-run", is_flag=True, help="Only say what there is to do; changes nothing.")
@click.option(
    "--rate", type=click.FloatRange(1, 100_000), default=2_000, show_default=True, metavar="N", help="Jobs a second."
)
@click.option("--drop-old-indexes", is_flag=True, help="Drop the indexes of 0.1, when no job needs them any more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def migrate(dry_run: bool, rate: float, drop_old_indexes: bool, as_json: bool) -> None:
    """Give the jobs that 0.1 has stored their shard key, so that MongoDB may be sharded (docs/mongodb.md).

    Run it when all processes are of this release. WaveCom goes on meanwhile. It may be interrupted: run it again for
    the rest. One runs at a time. Then, once no process of 0.1 will come back, --drop-old-indexes frees the room and the
    work that the two old unique indexes take; it waits for a minute, until every process knows.

    \b
    Exit code: 0 done, or nothing to do; 1 MongoDB is away, another migration runs, or a process of 0.1 still
    stores jobs; 2 asked for wrongly.
    """
    if dry_run and drop_old_indexes:
        raise click.UsageError("--dry-run already says which old indexes there are; leave --drop-old-indexes away.")
    migration = _open()
    with explaining_errors(), _refusals():
        state = migration.state()
        if dry_run:
            _print_state(state, as_json=as_json)
        elif drop_old_indexes:
            dropped = migration.drop_old_indexes(_say_wait)
            if as_json:
                print_json({"dropped": list(dropped)})
            else:
                click.echo(f"Dropped {' and '.join(dropped)}." if dropped else "There is no index of 0.1 to drop.")
        else:
            _run(migration, state, rate, as_json=as_json)


def _run(migration: ShardKeyMigration, state: MigrationState, rate: float, *, as_json: bool) -> None:
    if state.missing_indexes:
        click.echo(f"Building {', '.join(state.missing_indexes)}; on many jobs this takes a while.", err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("", total=state.without_shard_key)
        result = migration.run(jobs_per_second=rate, on_progress=lambda count: progress.advance(task, count))
    if as_json:
        print_json(asdict(result))
        return
    click.echo(
        f"{counted(result.migrated, 'job')} got a shard key; {counted(result.noted, 'idempotency key')} noted, "
        f"{counted(result.forgotten, 'note')} of purged jobs removed."
    )
    if state.old_indexes:
        click.echo("When no process of 0.1 will run again: wavecom migrate --drop-old-indexes")


def _print_state(state: MigrationState, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(state))
        return
    click.echo(
        f"{counted(state.without_shard_key, 'job')} would get a shard key; {state.with_idempotency_key} of them have "
        "an idempotency key, which would be noted."
    )
    if state.missing_indexes:
        click.echo(f"Would be built before: {', '.join(state.missing_indexes)}.")
    if state.old_indexes:
        click.echo(f"Of 0.1, until they are dropped: {', '.join(state.old_indexes)}.")
    if state.earlier_keys:
        click.echo(f"{counted(state.earlier_keys, 'idempotency key')} of jobs of 0.1 are noted.")


def _say_wait(seconds: float) -> None:
    click.echo(f"Waiting {seconds:.0f} s, until every process knows that no job needs them.", err=True)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except MigrationRefusedError as error:
        raise click.ClickException(str(error)) from error


def _open() -> ShardKeyMigration:
    root = click.get_current_context().find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        configure_logging(settings.log_level, "migrate")
        root.obj = migration_services(settings, operator_name())
        root.call_on_close(root.obj.close)
    services: MigrationServices = root.obj
    return services.migration
