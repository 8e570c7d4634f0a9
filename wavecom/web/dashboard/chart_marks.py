"""Marks in the charts: what people did, and releases that began, where they may have changed the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from wavecom.core.audit import AuditAction
from wavecom.core.provider_control import ProviderAction
from wavecom.web.dashboard.chart import SLOT
from wavecom.web.dashboard.words import audit_word

#: What may change what goes through. Looking at a message, keys and users do not.
MARKED: Final = frozenset(
    {
        AuditAction.RELEASE,
        AuditAction.REPLAY,
        AuditAction.DISCARD,
        AuditAction.CANCEL,
        ProviderAction.PAUSE,
        ProviderAction.REOPEN,
        ProviderAction.WEIGH,
        ProviderAction.ADJUST,
    }
)
#: More lines than that would hide the chart.
MOST: Final = 30


@dataclass(frozen=True, slots=True)
class ChartMark:
    """A line across a chart at ``x``, in its units, and what it stands for in words."""

    x: float
    at: datetime
    text: str


def marks(entries: Sequence[Mapping[str, Any]], begin: datetime, step: timedelta, count: int) -> tuple[ChartMark, ...]:
    """Marks for audit entries within ``count`` steps from ``begin`` on, the oldest first; of many the newest ones."""
    end = begin + step * count
    found = [
        ChartMark(round((entry["startedAt"] - begin) / step * SLOT, 2), entry["startedAt"], _text(entry))
        for entry in entries
        if begin <= entry["startedAt"] < end and _is_marked(entry)
    ]
    return tuple(sorted(found, key=lambda mark: mark.at)[-MOST:])


def _is_marked(entry: Mapping[str, Any]) -> bool:
    is_of_one = "jobs" in entry.get("filters", {})
    return entry.get("action") in MARKED and not entry.get("dryRun") and not is_of_one


def _text(entry: Mapping[str, Any]) -> str:
    about = entry.get("provider") or entry.get("version")
    word = audit_word(str(entry["action"]))
    who = str(entry.get("operator", ""))
    return " ".join(filter(None, (f"{word}:" if about else word, str(about or ""), f"({who})" if who else "")))
