"""Providers as who runs WaveCom sees and changes them from outside the workers: by the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from wavecom.core.consequences import Consequence, FleetCalls, consequences
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.provider_control import ProviderControl
from wavecom.core.provider_overrides import OverrideStore, ProviderOverride
from wavecom.core.receipt_health import WeightFactor
from wavecom.core.routes import ChannelRoutes
from wavecom.core.weight_adjustment import WeightFactorStore
from wavecom.errors import InvalidRequestError, Problem, ProviderNotFoundError

#: What keeps a provider closed for longer belongs into the providers file.
LONGEST_PAUSE = timedelta(days=1)


class ProviderAvailability(StrEnum):
    """Whether a provider is called, in the words of ``wavecom providers list``."""

    IN_USE = "in use"
    #: It was left alone or paused a moment ago: few calls at first.
    STARTING = "starting slowly"
    #: It asked for a pause, or somebody here did.
    PAUSED = "paused"
    #: Its breaker is open …
    LEFT_ALONE = "left alone"
    #: … or half open: a few calls try it.
    TRIED = "being tried"


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """How a provider stands for all workers."""

    provider: str
    state: ProviderAvailability
    until: datetime | None
    reason: str
    #: What is wrong with our account, in one word (``core.job.Reason``); "" for nothing.
    account: str
    #: What its receipts leave of its weight, and why; "" for all of it.
    receipts: str = ""

    @property
    def trouble(self) -> str:
        """Why it gets fewer calls than it should, or none, in a word or two; "" where all is well."""
        if self.account or self.state not in {ProviderAvailability.IN_USE, ProviderAvailability.STARTING}:
            return self.account or self.state.value
        return "less weight" if self.receipts else ""


class ProviderBoard(Protocol):
    """Where workers say every second how the providers stand. Raises ``UnavailableError``."""

    def publish(self, statuses: Sequence[ProviderStatus]) -> None:
        """Say it; forgotten after some seconds."""
        ...

    def read(self) -> Mapping[str, ProviderStatus]:
        """What was said last, by provider; empty where no worker said anything."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderView:
    """One provider: what holds for it, and how it stands; None where that is not known, or nobody has changed it.

    ``factor`` is what its receipts leave of its weight, where ``override`` has none; None: the whole of it.
    """

    name: str
    override: ProviderOverride | None
    status: ProviderStatus | None
    factor: WeightFactor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderChange:
    """What is to hold from now on; ``sets_…`` tells whether that is to be changed at all."""

    reason: str
    sets_weight: bool = False
    weight: float | None = None
    sets_pause: bool = False
    paused_until: datetime | None = None


class ProviderAdministration:
    """The use cases. ``names``, ``routes`` and ``limits`` (calls a second) are those of the providers file."""

    def __init__(
        self,
        *,
        names: Sequence[str],
        routes: Mapping[Channel, ChannelRoutes],
        control: ProviderControl,
        overrides: OverrideStore,
        factors: WeightFactorStore,
        read_board: Callable[[], Mapping[str, ProviderStatus]],
        clock: Clock,
        limits: Mapping[str, float | None] = MappingProxyType({}),
    ) -> None:
        self._names = tuple(names)
        self._routes = routes
        self._control = control
        self._overrides = overrides
        self._factors = factors
        self._read_board = read_board
        self._clock = clock
        self._limits = limits

    @property
    def names(self) -> tuple[str, ...]:
        """The providers of the file, in its order."""
        return self._names

    def statuses(self) -> list[ProviderStatus]:
        """How the providers stand that workers have spoken of in the last seconds, in the order of the file; a read of
        the board, and nothing else. Empty where nobody can tell.
        """
        found = self._read_board()
        return [found[name] for name in self._names if name in found]

    def all(self) -> list[ProviderView]:
        """Every provider of the file, in its order. Raises ``StoreError``."""
        overrides, factors, statuses = self._overrides.all(), self._factors.all(), self._read_board()
        return [ProviderView(name, overrides.get(name), statuses.get(name), factors.get(name)) for name in self._names]

    def preview(self, name: str, weight: float | None, rates: Mapping[str, float]) -> list[Consequence]:
        """What follows when nobody calls the provider (None), or it has another weight; ``rates``: calls a second now.

        Raises ``ProviderNotFoundError`` and ``StoreError``.
        """
        if name not in self._names:
            raise ProviderNotFoundError(self._names)
        overrides, factors, statuses = self._overrides.all(), self._factors.all(), self._read_board()
        weights = {each.provider: each.weight for each in overrides.values() if each.weight is not None}
        shares = {provider: factor.percent / 100 for provider, factor in factors.items()}
        closed = {
            provider
            for provider, status in statuses.items()
            if status.state in {ProviderAvailability.PAUSED, ProviderAvailability.LEFT_ALONE} or status.account
        }
        now = self._clock.now()
        closed |= {each.provider for each in overrides.values() if each.paused_until and each.paused_until > now}
        routes = {channel: each.with_weights(weights, shares) for channel, each in self._routes.items()}
        return consequences(FleetCalls(routes, rates, self._limits, frozenset(closed - {name})), name, weight)

    def limit_of(self, name: str) -> float | None:
        """Calls a second that the provider may get from all workers together; None: as many as there are."""
        return self._limits.get(name)

    def file_weights(self, name: str) -> tuple[float, ...]:
        """Its weights in the file, one for each step that it shares with others."""
        return tuple(
            each.weight
            for routes in self._routes.values()
            for route in routes.routes
            for step in route.steps
            for each in step.alternatives
            if each.provider == name and len(step.alternatives) > 1
        )

    def change(self, name: str, change: ProviderChange, *, actor: str) -> ProviderView:
        """Bring it about, in all workers within a second; the provider as it is then. May be repeated.

        Raises ``ProviderNotFoundError``, ``InvalidRequestError`` for what would change nothing, and ``StoreError``.
        """
        if name not in self._names:
            raise ProviderNotFoundError(self._names)
        self._check(name, change)
        if change.sets_weight:
            self._control.weigh(name, change.weight, actor=actor, reason=change.reason)
        if change.sets_pause and change.paused_until is not None:
            self._control.pause(name, change.paused_until, actor=actor, reason=change.reason)
        elif change.sets_pause:
            self._control.reopen(name, actor=actor, reason=change.reason)
        return next(view for view in self.all() if view.name == name)

    def _check(self, name: str, change: ProviderChange) -> None:
        problems = []
        if change.sets_weight and not any(each.shares_a_step(name) for each in self._routes.values()):
            text = "changes nothing: the provider shares no step of a route; pause it instead"
            problems.append(Problem("/weight", text, "not_allowed"))
        now = self._clock.now()
        if change.paused_until is not None and not now < change.paused_until <= now + LONGEST_PAUSE:
            problems.append(Problem("/pausedUntil", "must be in the future, within a day", "out_of_range"))
        if not (change.sets_weight or change.sets_pause):
            problems.append(Problem("", "must have weight or pausedUntil: what is to change", "required"))
        if problems:
            raise InvalidRequestError(problems)
