"""Routes: which providers serve a channel, and in which order one job tries them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


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
    """A channel's steps; a later one is used when no provider of an earlier one may be called."""

    steps: tuple[RouteStep, ...]

    @classmethod
    def of(cls, *providers: str) -> Route:
        """One provider after the other, without weights."""
        return cls(tuple(RouteStep((Alternative(provider),)) for provider in providers))

    @property
    def providers(self) -> tuple[str, ...]:
        """Every provider once, as declared."""
        return tuple(dict.fromkeys(each.provider for step in self.steps for each in step.alternatives))

    def order(self, draw: float, prefer: str | None = None) -> tuple[str, ...]:
        """Every provider of the route once, in the order in which a job should try them.

        ``draw`` is a random number in [0, 1). ``prefer`` goes first where it is on the route: a job whose last outcome
        was unknown returns to the provider that can recognise the repetition.
        """
        chosen = [] if prefer is None or prefer not in self.providers else [prefer]
        for step in self.steps:
            chosen += _shuffled(step.alternatives, draw)
        return tuple(dict.fromkeys(chosen))


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
