"""The settings of a provider's circuit breaker: set in the providers file, used by ``wavecom.routing``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a breaker opens, for how long, and what it takes to close it again."""

    #: The rates below are taken over about this long (two buckets, the older one weighted by what is left of it).
    window_seconds: float = 10
    min_calls: int = 10
    failure_rate: float = 0.5
    #: Failures of so many recipients in a row open it at once, however good the window was before.
    max_failures_in_a_row: int = 10
    slow_seconds: float = 5
    slow_rate: float = 0.8
    open_seconds: float = 5
    #: Each opening doubles the pause, up to this.
    open_cap_seconds: float = 60
    #: The first pause, and the longest, where the provider refuses our account: that ends when people put it right.
    account_open_seconds: float = 60
    account_cap_seconds: float = 900
    #: Each time that it stays closed for so long takes one doubling back.
    forget_seconds: float = 15
    #: Probes in flight at once, across the whole fleet.
    max_probes: int = 3
    successes_to_close: int = 3
    #: A probe that is not heard of for so long is given to another caller. Longer than any provider's deadline.
    probe_lease_seconds: float = 15
    #: So many recipients in a row must have been told to come back later before nobody is called for that long.
    recipients_to_pause: int = 3
    #: The longest such pause, whatever was asked for.
    pause_cap_seconds: float = 600
    #: Slow start: calls let in at once after a pause, and when it is over at the latest. 0 calls: no slow start.
    ramp_calls: int = 6
    ramp_seconds: float = 60
