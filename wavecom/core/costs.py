"""What a notification costs in processor time, as the last performance report measured it. Pure.

Work is done in groups: a round trip costs the same for one notification as for forty. So a group of processes costs
``per_item_ms`` for each notification, ``per_group_ms`` for each round trip, which all of a group share, and
``per_second_ms`` for being there, on a core at its full speed. ``harness/costs.py`` fits the three to the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from wavecom.core.windows import Windows

#: How large a group may become: where a client waits for the answer, and in a worker.
FULL_GROUP: Final = 48
FULL_DELIVERY_GROUP: Final = 128


def windows_of_groups(windows: Windows) -> dict[str, float]:
    """Groups of processes as the report names them, with the window that would form the groups which they see.

    A worker takes whole groups of a web process, so that its own are larger, and servers have both kinds.
    """
    return {
        "web": windows.accept,
        "worker": windows.delivery + windows.accept / 2,
        "ops": windows.record,
        "MongoDB": windows.delivery,
        "RabbitMQ": (windows.accept + windows.delivery) / 2,
        "Redis": windows.accept,
    }


def full_group(name: str) -> int:
    """How large a group of the group of processes ``name`` may become."""
    return FULL_GROUP if name in ("web", "Redis") else FULL_DELIVERY_GROUP


def opened_window(rate: float, window_seconds: float) -> float:
    """For how long the first of a group waits at ``rate`` a second in one process, in seconds (ADR 11)."""
    return window_seconds * min(1.0, max(0.0, (rate * window_seconds - 1) / 4))


def group_size(rate: float, window_seconds: float, full: int) -> float:
    """How many notifications share a round trip at ``rate`` a second in one process, ``full`` at most."""
    return min(1 + rate * opened_window(rate, window_seconds), full)


@dataclass(frozen=True, slots=True)
class GroupCost:
    """Processor time of one group of processes, in milliseconds."""

    per_item_ms: float
    per_group_ms: float
    per_second_ms: float

    def of_group(self, size: float) -> float:
        """Of one round trip with ``size`` notifications."""
        return self.per_group_ms + size * self.per_item_ms

    def at(self, rate: float, window_seconds: float, full: int) -> float:
        """Of one notification, where one process takes ``rate`` a second; see ``group_size``."""
        size = group_size(rate, window_seconds, full)
        return self.of_group(size) / size + (self.per_second_ms / rate if rate else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCosts:
    """What a report says. ``source`` names it: date, machine, code."""

    source: Mapping[str, str]
    #: Those of the code that it measured: its groups were formed by them.
    windows: Windows
    groups: Mapping[str, GroupCost]
    #: Share of a server's work that a notification costs before it is answered; the rest is delivery.
    accept_shares: Mapping[str, float]
    #: What the machine that is measured does for the measurement itself, for each notification.
    load_ms: float
    provider_ms: float
    #: Largest process of each kind.
    process_mib: Mapping[str, float]
    #: Figures of the scenarios, to hold a simulation against.
    seen: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Of the content of ``measured_costs.json``."""
        return cls(
            source=document["source"],
            windows=Windows(**document["windows"]),
            groups={name: GroupCost(**cost) for name, cost in document["groups"].items()},
            accept_shares=document["accept_shares"],
            load_ms=document["load_ms"],
            provider_ms=document["provider_ms"],
            process_mib=document["process_mib"],
            seen=document["seen"],
        )

    def at(self, name: str, rate: float) -> float:
        """Milliseconds of the group ``name`` for one notification, where one process takes ``rate`` a second."""
        return self.groups[name].at(rate, windows_of_groups(self.windows)[name], full_group(name))
