"""How values are written on the pages; registered as Jinja filters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.observability import masked


def iso(at: datetime) -> str:
    """For ``<time datetime>``: ``2026-03-14T09:26:53.589Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(at: datetime, precise: bool = False) -> str:
    """For people, in UTC: ``14 Mar 2026, 09:26:53``; ``precise`` adds milliseconds."""
    at = at.astimezone(UTC)
    text = f"{at.day} {at:%b %Y, %H:%M:%S}"
    return f"{text}.{at.microsecond // 1000:03}" if precise else text


def file_size(size_bytes: int) -> str:
    """``812 bytes``, ``12 KB``, ``3.4 MB``."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes" if size_bytes != 1 else "1 byte"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} KB"
    return f"{size_bytes / 1_000_000:.1f} MB"


def latency(milliseconds: float) -> str:
    """``12 ms``, ``5.1 s``."""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def thousands(count: int) -> str:
    """``1 234 567``, with thin spaces that don't break."""
    return f"{count:,}".replace(",", "\u202f")


def address(channel: Channel, to: Mapping[str, Any]) -> str:
    """The part of a recipient that says whom: e-mail address, phone number, push token or endpoint."""
    subscription = to.get("subscription")
    endpoint = subscription.get("endpoint") if isinstance(subscription, Mapping) else None
    addresses = {
        Channel.EMAIL: to.get("email"),
        Channel.SMS: to.get("phone"),
        Channel.PUSH: to.get("token") or endpoint,
    }
    return str(addresses[channel] or "")


def masked_recipient(job: Job) -> str:
    """Enough of a job's recipient to tell it apart."""
    return masked(address(job.type, job.to))


def recipient_lines(channel: Channel, to: Mapping[str, Any]) -> list[str]:
    """The whole recipient: address, name, platform, and the address as it was sent where that differs."""
    platform = to.get("platform")
    as_sent = to.get("asSent")
    found = [address(channel, to), to.get("name"), platform and f"by {platform}", as_sent and f"sent as {as_sent}"]
    return [str(each) for each in found if each]


def readable(value: object) -> str:
    """Text as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
