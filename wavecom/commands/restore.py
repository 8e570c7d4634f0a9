"""``wavecom restore``: what is to be done after MongoDB was restored from an older copy, before anything is sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from wavecom.commands.bulk_operations import progress_bar
from wavecom.commands.console import console, explaining_errors, operator_name, print_json, table_of, time_text
from wavecom.commands.parameters import When, at, counted, moment
from wavecom.core.bulk_operations import BulkOptions
from wavecom.core.store_recovery import LostJob, NotOlderError, Recovery, WorkersRunError
from wavecom.observability import configure_logging
from wavecom.services.store_recovery import RecoveryServices, recovery_services
from wavecom.settings import Settings

_SHOWN = 10


@click.command("restore", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--dry-run", is_flag=True, help="Only say what there is to do; changes nothing.")
@click.option(
    "--copied-at",
    type=moment,
    metavar="TIME",
    help="When the copy was made: for a MongoDB of which nothing says that it is older, because Redis was lost, too.",
)
@click.option(
    "--forget-all-answers",
    is_flag=True,
    help="Accept repetitions of lost requests although they may have been sent: two are better than none.",
)
@click.option(
    "--lost",
    "lost_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the lost notifications here, a JSON object a line.",
)
@click.option(
    "--rate", type=click.FloatRange(1, 100_000), default=2_000, show_default=True, metavar="N", help="A second."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
@click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
def restore(
    dry_run: bool,
    copied_at: When | None,
    forget_all_answers: bool,
    lost_file: Path | None,
    rate: float,
    as_json: bool,
    operator: str,
) -> None:
    """Settle a MongoDB that was restored from an older copy, beside a RabbitMQ and a Redis that live on.

    As long as this has not run nothing is sent: every worker notices that MongoDB is older than it was. Stop the
    workers, run this, start them again. What the copy holds as open may have been sent since: it becomes unconfirmed,
    for you to settle or to send again (wavecom unconfirmed). What was accepted after the copy is lost: it is listed as
    far as RabbitMQ and Redis know of it, and its messages are removed. Sessions of the pages end. It may be
    interrupted and run again.

    \b
      wavecom restore --dry-run
      wavecom restore --lost lost.jsonl
      wavecom unconfirmed list

    \b
    Exit code: 0 done, or MongoDB is not older; 1 a server is away, or workers run; 2 asked for wrongly.
    """
    with explaining_errors():
        services = _open()
        options = BulkOptions(operator=operator, rate_per_second=rate, is_dry_run=dry_run)
        try:
            with progress_bar(None) as on_progress:
                recovery = services.recovery.recover(
                    options,
                    copied_at=at(copied_at, services.clock.now()),
                    forgets_all_answers=forget_all_answers,
                    on_progress=on_progress,
                )
        except NotOlderError as error:
            click.echo(f"{error} If Redis was lost, too, say of when the copy is: --copied-at TIME.")
            return
        except WorkersRunError as error:
            raise click.ClickException(str(error)) from error
    if lost_file is not None:
        lost_file.write_bytes(b"".join(orjson.dumps(_lost_line(each)) + b"\n" for each in recovery.lost))
    if as_json:
        print_json(_summary(recovery))
    else:
        _show(recovery, lost_file)


def _lost_line(lost: LostJob) -> dict[str, Any]:
    return {"jobId": lost.job_id, "acceptedAt": lost.accepted_at, "isUnsent": lost.is_unsent}


def _summary(recovery: Recovery) -> dict[str, Any]:
    held = recovery.held
    found = asdict(recovery)
    return {
        "copiedAt": recovery.copied_at,
        "lostUntil": recovery.lost_until,
        "dryRun": recovery.is_dry_run,
        "held": 0 if held is None else held.done,
        "notInDoubt": 0 if held is None else held.already_done,
        "auditEntry": None if held is None else held.operation_id,
        "lost": len(recovery.lost),
        "lostUnsent": sum(each.is_unsent for each in recovery.lost),
        "answersForgotten": found["answers_forgotten"],
        "answersLeft": found["answers_left"],
        "sessionsEnded": found["sessions_ended"],
    }


def _show(recovery: Recovery, lost_file: Path | None) -> None:
    would = "would be " if recovery.is_dry_run else ""
    until = time_text(recovery.lost_until) or "an unknown time"
    click.echo(f"The copy is of {time_text(recovery.copied_at)} UTC; what happened from then until {until} is lost.")
    if recovery.held is not None:
        held = recovery.held
        click.echo(
            f"{counted(held.done, 'notification')} {would}put aside as unconfirmed, because they may have been sent "
            f"since; {held.already_done} stay as they are. Audit entry {held.operation_id}."
        )
    unsent = sum(each.is_unsent for each in recovery.lost)
    click.echo(
        f"{counted(len(recovery.lost), 'notification')} that RabbitMQ or Redis know of are lost; {unsent} of them were "
        f"not sent, and their messages {would}removed."
    )
    if recovery.lost and lost_file is None:
        table = table_of("accepted (UTC)", "job", "sent", whole=frozenset({"job"}))
        for each in recovery.lost[:_SHOWN]:
            table.add_row(time_text(each.accepted_at), each.job_id, "no" if each.is_unsent else "perhaps")
        console().print(table)
        if len(recovery.lost) > _SHOWN:
            click.echo(f"… and {len(recovery.lost) - _SHOWN} more: --lost FILE writes them all.")
    click.echo(
        f"{counted(recovery.answers_forgotten, 'answer')} to repeated requests {would}forgotten, "
        f"{recovery.answers_left} left, because what they promised may have been sent."
    )
    if recovery.is_dry_run:
        click.echo("Nothing was changed. Sessions of the pages would end.")
    else:
        click.echo(f"{counted(recovery.sessions_ended, 'session')} of the pages ended. Start the workers; then: ")
        click.echo("  wavecom unconfirmed list")


def _open() -> RecoveryServices:
    root = click.get_current_context().find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        configure_logging(settings.log_level, "restore")
        root.obj = recovery_services(settings)
        root.call_on_close(root.obj.close)
    services: RecoveryServices = root.obj
    return services
