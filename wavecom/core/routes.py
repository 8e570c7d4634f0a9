"""Routes: which providers serve a channel, and in which order one job tries them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from wavecom.core.lanes import Channel
from wavecom.core.route_conditions import ASK_NOTHING, Conditions, Routable

#: The field of a payload that says from whom a message comes; a push message has none.
SENDER_FIELDS: Mapping[Channel, str] = {Channel.EMAIL: "from", Channel.SMS: "senderId"}


@dataclass(frozen=True, slots=True)
class Alternative:
    """One provider of a step. ``weight`` is its share of the step's jobs; 0 means only when the others can't."""

    provider: str
    weight: float = 1

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"the weight of {self.provider} must not be negative, but is {self.weight}")


@dataclass(frozen=True, slots=True)
class RouteStep:
    """Providers that share the load by weight."""

    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Steps for the notifications that fulfil ``conditions``; a later one is used when no provider of an earlier one
    may be called.
    """

    steps: tuple[RouteStep, ...]
    #: For people; one of its own in its channel.
    name: str = ""
    conditions: Conditions = ASK_NOTHING
    #: From whom its messages come that don't say it themselves; None: as each provider is configured.
    sender: str | None = None

    @classmethod
    def of(cls, *providers: str) -> Route:
        """One provider after the other, without weights."""
        return cls(tuple(RouteStep((Alternative(provider),)) for provider in providers))

    @property
    def providers(self) -> tuple[str, ...]:
        """Every provider once, as declared."""
        return tuple(dict.fromkeys(each.provider for step in self.steps for each in step.alternatives))

    def with_weights(self, weights: Mapping[str, float], factors: Mapping[str, float]) -> Self:
        """The same route with these weights (by provider) in place of its own, and its own multiplied by ``factors``
        where there is no other.
        """

        def weighted(each: Alternative) -> Alternative:
            own = each.weight * factors.get(each.provider, 1)
            return replace(each, weight=weights.get(each.provider, own))

        steps = tuple(RouteStep(tuple(map(weighted, step.alternatives))) for step in self.steps)
        return replace(self, steps=steps)

    def with_sender(self, channel: Channel, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """``payload`` with this route's sender, where the message names none itself."""
        field = SENDER_FIELDS.get(channel)
        if self.sender is None or field is None or payload.get(field) is not None:
            return payload
        return {**payload, field: self.sender}

    def order(self, draw: float, prefer: str | None = None) -> tuple[str, ...]:
        """Every provider of the route once, in the order in which a job should try them.

        ``draw`` is a random number in [0, 1). ``prefer`` goes first where it is on the route: a job whose last outcome
        was unknown returns to the provider that can recognise the repetition.
        """
        chosen = [] if prefer is None or prefer not in self.providers else [prefer]
        for step in self.steps:
            chosen += _shuffled(step.alternatives, draw)
        return tuple(dict.fromkeys(chosen))


@dataclass(frozen=True, slots=True)
class ChannelRoutes:
    """A channel's routes; the first whose conditions a notification fulfils is its own."""

    routes: tuple[Route, ...]

    @classmethod
    def of(cls, *providers: str) -> ChannelRoutes:
        """One route for all: one provider after the other, without weights."""
        return cls((Route.of(*providers),))

    @property
    def only(self) -> Route | None:
        """The one route that every live notification goes by, without a sender of its own; None where there are more
        to choose from.
        """
        first = self.routes[0] if self.routes else None
        return first if first is not None and first.conditions.ask_nothing and first.sender is None else None

    @property
    def take_all(self) -> bool:
        """Whether every live notification has a route."""
        return any(route.conditions.ask_nothing for route in self.routes)

    @property
    def providers(self) -> tuple[str, ...]:
        """Every provider that live notifications go through, once, as declared."""
        named = (name for route in self.routes if not route.conditions.is_test for name in route.providers)
        return tuple(dict.fromkeys(named))

    def shares_a_step(self, provider: str) -> bool:
        """Whether the provider stands beside others in a step, so that its weight makes a difference."""
        steps = [step.alternatives for route in self.routes for step in route.steps]
        return any(len(step) > 1 and provider in {each.provider for each in step} for step in steps)

    def route_of(self, notification: Routable) -> Route | None:
        """The notification's route; None where none is for it."""
        return next((route for route in self.routes if not route.conditions.mismatch(notification)), None)

    def with_weights(self, weights: Mapping[str, float], factors: Mapping[str, float]) -> ChannelRoutes:
        """The same routes with these weights and factors; see ``Route.with_weights``."""
        return ChannelRoutes(tuple(route.with_weights(weights, factors) for route in self.routes))


def _shuffled(alternatives: tuple[Alternative, ...], draw: float) -> list[str]:
    """All members of one step: the weighted choice first, then the choice among the rest, and so on."""
    if len(alternatives) == 1:
        return [alternatives[0].provider]
    waiting = list(alternatives)
    order = []
    while waiting:
        index, draw = _choose(waiting, draw)
        order.append(waiting.pop(index).provider)
    return order


def _choose(alternatives: list[Alternative], draw: float) -> tuple[int, float]:
    """The index drawn, and what is left of the draw, which is uniform in [0, 1) again."""
    place = draw * sum(each.weight for each in alternatives)
    for index, each in enumerate(alternatives):
        if place < each.weight:
            return index, place / each.weight
        place -= each.weight
    # Only members with weight 0 are left, or rounding fell off the end: the order of the file decides.
    return next((i for i, each in enumerate(alternatives) if each.weight > 0), 0), 0.0
