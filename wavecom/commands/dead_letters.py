"""``wavecom dead-letters``: look at jobs that failed for good, start them again, or put them aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Final

import click
import orjson
from rich.table import Table
from rich.text import Text

from wavecom.commands.bulk_operations import changing, counted, masked_recipient_of, print_operation, progress_bar
from wavecom.commands.console import (
    UNAVAILABLE,
    console,
    open_services,
    print_json,
    said_in_words,
    table_of,
    time_text,
    user,
)
from wavecom.commands.parameters import When, at, moment
from wavecom.core.audit import BulkOperation
from wavecom.core.dead_letters import (
    BulkOptions,
    DeadLetterFilter,
    PagePosition,
    QueueBusyError,
    QueuedDeadLetter,
    Selection,
)
from wavecom.core.job import Channel, Job, JobId
from wavecom.errors import BrokerError
from wavecom.services.operator import OperatorServices

_PAGE: Final = 500
_SHOWN_BYTES: Final = 60


@click.group("dead-letters", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def dead_letters() -> None:
    """Look at notifications that failed for good; start them again, or put them aside.

    A dead letter is a failed notification: MongoDB knows it, and the queue notifications.dead holds a message for it.
    Messages that nobody could understand lie in that queue, too: see --raw.

    \b
    Exit code: 0 done, 1 a server is away or a job is unknown, 2 asked for wrongly, 130 interrupted.
    Everything here may be interrupted and repeated without harm.
    """


# --- options ------------------------------------------------------------------------------------------------------


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments and options that say which dead letters are meant; the command gets them as ``selection``."""

    @click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
    @click.option("--error-code", metavar="CODE", help="Failed for this reason (rejected, attempts_exhausted, ...).")
    @click.option("--provider", metavar="NAME", help="Failed at this provider.")
    @click.option("--type", "channel", type=click.Choice([each.value for each in Channel]), help="Of this channel.")
    @click.option("--client", metavar="NAME", help="Of this client.")
    @click.option("--since", type=moment, metavar="TIME", help="Failed then or later: 2h, 3d, 2026-03-14T09:00Z.")
    @click.option("--until", type=moment, metavar="TIME", help="Failed before then.")
    @wraps(command)
    def with_selection(
        job_ids: tuple[str, ...],
        error_code: str | None,
        provider: str | None,
        channel: str | None,
        client: str | None,
        since: When | None,
        until: When | None,
        **options: Any,
    ) -> Any:
        filters = (error_code, provider, channel, client, since, until)
        if job_ids and any(value is not None for value in filters):
            raise click.UsageError("Give job ids or filters, not both.")
        if options.get("raw") and (job_ids or any(value is not None for value in filters)):
            raise click.UsageError("--raw is about messages that belong to no job: neither ids nor filters apply.")
        services = open_services()
        now = services.clock.now()
        selection: Selection = tuple(map(JobId, job_ids)) or DeadLetterFilter(
            error_code=error_code,
            provider=provider,
            type=None if channel is None else Channel(channel),
            client=client,
            failed_since=at(since, now),
            failed_before=at(until, now),
        )
        with said_in_words():
            return command(services, selection=selection, **options)

    return with_selection


# --- commands -----------------------------------------------------------------------------------------------------


@dead_letters.command("list")
@_selecting
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The newest N.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--raw", is_flag=True, help="Messages that RabbitMQ itself put there, because nobody understood them.")
def list_(services: OperatorServices, selection: Selection, limit: int, as_json: bool, raw: bool) -> None:
    """List dead letters, the newest first.

    Recipients are masked. With --raw: the messages in the queue that belong to no failed notification.
    """
    if raw:
        _list_raw(services, limit, as_json)
        return
    jobs = _newest(services, selection, limit)
    if as_json:
        for job in jobs:
            print_json(_summary(job))
        return
    table = _table("failed (UTC)", "job", "type", "client", "recipient", "error", "provider", "attempts")
    for job in jobs:
        table.add_row(
            time_text(job.finished_at),
            job.job_id,
            job.type.value,
            job.client,
            masked_recipient_of(job),
            job.error.code if job.error else "",
            job.provider or "",
            str(job.attempts),
        )
    console().print(table)
    if isinstance(selection, tuple):
        console().print(f"{len(jobs)} of {len(selection)} jobs found.")
        return
    count = services.dead_letters.expected(selection)
    console().print(f"{len(jobs)} of {count} shown." if count > len(jobs) else f"{count} in all.")
    owed = services.dead_letters.repository.owed()
    if owed:
        console().print(f"{owed} more failed; RabbitMQ has not yet confirmed their dead letters.")


@dead_letters.command()
@click.argument("job_id")
@click.option("--reveal", is_flag=True, help="With recipient, payload and metadata; leaves an audit entry.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--operator", metavar="NAME", default=lambda: user(), help="For the audit entry (user@host).")
def show(job_id: str, reveal: bool, as_json: bool, operator: str) -> None:
    """Tell all about one notification, with its log.

    Recipient, payload and metadata are personal data: they are shown only when asked for.
    """
    services = open_services()
    with said_in_words():
        job = services.jobs.get(JobId(job_id))
        if job is None:
            raise click.ClickException(
                f"There is no notification {job_id}. It may have been purged after its retention."
            )
        if reveal:
            services.dead_letters.reveal(job.job_id, operator)
        detail = _detail(job, is_revealed=reveal)
        if as_json:
            print_json(detail)
            return
        _print_detail(detail)


@dead_letters.command()
@_selecting
@changing
@click.option("--accept-duplicate", is_flag=True, help="Those too that may have arrived already.")
def replay(
    services: OperatorServices, selection: Selection, options: BulkOptions, is_asking: bool, accept_duplicate: bool
) -> None:
    """Start failed notifications again, with all their attempts and a new deadline.

    Those that fail again meanwhile are not taken twice. A discarded one is replayed when named by its id. Those that
    ended as outcome_unknown under onUnknownOutcome "stop" may have arrived: they are left alone and counted, unless
    you accept that they arrive twice. Leaves an audit entry.
    """
    options = replace(options, accepts_duplicate=accept_duplicate)
    _operate(services, services.dead_letters.replay, selection, options, is_asking, ("replay", "replayed"))


@dead_letters.command()
@_selecting
@changing
@click.option("--raw", is_flag=True, help="Drop the messages that RabbitMQ itself put there.")
def discard(services: OperatorServices, selection: Selection, options: BulkOptions, is_asking: bool, raw: bool) -> None:
    """Put failed notifications aside: they stay failed, and lose their dead letter.

    With --raw: drop the messages in the queue that belong to no failed notification. Those are gone then. Leaves an
    audit entry.
    """
    if raw:
        _discard_raw(services, options, is_asking)
        return
    _operate(services, services.dead_letters.discard, selection, options, is_asking, ("discard", "discarded"))


# --- runs ---------------------------------------------------------------------------------------------------------


def _operate(
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
    print_operation(operation, participle)
    if operation.unpublished:
        click.echo(f"RabbitMQ did not take {operation.unpublished} of them yet; the sweep publishes them when it does.")
    if operation.done and not operation.is_dry_run:
        _reconcile(services)
    if operation.unknown:
        click.echo(f"{counted(operation.unknown, 'job id')} unknown: check them, or they were purged.", err=True)
        raise SystemExit(UNAVAILABLE)


def _reconcile(services: OperatorServices) -> None:
    try:
        services.reconciliation.run()
    except QueueBusyError:
        pass  # whoever is scanning the queue removes the dead letters, or does so ten seconds later
    except BrokerError as error:
        click.echo(f"{error} The messages leave notifications.dead by themselves when it is back.", err=True)


def _discard_raw(services: OperatorServices, options: BulkOptions, is_asking: bool) -> None:
    if is_asking:
        _, count = services.dead_letters.foreign_messages(0)
        if count:
            click.confirm(f"Drop {counted(count, 'message')} for good?", abort=True, err=True)
    print_operation(services.dead_letters.discard_foreign_messages(options), "dropped", "from queue")


def _list_raw(services: OperatorServices, limit: int, as_json: bool) -> None:
    dead_letters, count = services.dead_letters.foreign_messages(limit)
    if as_json:
        for dead_letter in dead_letters:
            print_json(
                {
                    "reason": dead_letter.reason,
                    "queue": dead_letter.queue,
                    "sizeBytes": dead_letter.size_bytes,
                    "head": _escaped(dead_letter),
                }
            )
        return
    table = _table("reason", "from queue", "bytes", "begins with")
    for dead_letter in dead_letters:
        table.add_row(dead_letter.reason, dead_letter.queue, str(dead_letter.size_bytes), Text(_escaped(dead_letter)))
    console().print(table)
    console().print(f"{len(dead_letters)} of {count} shown." if count > len(dead_letters) else f"{count} in all.")


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


# --- what people see ----------------------------------------------------------------------------------------------


def _table(*columns: str) -> Table:
    return table_of(*columns, whole=frozenset({"job", "failed (UTC)", "bytes", "count"}))


def _escaped(dead_letter: QueuedDeadLetter) -> str:
    """The first bytes, with nothing in them that a terminal would act on."""
    shown = dead_letter.head[:_SHOWN_BYTES]
    more = "…" if dead_letter.size_bytes > len(shown) else ""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in shown) + more


def _summary(job: Job) -> dict[str, Any]:
    """As the API shows it, without personal data."""
    # Imported here: most of what is done here does not need the web's schemas.
    from wavecom.web.api.representation import summary

    shown = {name: value for name, value in summary(job).items() if name not in {"metadata", "idempotencyKey"}}
    return shown | {"client": job.client, "to": masked_recipient_of(job), "deadLetteredAt": job.dead_lettered_at}


def _detail(job: Job, *, is_revealed: bool) -> dict[str, Any]:
    from wavecom.web.api.representation import detail

    whole = detail(job)
    if is_revealed:
        return whole | {"client": job.client, "deadLetteredAt": job.dead_lettered_at}
    return _summary(job) | {"logs": whole["logs"], "logCount": whole["logCount"]}


def _print_detail(detail: Mapping[str, Any]) -> None:
    facts = Table.grid(padding=(0, 2))
    for name, value in detail.items():
        if name != "logs" and value is not None:
            text = (
                value if isinstance(value, str) else orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z).decode()
            )
            facts.add_row(Text(name), Text(text))
    console().print(facts)
    logs: Sequence[Mapping[str, Any]] = detail["logs"]
    table = _table("at", "event", "attempt", "provider", "code", "message")
    for entry in logs:
        cells = [str(entry.get(name, "")) for name in ("at", "event", "attempt", "provider", "code", "message")]
        table.add_row(*(Text(cell) for cell in cells))
    console().print()
    console().print(table)
