"""``wavecom dead-letters``: look at jobs that failed for good, start them again, or put them aside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import click

from wavecom.commands.bulk_operations import bulk_options, print_operation, progress_bar
from wavecom.commands.console import console, explaining_errors, open_services, operator_name, print_json
from wavecom.commands.dead_letter_display import detail_of, print_dead_letters, print_detail, print_foreign_messages
from wavecom.commands.job_selection import JobChoice, choosing_jobs, exit_for_unknown_ids
from wavecom.commands.parameters import counted
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperation, BulkOptions, NotResumableError
from wavecom.core.dead_letters import (
    DeadLetterFilter,
    PagePosition,
    QueueBusyError,
    Selection,
)
from wavecom.core.job import Job, JobId
from wavecom.errors import BrokerError
from wavecom.services.operator import OperatorServices

_PAGE: Final = 500


@click.group("dead-letters", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def dead_letters() -> None:
    """Look at notifications that failed for good; start them again, or put them aside.

    A dead letter is a failed notification: MongoDB knows it, and the queue notifications.dead holds a message for it.
    Messages that nobody could understand lie in that queue, too: see --raw.

    \b
    Exit code: 0 done, 1 a server is away or a job is unknown, 2 asked for wrongly, 130 interrupted.
    Everything here may be interrupted and repeated without harm.
    """


_choosing = choosing_jobs(provider_help="Failed at this provider.", times_of="Failed", has_error_code=True)


# --- commands -----------------------------------------------------------------------------------------------------


@dead_letters.command("list")
@_choosing
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The newest N.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--raw", is_flag=True, help="Messages that RabbitMQ itself put there, because nobody understood them.")
def list_(services: OperatorServices, choice: JobChoice, limit: int, as_json: bool, raw: bool) -> None:
    """List dead letters, the newest first.

    Recipients are masked. With --raw: the messages in the queue that belong to no failed notification.
    """
    if raw:
        _refuse_choice(choice)
        messages, count = services.foreign_messages.first(limit)
        print_foreign_messages(messages, count, as_json=as_json)
        return
    selection = _selection(choice)
    jobs = _newest(services, selection, limit)
    print_dead_letters(jobs, as_json=as_json)
    if as_json:
        return
    if isinstance(selection, tuple):
        console().print(f"{len(jobs)} of {len(selection)} jobs found.")
        return
    count = services.dead_letters.expected(selection)
    console().print(f"{len(jobs)} of {count} shown." if count > len(jobs) else f"{count} in all.")
    unpublished = services.dead_letters.repository.unpublished()
    if unpublished:
        console().print(f"{unpublished} more failed; RabbitMQ has not yet confirmed their dead letters.")


@dead_letters.command()
@click.argument("job_id")
@click.option("--reveal", is_flag=True, help="With recipient, payload and metadata; leaves an audit entry.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
def show(job_id: str, reveal: bool, as_json: bool, operator: str) -> None:
    """Tell all about one notification, with its log.

    Recipient, payload and metadata are personal data: they are shown only when asked for.
    """
    services = open_services()
    with explaining_errors():
        job = services.jobs.get(JobId(job_id))
        if job is None:
            raise click.ClickException(
                f"There is no notification {job_id}. It may have been purged after its retention."
            )
        if reveal:
            services.dead_letters.reveal(job.job_id, operator)
        detail = detail_of(job, is_revealed=reveal)
        if as_json:
            print_json(detail)
            return
        print_detail(detail)


@dead_letters.command()
@_choosing
@bulk_options
@click.option("--accept-duplicate", is_flag=True, help="Those too that may have arrived already.")
def replay(
    services: OperatorServices, choice: JobChoice, options: BulkOptions, is_asking: bool, accept_duplicate: bool
) -> None:
    """Start failed notifications again, with all their attempts and a new deadline.

    Those that fail again meanwhile are not taken twice. A discarded one is replayed when named by its id. Those that
    ended as outcome_unknown under onUnknownOutcome "stop" may have arrived: they are left alone and counted, unless
    you accept that they arrive twice. Leaves an audit entry.
    """
    use_case = partial(services.dead_letters.replay, accepts_duplicate=accept_duplicate)
    _change(services, use_case, _selection(choice), options, is_asking, ("replay", "replayed"))


@dead_letters.command()
@_choosing
@bulk_options
@click.option("--raw", is_flag=True, help="Drop the messages that RabbitMQ itself put there.")
def discard(services: OperatorServices, choice: JobChoice, options: BulkOptions, is_asking: bool, raw: bool) -> None:
    """Put failed notifications aside: they stay failed, and lose their dead letter.

    With --raw: drop the messages in the queue that belong to no failed notification. Those are gone then. Leaves an
    audit entry.
    """
    if raw:
        _refuse_choice(choice)
        _discard_raw(services, options, is_asking)
        return
    _change(services, services.dead_letters.discard, _selection(choice), options, is_asking, ("discard", "discarded"))


@dead_letters.command()
@click.argument("audit_entry")
@bulk_options
@click.option("--accept-duplicate", is_flag=True, help="Those too that may have arrived already.")
def resume(audit_entry: str, options: BulkOptions, is_asking: bool, accept_duplicate: bool) -> None:
    """Go on with a replay or discard that was killed or interrupted, by the id of its audit entry.

    It takes the same filters or ids, from where the entry says that it has come to, and only what had failed when it
    began: what it replayed and has failed again is not replayed twice, as it would be if you ran the command again.
    Limit and pace are those given here. Leaves an audit entry of its own.
    """
    services = open_services()
    with explaining_errors():
        try:
            first = services.dead_letters.resumable(audit_entry)
            if is_asking:
                question = f"Go on with the {first.action} of {first.operator}, {first.state} with {first.done} done?"
                click.confirm(question, abort=True, err=True)
            with progress_bar(None) as on_progress:
                operation = services.dead_letters.resume(
                    first, options, on_progress, accepts_duplicate=accept_duplicate
                )
        except NotResumableError as error:
            raise click.ClickException(str(error)) from error
        _conclude(services, operation, "replayed" if first.action is AuditAction.REPLAY else "discarded")


# --- changes ------------------------------------------------------------------------------------------------------


def _selection(choice: JobChoice) -> Selection:
    return choice.job_ids or DeadLetterFilter(
        error_code=choice.error_code,
        provider=choice.provider,
        type=choice.channel,
        client=choice.client,
        failed_since=choice.since,
        failed_before=choice.until,
    )


def _refuse_choice(choice: JobChoice) -> None:
    if not choice.is_everything:
        raise click.UsageError("--raw is about messages that belong to no job: neither ids nor filters apply.")


def _change(
    services: OperatorServices,
    use_case: Callable[[Selection, BulkOptions, Callable[[BulkOperation], None]], BulkOperation],
    selection: Selection,
    options: BulkOptions,
    is_asking: bool,
    words: tuple[str, str],
) -> None:
    verb, participle = words
    expected = services.dead_letters.expected(selection, options.limit)
    if is_asking and expected:
        click.confirm(f"{verb.capitalize()} {counted(expected, 'notification')}?", abort=True, err=True)
    with progress_bar(expected) as on_progress:
        operation = use_case(selection, options, on_progress)
    _conclude(services, operation, participle)


def _conclude(services: OperatorServices, operation: BulkOperation, participle: str) -> None:
    print_operation(operation, participle)
    if operation.done and not operation.is_dry_run:
        _reconcile(services)
    if operation.unknown:
        exit_for_unknown_ids(operation.unknown)


def _reconcile(services: OperatorServices) -> None:
    try:
        services.reconciliation.run()
    except QueueBusyError:
        pass  # whoever is scanning the queue removes the dead letters, or does so ten seconds later
    except BrokerError as error:
        click.echo(f"{error} The messages leave notifications.dead by themselves when it is back.", err=True)


def _discard_raw(services: OperatorServices, options: BulkOptions, is_asking: bool) -> None:
    if is_asking:
        _, count = services.foreign_messages.first(0)
        if count:
            click.confirm(f"Drop {counted(count, 'message')} for good?", abort=True, err=True)
    print_operation(services.foreign_messages.discard(options), "dropped", "from queue")


def _newest(services: OperatorServices, selection: Selection, limit: int) -> list[Job]:
    repository = services.dead_letters.repository
    if isinstance(selection, tuple):
        return repository.find(selection)[:limit]
    jobs: list[Job] = []
    position: PagePosition | None = None
    while len(jobs) < limit:
        page, position = repository.page(selection, min(_PAGE, limit - len(jobs)), after=position, newest_first=True)
        jobs += page
        if position is None:
            break
    return jobs
