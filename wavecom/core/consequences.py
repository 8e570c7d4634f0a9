"""What follows when a provider gets fewer calls, or none: where its calls go, and whether that is more than is allowed.

Told before somebody does it. Pure arithmetic over the routes; what one route of several carries nobody counts, so each
is told as if all of the provider's calls went by it: never less than will come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wavecom.core.lanes import Channel
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep


@dataclass(frozen=True, slots=True)
class CallShift:
    """Calls that another provider gets; rates are calls a second. ``limit`` None: it has none."""

    provider: str
    added: float
    rate_before: float
    limit: float | None

    @property
    def rate_after(self) -> float:
        """All that it gets then."""
        return self.rate_before + self.added

    @property
    def is_over_limit(self) -> bool:
        """Whether it gets more than it may take: the rest waits."""
        return self.limit is not None and self.rate_after > self.limit


@dataclass(frozen=True, slots=True)
class Consequence:
    """What happens to one route. Without moves, and ``moved`` more than nothing, these messages wait."""

    channel: Channel
    #: "": the only one of its channel.
    route: str
    #: Calls a second that the provider does not get any more; below 0: that it gets in addition.
    moved: float
    moves: tuple[CallShift, ...]

    @property
    def waits(self) -> bool:
        """Whether nobody else is there for these messages."""
        return self.moved > 0 and not self.moves


@dataclass(frozen=True, slots=True)
class FleetCalls:
    """How things stand: the routes with the weights in force, calls a second, limits, and who is not called now."""

    routes: Mapping[Channel, ChannelRoutes]
    rates: Mapping[str, float]
    limits: Mapping[str, float | None]
    closed: frozenset[str] = frozenset()


def consequences(fleet: FleetCalls, provider: str, weight: float | None) -> list[Consequence]:
    """What follows, route by route, when ``provider`` is not called any more (None) or has another weight."""
    return [
        _of_route(fleet, provider, weight, channel, route)
        for channel, routes in fleet.routes.items()
        for route in routes.routes
        if not route.conditions.is_test and provider in route.providers
    ]


def _of_route(fleet: FleetCalls, provider: str, weight: float | None, channel: Channel, route: Route) -> Consequence:
    position = next(index for index, step in enumerate(route.steps) if provider in _names(step))
    step = route.steps[position]
    rate = fleet.rates.get(provider, 0.0)
    others = [each for each in step.alternatives if each.provider != provider and each.provider not in fleet.closed]
    if weight is None or (weight == 0 and _weight(others)):
        moved = rate
    else:
        moved = rate - _rate_with(step, provider, weight, fleet)
    # Those of the same step share by weight; without any, the next step in which somebody may be called.
    takers = others if _weight(others) or moved <= 0 else _later(route.steps[position + 1 :], provider, fleet) or others
    total = _weight(takers) or float(len(takers))
    moves = tuple(
        CallShift(
            each.provider,
            moved * ((each.weight / total) if _weight(takers) else 1 / total),
            fleet.rates.get(each.provider, 0.0),
            fleet.limits.get(each.provider),
        )
        for each in takers
        if each.weight or not _weight(takers)
    )
    return Consequence(channel, route.name, moved, moves)


def _rate_with(step: RouteStep, provider: str, weight: float, fleet: FleetCalls) -> float:
    """What the provider gets of all that the step carries now."""
    called = [each for each in step.alternatives if each.provider == provider or each.provider not in fleet.closed]
    carried = sum(fleet.rates.get(each.provider, 0.0) for each in called)
    total = weight + sum(each.weight for each in called if each.provider != provider)
    return carried * weight / total if total else carried


def _later(steps: tuple[RouteStep, ...], provider: str, fleet: FleetCalls) -> list[Alternative]:
    for step in steps:
        called = [each for each in step.alternatives if each.provider not in fleet.closed | {provider}]
        if called:
            return called
    return []


def _names(step: RouteStep) -> set[str]:
    return {each.provider for each in step.alternatives}


def _weight(alternatives: list[Alternative]) -> float:
    return sum(each.weight for each in alternatives)
