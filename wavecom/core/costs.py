"""What a notification costs in processor time, as the last performance report measured it. Pure.

Work is done in groups: a round trip costs the same for one notification as for forty. So a group of processes costs
``per_item_ms`` for each notification, ``per_group_ms`` for each round trip, which all of a group share, and
``per_second_ms`` for being there, on a core at its full speed. ``harness/costs.py`` fits the three to the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

#: For how long the first of a group waits for company (``batching.Window``), and how large a group may become. Less
#: where a client waits for the answer. A delivery waits twice: before its claim and before its record.
ACCEPT_WINDOW_SECONDS: Final = 0.015
DELIVERY_WINDOW_SECONDS: Final = 0.025
FULL_GROUP: Final = 48
FULL_DELIVERY_GROUP: Final = 128

#: Groups of processes as the report names them, with the window that would form the groups which the simulation sees:
#: a worker takes whole groups of a web process, so that its own are larger, and servers have both kinds.
WINDOWS: Final[Mapping[str, float]] = {
    "web": ACCEPT_WINDOW_SECONDS,
    "worker": DELIVERY_WINDOW_SECONDS + ACCEPT_WINDOW_SECONDS / 2,
    "ops": DELIVERY_WINDOW_SECONDS,
    "MongoDB": DELIVERY_WINDOW_SECONDS,
    "RabbitMQ": (ACCEPT_WINDOW_SECONDS + DELIVERY_WINDOW_SECONDS) / 2,
    "Redis": ACCEPT_WINDOW_SECONDS,
}


def opened_window(rate: float, window_seconds: float) -> float:
    """For how long the first of a group waits at ``rate`` a second in one process, in seconds (ADR 11)."""
    return window_seconds * min(1.0, max(0.0, (rate * window_seconds - 1) / 4))


def group_size(rate: float, window_seconds: float) -> float:
    """How many notifications share a round trip at ``rate`` a second in one process."""
    full = FULL_GROUP if window_seconds <= ACCEPT_WINDOW_SECONDS else FULL_DELIVERY_GROUP
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

    def at(self, rate: float, window_seconds: float) -> float:
        """Of one notification, where one process takes ``rate`` a second."""
        return self.of_group(group_size(rate, window_seconds)) / group_size(rate, window_seconds) + (
            self.per_second_ms / rate if rate else 0.0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCosts:
    """What a report says. ``source`` names it: date, machine, code."""

    source: Mapping[str, str]
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
            groups={name: GroupCost(**cost) for name, cost in document["groups"].items()},
            accept_shares=document["accept_shares"],
            load_ms=document["load_ms"],
            provider_ms=document["provider_ms"],
            process_mib=document["process_mib"],
            seen=document["seen"],
        )

    def at(self, name: str, rate: float) -> float:
        """Milliseconds of the group ``name`` for one notification, where one process takes ``rate`` a second."""
        return self.groups[name].at(rate, WINDOWS[name])
