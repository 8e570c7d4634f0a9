"""What the sandbox delivered, as the recipients would have got it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import abort, render_template, request, url_for

from wavecom.core.job import JobId
from wavecom.core.lanes import Channel
from wavecom.storage.mongo.outbox import OutboxCursor
from wavecom.web.dashboard.content import NotificationContent, describe
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.formatting import address

PAGE_SIZE = 20
_READS_LIMIT = 5

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{1,14})\.([\x21-\x7e]{1,100})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One entry of the outbox, arranged for reading."""

    job_id: str
    type: Channel
    recipient: str
    at: datetime
    provider: str
    attempt: int
    times: int
    content: NotificationContent


def outbox() -> str:
    """A page of the outbox, newest first."""
    cursor = request.args.get("after")
    entries, next_ = _visible(_parse(cursor) if cursor else None)
    return render_template(
        "dashboard/outbox.html",
        entries=[_delivered(entry) for entry in entries],
        newest=url_for("dashboard.outbox") if cursor else None,
        older=None if next_ is None else url_for("dashboard.outbox", after=_format(next_)),
    )


def _visible(after: OutboxCursor | None) -> tuple[list[Mapping[str, Any]], OutboxCursor | None]:
    """A page of entries that the viewer may see, and where the next begins.

    Entries know their job, not its client, so a client's page looks their jobs up, all of a page in one read. Where
    others' entries fill the outbox the page may be short, even empty: that bounds the work, and the next link goes on.
    """
    found: list[Mapping[str, Any]] = []
    for _ in range(_READS_LIMIT):
        page = pages().services.outbox.page(PAGE_SIZE, after)
        for entry in _those_to_see(page.entries):
            if len(found) == PAGE_SIZE:
                return found, OutboxCursor(found[-1]["at"], found[-1]["deliveryKey"])
            found.append(entry)
        after = page.next
        if after is None:
            break
    return found, after


def _those_to_see(entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    client = viewer().client
    if client is None:
        return entries
    # A read of many jobs by their ids, which the dead letters need too.
    found = pages().services.dead_letters.repository.find([JobId(entry["jobId"]) for entry in entries], client)
    own = {job.job_id for job in found}
    return [entry for entry in entries if entry["jobId"] in own]


def _format(cursor: OutboxCursor) -> str:
    return f"{(cursor.at - _EPOCH) // timedelta(milliseconds=1)}.{cursor.delivery_key}"


def _parse(text: str) -> OutboxCursor:
    found = _CURSOR.fullmatch(text)
    if found is None:
        abort(404)
    return OutboxCursor(_EPOCH + timedelta(milliseconds=int(found[1])), found[2])


def _delivered(entry: Mapping[str, Any]) -> Delivered:
    channel = Channel(entry["type"])
    return Delivered(
        job_id=entry["jobId"],
        type=channel,
        recipient=address(channel, entry["to"]),
        at=entry["at"],
        provider=entry["provider"],
        attempt=entry["attempt"],
        times=entry.get("times", 1),
        content=describe(entry["payload"]),
    )
