"""``wavecom audit``: who did what, read from the collection ``audit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from wavecom.commands.console import console, explaining_errors, open_services, print_json, table_of, time_text
from wavecom.commands.parameters import When, at, moment

#: Shown in columns of their own, or only with --json.
_OWN_COLUMNS = frozenset({"entryId", "action", "operator", "startedAt", "finishedAt", "reasons"})


@click.command("audit", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--action", metavar="WORD", help="Only this kind of deed, such as replay, create_key or end_session.")
@click.option("--operator", metavar="NAME", help="Only what this one did: user@host, key ID or operator.")
@click.option("--since", type=moment, metavar="TIME", help="Only from then on: 2h, 3d or 2026-03-14T09:00:00Z.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with everything that was noted.")
def audit(action: str | None, operator: str | None, since: When | None, limit: int, as_json: bool) -> None:
    """Read who did what, the newest first: replays, settled jobs, keys, sessions, providers, revealed recipients.

    An entry is written before the first change that it tells of, and never purged. One whose state stays "running"
    belongs to a command that was killed; its counts are those of its last batch.

    \b
    Exit code: 0 done, 1 MongoDB is away, 2 asked for wrongly.

    \b
    What was done to keys last week, for a file:
      wavecom audit --since 7d --limit 10000 --json | grep _key > keys.jsonl
    """
    services = open_services()
    with explaining_errors():
        entries = services.audit.newest(
            action=action, operator=operator, since=at(since, services.clock.now()), limit=limit
        )
    if as_json:
        for entry in entries:
            print_json(entry)
        return
    table = table_of("when (UTC)", "action", "who", "what", whole=frozenset({"when (UTC)", "action"}))
    for entry in entries:
        who = str(entry.get("operator"))
        table.add_row(time_text(entry.get("startedAt")), str(entry.get("action")), who, _what(entry))
    console().print(table)


def _what(entry: Mapping[str, Any]) -> str:
    """``state=finished done=12 filters={…}``: everything that has no column."""
    return " ".join(f"{name}={value}" for name, value in entry.items() if name not in _OWN_COLUMNS and value != {})
