"""``wavecom suppressions``: whom clients send nothing more; adding, lifting, CSV in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar

import click
from marshmallow import ValidationError

from wavecom.commands.console import (
    console,
    explaining_errors,
    open_services,
    operator_name,
    print_json,
    table_of,
    time_text,
)
from wavecom.commands.parameters import When, at, counted, duration, moment
from wavecom.core.account import CLIENT_NAME_RULE, account_of, is_client_name
from wavecom.core.actor import OPERATOR
from wavecom.core.lanes import Channel
from wavecom.core.suppressions import (
    NewSuppression,
    Suppression,
    SuppressionFilter,
    SuppressionScope,
    SuppressionSource,
    SuppressionState,
)
from wavecom.errors import InvalidRequestError, SuppressionNotFoundError
from wavecom.services.operator import OperatorServices

F = TypeVar("F", bound=Callable[..., Any])


def _client(value: str) -> str:
    if value != OPERATOR and not is_client_name(value):
        raise click.BadParameter(f"{value!r} is no name for a client; it has {CLIENT_NAME_RULE}.")
    return value


_CHANNEL = click.Choice([channel.value for channel in Channel])
_OPERATOR = click.option("--operator", metavar="NAME", default=operator_name, help="Who does it (user@host).")
_TEST = click.option("--test", "is_test", is_flag=True, help="The list of the client's test keys.")
_ONE_CLIENT = click.option("--client", type=_client, metavar="NAME", required=True, help="Whose list.")


def _filters(command: F) -> F:
    """The options by which lists are narrowed."""
    for option in (
        click.option(
            "--since", type=moment, metavar="TIME", help="Added from then on: 2h, 3d or 2026-03-14T09:00:00Z."
        ),
        click.option(
            "--state",
            type=click.Choice(["any", *(state.value for state in SuppressionState)]),
            default=SuppressionState.ACTIVE.value,
            show_default=True,
            help="How they stand.",
        ),
        click.option(
            "--source", type=click.Choice([source.value for source in SuppressionSource]), help="How it became known."
        ),
        click.option("--recipient", metavar="TEXT", help="This address, number or token."),
        click.option("--type", "channel", type=_CHANNEL, help="This channel."),
        _TEST,
        click.option("--client", type=_client, metavar="NAME", help="This client's. Without: everybody's."),
    ):
        command = option(command)
    return command


@click.group("suppressions", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def suppressions() -> None:
    """List whom clients send nothing more, add to it, lift entries, and move lists as CSV.

    Each client has a list for its live keys and one for its test keys. Who is on it is not called any more, within a
    second: the notification fails with the code suppressed. Entries of the scope marketing let the priority high pass.

    \b
    Exit code: 0 done, 1 a server is away, or there is no such entry, or rows were refused, 2 asked for wrongly.

    \b
    Is this customer on a list?
      wavecom suppressions list --recipient amina@example.com --state any
    Take over a list from elsewhere, a file with the columns type and recipient:
      wavecom suppressions import --client acme former-provider.csv
    """


@suppressions.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(limit: int, as_json: bool, **filters: Any) -> None:
    """List entries, the newest first."""
    services = open_services()
    with explaining_errors():
        page = services.suppressions.search(_where(services, **filters), limit)
    now = services.clock.now()
    if as_json:
        for entry in page.entries:
            print_json(_as_json(entry, entry.state(now)))
        return
    columns = ("entry", "client", "type", "recipient", "source", "scope", "added (UTC)", "until (UTC)", "state", "why")
    table = table_of(*columns, whole=frozenset({"entry", "added (UTC)", "until (UTC)"}))
    for entry in page.entries:
        table.add_row(
            entry.suppression_id,
            entry.account,
            entry.channel.value,
            entry.recipient,
            entry.source.value,
            entry.scope.value,
            time_text(entry.created_at),
            time_text(entry.lifted_at or entry.expires_at),
            entry.state(now).value,
            entry.reason,
        )
    console().print(table)
    if page.next is not None:
        console().print("There are more; --limit shows more of them, and export all.")


@suppressions.command()
@_ONE_CLIENT
@_TEST
@click.argument("channel", type=_CHANNEL)
@click.argument("recipient")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in SuppressionScope]),
    default=SuppressionScope.ALL.value,
    show_default=True,
    help="Which messages: all, or marketing, which lets the priority high pass.",
)
@click.option("--reason", metavar="TEXT", default="", help="Why, in a few words.")
@click.option("--for", "expires_in", type=duration, metavar="TIME", help="Ends by itself: 12h, 90d. Without: never.")
@_OPERATOR
def add(
    client: str,
    is_test: bool,
    channel: str,
    recipient: str,
    scope: str,
    reason: str,
    expires_in: Any,
    operator: str,
) -> None:
    """Send RECIPIENT (an address, number or token) nothing more over CHANNEL."""
    # Imported here: lists are shown without the web's schemas.
    from wavecom.web.api.schemas.suppression import normalised_recipient

    services = open_services()
    try:
        found = normalised_recipient(Channel(channel), recipient)
    except ValidationError as error:
        raise click.BadParameter(f"it {error.messages[0]}.", param_hint="RECIPIENT") from error
    with explaining_errors():
        [result] = services.suppressions.add(
            [
                NewSuppression(
                    account=account_of(client, not is_test),
                    channel=Channel(channel),
                    recipient=found,
                    source=SuppressionSource.MANUAL,
                    scope=SuppressionScope(scope),
                    by=operator,
                    reason=reason,
                    expires_at=None if expires_in is None else services.clock.now() + expires_in,
                )
            ]
        )
    state = "is in force" if result.is_new else "was changed" if result.is_changed else "was in force before"
    click.echo(f"Entry {result.suppression_id} {state}.")


@suppressions.command()
@click.argument("suppression_ids", nargs=-1, required=True, metavar="ENTRY...")
@click.option("--reason", metavar="TEXT", default="", help="Why, in a few words.")
@_OPERATOR
def lift(suppression_ids: tuple[str, ...], reason: str, operator: str) -> None:
    """Lift entries: their recipients may be sent to again, at once. Each keeps its history."""
    services = open_services()
    unknown = []
    with explaining_errors():
        for suppression_id in suppression_ids:
            try:
                services.suppressions.lift(suppression_id, None, by=operator, reason=reason)
            except SuppressionNotFoundError:
                unknown.append(suppression_id)
            else:
                click.echo(f"Entry {suppression_id} is lifted.")
    if unknown:
        raise click.ClickException(f"There is no entry {', '.join(unknown)}. `wavecom suppressions list` shows them.")


@suppressions.command("import")
@_ONE_CLIENT
@_TEST
@click.argument("file", type=click.File("rb"))
@_OPERATOR
def import_(client: str, is_test: bool, file: BinaryIO, operator: str) -> None:
    """Add every row of FILE (- for standard input), CSV in UTF-8, to a client's list.

    The first line names the columns: type (email, sms, push) and recipient, and if you like scope, reason and
    expiresAt; others are passed over. A row that is wrong is named and costs no other. What is in force already is not
    weakened: the wider scope and the later end count. May be repeated.
    """
    from wavecom.web.api.suppression_csv import SuppressionCsv

    services = open_services()
    table = SuppressionCsv(services.suppressions, services.clock.now)
    with explaining_errors():
        try:
            result = table.read(_lines(file), account_of(client, not is_test), operator)
        except InvalidRequestError as error:
            [problem] = error.problems
            what = f"The column {problem.where[1:]}" if problem.where else "The file"
            raise click.ClickException(f"{what} {problem.message}.") from error
    for row in result.bad_rows:
        for problem in row.problems:
            where = f" {problem.where[1:]}" if problem.where else ""
            click.echo(f"line {row.line}:{where} {problem.message}", err=True)
    counts = result.counts
    click.echo(f"{counted(counts.added, 'row')} added, {counts.unchanged} known before, {result.refused} refused.")
    if result.refused:
        raise SystemExit(1)


@suppressions.command()
@_filters
def export(**filters: Any) -> None:
    """Write entries as CSV to standard output, the newest first. It can be imported elsewhere."""
    from wavecom.web.api.suppression_csv import SuppressionCsv

    services = open_services()
    table = SuppressionCsv(services.suppressions, services.clock.now)
    with explaining_errors():
        for part in table.export(_where(services, **filters)):
            click.echo(part, nl=False)


def _where(
    services: OperatorServices,
    *,
    client: str | None,
    is_test: bool,
    channel: str | None,
    recipient: str | None,
    source: str | None,
    state: str,
    since: When | None,
) -> SuppressionFilter:
    if is_test and client is None:
        raise click.UsageError("--test needs --client.")
    if recipient is not None:
        from wavecom.web.api.schemas.listing import RecipientInQuery

        recipient = RecipientInQuery("a recipient", max_length=4096).deserialize(recipient)
        recipient = recipient.casefold() if "@" in recipient else recipient
    return SuppressionFilter(
        account=None if client is None else account_of(client, not is_test),
        channel=None if channel is None else Channel(channel),
        recipient=recipient,
        source=None if source is None else SuppressionSource(source),
        state=None if state == "any" else SuppressionState(state),
        created_since=at(since, services.clock.now()),
    )


def _lines(file: BinaryIO) -> Iterator[str]:
    """Line by line, so that no file is too long."""
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise click.ClickException(
                f"Line {number} is not in UTF-8. What stands before it is done; mend it and run the same command again."
            ) from error


def _as_json(entry: Suppression, state: SuppressionState) -> dict[str, Any]:
    from wavecom.web.api.suppressions import represented

    return represented(entry, state) | {"client": entry.account}
