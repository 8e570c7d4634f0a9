"""``wavecom unconfirmed``: what nobody knows to be sent or not sent; settle it, or send it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import click

from wavecom.commands.bulk_operations import bulk_options, masked_recipient_of, print_operation, progress_bar
from wavecom.commands.console import console, print_json, table_of, time_text
from wavecom.commands.job_selection import JobChoice, choosing_jobs, exit_for_unknown_ids
from wavecom.commands.parameters import counted
from wavecom.core.bulk_operations import BulkOptions
from wavecom.core.job import Job, JobId
from wavecom.core.ports import Cursor, JobFilter
from wavecom.core.states import Status
from wavecom.services.operator import OperatorServices

_PAGE = 200


@click.group("unconfirmed", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def unconfirmed() -> None:
    """Look at notifications of which nobody can tell whether they were sent; settle them, or send them again.

    With onUnknownOutcome "stop" an attempt without a clear answer ends the sending: better none than two. Without a
    receipt such a notification ends as failed after 72 hours. Before that you may find out at the provider and settle
    it, or decide that two are better than none.

    \b
    What the gateway "sms-a" took this morning, as its console shows:
      wavecom unconfirmed list --provider sms-a --since 6h
      wavecom unconfirmed settle delivered --reason "console: delivered" --provider sms-a --since 6h

    \b
    Exit code: 0 done, 1 a server is away or a job is unknown, 2 asked for wrongly, 130 interrupted.
    Everything here may be interrupted and repeated without harm. What changes something leaves an audit entry.
    """


_choosing = choosing_jobs(provider_help="Tried at this provider.", times_of="Accepted")


@unconfirmed.command("list")
@_choosing
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The newest N.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(services: OperatorServices, choice: JobChoice, limit: int, as_json: bool) -> None:
    """List them, the newest first. Recipients are masked."""
    found = _found(services, choice)
    table = table_of(
        "accepted (UTC)", "job", "type", "client", "recipient", "provider", "fails at", whole=frozenset({"job"})
    )
    shown = 0
    for job in islice(found, limit):
        shown += 1
        if as_json:
            print_json(
                {
                    "jobId": job.job_id,
                    "type": job.type.value,
                    "client": job.client,
                    "to": masked_recipient_of(job),
                    "status": job.status.value,
                    "provider": job.provider,
                    "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
                    "createdAt": job.created_at,
                    "failsAt": job.due_at,
                }
            )
            continue
        table.add_row(
            time_text(job.created_at),
            job.job_id,
            job.type.value,
            job.client,
            masked_recipient_of(job),
            job.provider or "",
            time_text(job.due_at),
        )
    if not as_json:
        console().print(table)
        console().print(f"The newest {shown}; there are more." if next(found, None) else f"{shown} in all.")


@unconfirmed.command()
@_choosing
@bulk_options
@click.option("--accept-duplicate", is_flag=True, help="Needed: whoever has the message already gets it twice.")
def retry(
    services: OperatorServices, choice: JobChoice, options: BulkOptions, is_asking: bool, accept_duplicate: bool
) -> None:
    """Send them again, with all their attempts and a new deadline, although they may have arrived.

    The provider gets a new idempotency key.
    """
    if not accept_duplicate:
        raise click.UsageError("They may have arrived. Add --accept-duplicate if two are better than none.")
    job_ids = tuple(job.job_id for job in islice(_found(services, choice), options.limit))
    _ask(is_asking, f"Send {counted(len(job_ids), 'notification')} again, perhaps for the second time?", job_ids)
    with progress_bar(len(job_ids)) as on_progress:
        operation = services.dead_letters.replay(job_ids, options, on_progress, accepts_duplicate=accept_duplicate)
    print_operation(operation, "queued again")


@unconfirmed.command()
@click.argument("outcome", type=click.Choice(["delivered", "failed"]))
@_choosing
@bulk_options
@click.option("--reason", metavar="TEXT", required=True, help="How you know; stands in their logs, which clients read.")
def settle(
    services: OperatorServices, choice: JobChoice, outcome: str, options: BulkOptions, is_asking: bool, reason: str
) -> None:
    """Close them as OUTCOME (delivered or failed), because you have found out.

    What is settled as failed is a dead letter and can be replayed.
    """
    if not reason.strip() or len(reason) > 500 or not reason.isprintable():
        raise click.BadParameter("A reason has 1 to 500 printable characters.", param_hint="--reason")
    job_ids = tuple(job.job_id for job in islice(_found(services, choice), options.limit))
    _ask(is_asking, f"Settle {counted(len(job_ids), 'notification')} as {outcome}?", job_ids)
    with progress_bar(len(job_ids)) as on_progress:
        operation = services.dead_letters.settle(
            job_ids, options, is_delivered=outcome == "delivered", reason=reason.strip(), on_progress=on_progress
        )
    print_operation(operation, f"settled as {outcome}")


def _found(services: OperatorServices, choice: JobChoice) -> Iterator[Job]:
    """Those that were meant, the newest first. Ends the command when an id is unknown."""
    if choice.job_ids:
        return _named(services, choice.job_ids)
    where = JobFilter(
        client=choice.client,
        statuses=frozenset({Status.UNCONFIRMED}),
        type=choice.channel,
        provider=choice.provider,
        created_since=choice.since,
        created_before=choice.until,
    )
    return _all(services, where)


def _all(services: OperatorServices, where: JobFilter) -> Iterator[Job]:
    after: Cursor | None = None
    while True:
        page = services.jobs.search(where, _PAGE, after)
        yield from page.jobs
        after = page.next
        if after is None:
            return


def _named(services: OperatorServices, job_ids: Sequence[JobId]) -> Iterator[Job]:
    wanted = tuple(dict.fromkeys(job_ids))
    jobs = services.dead_letters.repository.find(wanted)
    unknown = set(wanted) - {job.job_id for job in jobs}
    if unknown:
        exit_for_unknown_ids(len(unknown))
    others = [job for job in jobs if job.status is not Status.UNCONFIRMED]
    if others:
        click.echo(f"Left alone, because not unconfirmed: {len(others)}, such as {others[0].job_id}.", err=True)
    return iter([job for job in jobs if job.status is Status.UNCONFIRMED])


def _ask(is_asking: bool, question: str, job_ids: tuple[JobId, ...]) -> None:
    if is_asking and job_ids:
        click.confirm(question, abort=True, err=True)
