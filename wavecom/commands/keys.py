"""``wavecom keys``: make API keys, list, rotate and revoke them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click

from wavecom.accounts import Administrator, IssuedKey, KeyScope
from wavecom.accounts.administration import DEFAULT_OVERLAP, LONGEST_OVERLAP
from wavecom.commands.console import (
    console,
    explaining_errors,
    open_services,
    operator_name,
    print_json,
    table_of,
    time_text,
)
from wavecom.commands.contact import contact
from wavecom.commands.parameters import duration
from wavecom.commands.senders import senders
from wavecom.core.account import CLIENT_NAME_RULE, is_client_name
from wavecom.core.keys import KeyRecord, KeyStatus
from wavecom.core.quota import Limits
from wavecom.errors import ConflictError, RefusedError


def _client(value: str) -> str:
    if not is_client_name(value):
        raise click.BadParameter(f"{value!r} is no name for a client; it has {CLIENT_NAME_RULE}.")
    return value


def _scopes(value: str | frozenset[str]) -> frozenset[str]:
    if not isinstance(value, str):
        return value
    given = {word.strip() for word in value.split(",") if word.strip()}
    unknown = sorted(given - set(KeyScope))
    if unknown or not given:
        what = f"There is no scope {unknown[0]!r}." if unknown else "A key without a scope is of no use."
        raise click.BadParameter(f"{what} Write some of {', '.join(KeyScope)}, with commas between them.")
    return frozenset(given)


def _overlap(value: str | timedelta) -> timedelta:
    overlap = duration(value)
    if overlap > LONGEST_OVERLAP:
        raise click.BadParameter(f"A rotated key works for {LONGEST_OVERLAP.days} days more at most.")
    return overlap


_OPERATOR = click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")


@click.group("keys", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def keys() -> None:
    """Make API keys; list, rotate and revoke them.

    A key belongs to a client, and a client sees only its own notifications. A live key sends for real. What a test key
    sends goes to the sandbox, never to a provider, and is kept apart from what live keys send.

    \b
    Scopes:
      send        send notifications
      read        read and list them
      recipients  read and change registered recipients
      manage      change notifications: cancel, retry, replay; and categories, templates, callbacks
      admin       manage the keys of the same client through the API

    \b
    A first key for a new client, kept in a file and shown nowhere:
      wavecom keys create --client acme --name backend --scopes send,read > acme.key
    A key that may have leaked:
      wavecom keys revoke KEY_ID

    \b
    As whom a client may send, whatever its keys:
      wavecom keys senders --client acme --email acme.example --sms ACME
    Where a client is told that an endpoint of its callbacks fails:
      wavecom keys contact --client acme --email platform@acme.example

    Only a hash of each key is kept: a key is shown once, when it is made. Whatever is done leaves an audit entry.

    \b
    Exit code: 0 done, 1 a server is away or the key is unknown or has ended, 2 asked for wrongly.
    """


@keys.command()
@click.option("--client", type=_client, metavar="NAME", required=True, help="Whose key; a new name is a new client.")
@click.option("--name", metavar="TEXT", required=True, help="What it is for, to know it by in lists.")
@click.option("--scopes", type=_scopes, default="send,read", show_default=True, metavar="WORDS", help="What it may do.")
@click.option("--test", "is_test", is_flag=True, help="A test key: sends to the sandbox only.")
@click.option(
    "--rate", type=click.FloatRange(0.01, 100_000), metavar="N", help="May send N a second. Without: see the settings."
)
@click.option("--quota", type=click.IntRange(1), metavar="N", help="May send N a day.")
@click.option("--expires-in", type=duration, metavar="TIME", help="Ends by itself: 12h, 90d. Without: never.")
@_OPERATOR
def create(
    client: str,
    name: str,
    scopes: frozenset[str],
    is_test: bool,
    rate: float | None,
    quota: int | None,
    expires_in: timedelta | None,
    operator: str,
) -> None:
    """Make a key and print it, alone, on standard output.

    It is shown this once; lose it, and you need another.
    """
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise click.BadParameter("A name has 1 to 100 printable characters.", param_hint="--name")
    services = open_services()
    with explaining_errors():
        made = services.keys.create(
            Administrator(operator, limits=Limits(rate, quota)),
            client=client,
            name=name.strip(),
            scopes=scopes,
            is_live=not is_test,
            expires_at=None if expires_in is None else services.clock.now() + expires_in,
        )
    _show(made)


@keys.command("list")
@click.option("--client", type=_client, metavar="NAME", help="Of this client.")
@click.option("--all", "with_ended", is_flag=True, help="Those too that are expired or revoked.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(client: str | None, with_ended: bool, as_json: bool) -> None:
    """List keys, the newest first. Keys themselves are not shown, only their last four characters."""
    services = open_services()
    with explaining_errors():
        records = services.keys.list(Administrator(operator_name()), client)
        now = services.clock.now()
    shown = [record for record in records if with_ended or record.status(now) is KeyStatus.ACTIVE]
    if as_json:
        for record in shown:
            print_json(_as_json(record, record.status(now)))
        return
    columns = ("key", "client", "mode", "name", "scopes", "ends with", "created (UTC)", "until (UTC)", "status")
    table = table_of(*columns, whole=frozenset({"key", "created (UTC)", "until (UTC)"}))
    for record in shown:
        table.add_row(
            record.key_id,
            record.client,
            _mode(record),
            record.name,
            _words(record),
            record.hint,
            time_text(record.created_at),
            time_text(record.revoked_at or record.expires_at),
            record.status(now).value,
        )
    console().print(table)
    if len(shown) < len(records):
        console().print(f"{len(records) - len(shown)} more have ended; --all shows them.")


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap",
    type=_overlap,
    default=f"{int(DEFAULT_OVERLAP.total_seconds()) // 3600}h",
    show_default=True,
    metavar="TIME",
    help="How long the old key goes on working: 0, 30m, 7d.",
)
@_OPERATOR
def rotate(key_id: str, overlap: timedelta, operator: str) -> None:
    """Make a key that takes the place of KEY_ID, and print it, alone, on standard output.

    It has the same client, name and scopes. Put it into use within the overlap; then the old key ends by itself.
    """
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        made = services.keys.rotate(Administrator(operator), key_id, overlap)
    _show(made)
    until = "has ended" if not overlap else f"works until {time_text(services.clock.now() + overlap)} UTC at most"
    click.echo(f"The old key {key_id} {until}.", err=True)


@keys.command()
@click.argument("key_id")
@_OPERATOR
def revoke(key_id: str, operator: str) -> None:
    """End KEY_ID for good, within ten seconds everywhere: for the API, and for pages that it is logged in to.

    What was sent with it stays, and is delivered.
    """
    services = open_services()
    with explaining_errors(), _refusals_in_words():
        record = services.keys.revoke(Administrator(operator), key_id)
    click.echo(f"Key {record.key_id} ({record.name}) of client {record.client} is revoked.")


keys.add_command(senders)
keys.add_command(contact)


@contextmanager
def _refusals_in_words() -> Iterator[None]:
    """Around what may be refused: the reason, and exit code 1."""
    try:
        yield
    except (RefusedError, ConflictError) as error:
        raise click.ClickException(f"{error} `wavecom keys list --all` shows all keys.") from error


def _show(made: IssuedKey) -> None:
    record = made.record
    ends = "" if record.expires_at is None else f", until {time_text(record.expires_at)} UTC"
    click.echo(f"Key {record.key_id} of client {record.client}: {_mode(record)}, {_words(record)}{ends}.", err=True)
    click.echo("It is not shown again:", err=True)
    click.echo(made.key)


def _mode(record: KeyRecord) -> str:
    return "live" if record.is_live else "test"


def _words(record: KeyRecord) -> str:
    return ",".join(scope for scope in KeyScope if scope in record.scopes)


def _as_json(record: KeyRecord, status: KeyStatus) -> Mapping[str, Any]:
    # Imported here: making keys does not need the web's schemas.
    from wavecom.web.api.keys import represented

    return represented(record, status) | {"client": record.client}
