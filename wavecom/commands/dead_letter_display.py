"""How ``wavecom dead-letters`` shows jobs and foreign messages: as tables for people, or as lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from rich.table import Table
from rich.text import Text

from wavecom.commands.bulk_operations import masked_recipient_of
from wavecom.commands.console import console, print_json, table_of, time_text
from wavecom.core.dead_letters import QueuedDeadLetter
from wavecom.core.job import Job

_SHOWN_BYTES: Final = 60


def print_dead_letters(jobs: Sequence[Job], *, as_json: bool) -> None:
    """The jobs in their order, recipients masked."""
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


def print_foreign_messages(messages: Sequence[QueuedDeadLetter], count: int, *, as_json: bool) -> None:
    """The first messages, of ``count`` that there are."""
    if as_json:
        for message in messages:
            print_json(
                {
                    "reason": message.reason,
                    "queue": message.queue,
                    "sizeBytes": message.size_bytes,
                    "head": _escaped(message),
                }
            )
        return
    table = _table("reason", "from queue", "bytes", "begins with")
    for message in messages:
        table.add_row(message.reason, message.queue, str(message.size_bytes), Text(_escaped(message)))
    console().print(table)
    console().print(f"{len(messages)} of {count} shown." if count > len(messages) else f"{count} in all.")


def _table(*columns: str) -> Table:
    return table_of(*columns, whole=frozenset({"job", "failed (UTC)", "bytes", "count"}))


def _escaped(message: QueuedDeadLetter) -> str:
    """The first bytes, with nothing in them that a terminal would act on."""
    shown = message.head[:_SHOWN_BYTES]
    more = "…" if message.size_bytes > len(shown) else ""
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in shown) + more


def _summary(job: Job) -> dict[str, Any]:
    """As the API shows it, without personal data."""
    # Imported here: most of what is done here does not need the web's schemas.
    from wavecom.web.api.representation import summary

    shown = {name: value for name, value in summary(job).items() if name not in {"metadata", "idempotencyKey"}}
    return shown | {"client": job.client, "to": masked_recipient_of(job), "deadLetteredAt": job.dead_lettered_at}


def detail_of(job: Job, *, is_revealed: bool) -> dict[str, Any]:
    """All about one job, with its log; with recipient, payload and metadata only when ``is_revealed``."""
    from wavecom.web.api.representation import detail

    whole = detail(job)
    if is_revealed:
        return whole | {"client": job.client, "deadLetteredAt": job.dead_lettered_at}
    return _summary(job) | {"logs": whole["logs"], "logCount": whole["logCount"]}


def print_detail(detail: Mapping[str, Any]) -> None:
    """What ``detail_of`` answers, as lines and a table."""
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
