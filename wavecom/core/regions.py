"""Regions: whose workers deliver a job, and who may take the backlog of a region that has no worker. Pure.

A region stands for a place with workers of its own, and for where data may go. Jobs of a region travel in lanes of
their own (``core/lanes.py``), so which workers get them is decided by which queues those consume.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wavecom.core.account import client_of
from wavecom.core.lanes import LaneQueue, in_region
from wavecom.core.phone_countries import country_of
from wavecom.core.route_conditions import Routable
from wavecom.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region's rules. ``takeover``: the regions whose workers may deliver for it while it has none; nobody else may,
    so where it is empty the backlog waits (data residency).
    """

    name: str
    #: Of the recipient's number, ISO 3166-1 alpha-2 in upper case.
    countries: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    takeover: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of a deployment, at least one, by name; ``default`` has the jobs that no rule gives to another."""

    regions: Mapping[str, Region]
    default: str

    def of(self, region: str | None, notification: Routable) -> str:
        """The region of a notification that asks for ``region``: that one, else by client, by country, the default."""
        if region is not None:
            return region
        client = client_of(notification.client)
        for each in self.regions.values():
            if client in each.clients:
                return each.name
        country = country_of(str(notification.to.get("phone", "")))
        for each in self.regions.values():
            if country in each.countries:
                return each.name
        return self.default

    def queues_of(self, region: str, started_with: Collection[LaneQueue]) -> list[LaneQueue]:
        """The queues that a worker of ``region`` consumes as its own.

        ``started_with`` are queues without a region, each standing for that of the region. The default region also has
        the jobs that were accepted when there were no regions. What is in the queues of a region that the file does
        not declare waits until it does: nobody can say who may have it.
        """
        return [in_region(queue, name) for name in self._names_of(region) for queue in started_with]

    def takeover_queues(self, region: str, started_with: Collection[LaneQueue]) -> dict[LaneQueue, str]:
        """The queues that a worker of ``region`` may consume when they have no worker of their own region; of which."""
        return {
            in_region(queue, name): each.name
            for each in self.regions.values()
            if region in each.takeover
            for name in self._names_of(each.name)
            for queue in started_with
        }

    def _names_of(self, region: str) -> list[str]:
        """What the region's queues are called after: the default one also has those without a region."""
        return [region, ""] if region == self.default else [region]


def own_queues(regions: Regions | None, region: str, started_with: Collection[LaneQueue]) -> list[LaneQueue]:
    """See ``Regions.queues_of``; without regions the queues without one."""
    return list(started_with) if regions is None else regions.queues_of(region, started_with)


def problems(region: str | None, regions: Regions | None) -> list[Problem]:
    """What is wrong with the region that a notification asks for."""
    if region is None or (regions is not None and region in regions.regions):
        return []
    if regions is None:
        why = "is not for this deployment, which has no regions; leave it out"
    else:
        why = f"must be one of {', '.join(regions.regions)}; without it a rule decides"
    return [Problem("/region", why, "unknown_value")]
