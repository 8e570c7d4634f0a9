"""What every gate shares: its settings, its permits, and what the router asks of it beyond ``core.ports.Gate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.lanes import Priority
from wavecom.core.ports import Gate, Permit
from wavecom.routing.breaker import ProviderHealth
from wavecom.routing.bulkhead import Bulkhead
from wavecom.routing.ratelimit import RateSettings

#: Reasons of a ``Refusal``.
BULKHEAD = "bulkhead"
BREAKER_OPEN = "breaker_open"
PROBES_TAKEN = "probes_taken"
RATE_LIMIT = "rate_limit"
THROTTLED = "throttled"
SLOW_START = "slow_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """How one provider may be called."""

    #: Of all workers together; None: no limit.
    rate_per_second: float | None = None
    #: Permits that may be used at once after a quiet time; None: a tenth of a second's worth, at least 1.
    burst: float | None = None
    #: Calls in flight in one process; None: what the bulkhead allows.
    max_concurrency: int | None = None
    #: Its calls may take minutes: all such providers together leave room for others (``Bulkhead``).
    is_patient: bool = False
    breaker: BreakerSettings = field(default_factory=BreakerSettings)

    @property
    def rate(self) -> RateSettings | None:
        """The rate limit with its defaults filled in; None: no limit."""
        if self.rate_per_second is None:
            return None
        return RateSettings(self.rate_per_second, self.burst or max(1.0, self.rate_per_second / 10))


def bulkhead_of(providers: Mapping[str, GateSettings], threads: int) -> Bulkhead:
    """The bulkhead of one process with so many threads."""
    limits = {name: settings.max_concurrency for name, settings in providers.items()}
    return Bulkhead(limits, threads, [name for name, settings in providers.items() if settings.is_patient])


@dataclass(frozen=True, slots=True)
class IssuedPermit(Permit):
    """A permit as the gates issue it, with what they need to know when it comes back."""

    priority: Priority = Priority.NORMAL
    cost: int = 1
    #: The breaker's epoch at the time; an outcome of an earlier epoch says nothing about this one.
    epoch: int = 0
    #: Names the probe, "" for an ordinary call.
    probe: str = ""
    #: Issued in the name of the whole fleet, not by one process on its own.
    is_shared: bool = False


class RoutingGate(Gate, Protocol):
    """A gate that can also be asked without taking a permit."""

    def wait_seconds(self, provider: str, priority: Priority) -> float:
        """About how long until a permit is worth asking for; 0: now. Cheap: never asks a server."""
        ...

    def paused(self) -> Mapping[str, float]:
        """The providers that nobody may call for a while, as they or an operator want it → for how many seconds more.

        Of what is known here: never asks a server.
        """
        ...

    def charge(self, permit: Permit, extra_cost: int) -> None:
        """The call turned out to weigh more than was asked for: the surplus is taken from later callers."""
        ...

    def snapshot(self) -> list[ProviderHealth]:
        """The state of every provider."""
        ...


def issued(permit: Permit) -> IssuedPermit:
    """``permit``, which must be one that a gate has issued, else ``TypeError``."""
    if not isinstance(permit, IssuedPermit):
        raise TypeError(f"a permit for {permit.provider} was not issued by this gate")
    return permit
