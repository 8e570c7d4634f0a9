"""``wavecom sessions``: who is signed in to the pages, and ending it."""

from __future__ import annotations

import click

from wavecom.commands.console import (
    console,
    explaining_errors,
    open_services,
    operator_name,
    print_json,
    table_of,
    time_text,
)
from wavecom.core.sessions import SessionRecord


@click.group("sessions", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def sessions() -> None:
    """List who is signed in to the status pages; end sessions.

    A session ends by itself when nobody looks at a page for WAVECOM_SESSION_IDLE_MINUTES, WAVECOM_SESSION_HOURS after
    its login, at the logout, and with the key or the operators' password that opened it.

    \b
    Exit code: 0 done, 1 a server is away or there is no such session, 2 asked for wrongly.
    """


@sessions.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List the sessions that are open, the newest first."""
    services = open_services()
    with explaining_errors():
        found = services.sessions.list()
    if as_json:
        for record in found:
            print_json(_as_json(record))
        return
    table = table_of(
        "session", "who", "signed in (UTC)", "last seen (UTC)", "from", "browser", whole=frozenset({"session"})
    )
    for record in found:
        table.add_row(
            record.session_id,
            record.viewer,
            time_text(record.opened_at),
            time_text(record.last_seen_at),
            record.address,
            record.browser,
        )
    console().print(table)


@sessions.command()
@click.argument("session_ids", nargs=-1, metavar="SESSION...")
@click.option("--all", "ends_all", is_flag=True, help="Every session there is.")
@click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
def end(session_ids: tuple[str, ...], ends_all: bool, operator: str) -> None:
    """End sessions at once, wherever their cookies were copied to. Whoever has one must sign in again."""
    if ends_all == bool(session_ids):
        raise click.UsageError("Name sessions, or say --all.")
    services = open_services()
    unknown = []
    with explaining_errors():
        wanted = [record.session_id for record in services.sessions.list()] if ends_all else session_ids
        for session_id in wanted:
            if services.sessions.end_by_id(session_id, operator):
                click.echo(f"Session {session_id} is ended.")
            else:
                unknown.append(session_id)
    if unknown and not ends_all:
        raise click.ClickException(
            f"There is no session {', '.join(unknown)}, or it has ended. `wavecom sessions list` shows those that are "
            "open."
        )


def _as_json(record: SessionRecord) -> dict[str, object]:
    return {
        "sessionId": record.session_id,
        "viewer": record.viewer,
        "keyId": record.key_id,
        "openedAt": record.opened_at,
        "lastSeenAt": record.last_seen_at,
        "expiresAt": record.expires_at,
        "address": record.address,
        "browser": record.browser,
    }
