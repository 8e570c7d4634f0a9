"""What the providers file says, as values. Nothing here reads files or opens connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

from wavecom.core.job import Channel
from wavecom.providers.configuration.options import number, set_of, text, whole_number

OptionsT = TypeVar("OptionsT")

#: No provider's ``timeout_seconds`` is longer, and most types allow less: see ``BaseProvider``.
LONGEST_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerConfig:
    """When a provider is left alone for a while: table ``breaker`` of a provider."""

    #: Share of the calls within the window that must have failed.
    failure_rate: Annotated[float, number(0.01, 1)] = 0.5
    #: Fewer calls than this say nothing.
    min_calls: Annotated[int, whole_number(1, 10_000)] = 10
    window_seconds: Annotated[float, number(1, 600)] = 10
    #: Failures of so many recipients in a row open it, however good the window was.
    max_failures_in_a_row: Annotated[int, whole_number(1, 10_000)] = 10
    open_seconds: Annotated[float, number(0.1, 600)] = 5
    #: Each opening doubles the pause, up to this.
    open_cap_seconds: Annotated[float, number(0.1, 3600)] = 60
    #: Each time that it stays closed for so long takes one doubling back.
    forget_seconds: Annotated[float, number(1, 3600)] = 15
    #: A call that takes longer is slow; where most are, that is as bad as failing.
    slow_seconds: Annotated[float, number(0.05, 3_600)] = 5
    #: So many recipients in a row must be told to wait (429, Retry-After) before nobody is called for that long.
    recipients_to_pause: Annotated[int, whole_number(1, 100)] = 3
    #: The longest such pause, whatever a provider asks for.
    pause_cap_seconds: Annotated[float, number(1, 86_400)] = 600
    #: Slow start after a pause: calls let in at once, two more for each that was taken. 0: all at once.
    ramp_calls: Annotated[int, whole_number(0, 10_000)] = 6
    #: It is over after this at the latest.
    ramp_seconds: Annotated[float, number(1, 3600)] = 60


#: A call by SMTP takes a thread of ours and a connection of the server's, which counts them.
_MAIL_CONNECTIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig(Generic[OptionsT]):
    """One ``[providers.<name>]`` table: the keys that every type has, and ``options``, its type's own."""

    name: str
    type: str
    #: The type's own keys, as its class declares them. May hold secrets, so it is never shown.
    options: OptionsT = field(repr=False)
    #: What this provider is used for; by default all that its type can do.
    channels: Annotated[frozenset[Channel], set_of(Channel)] = frozenset(Channel)
    #: Total deadline of one call, name look-up and the slowest answer included; of SMTP, of each step before the mail.
    timeout_seconds: Annotated[float, number(0.1, LONGEST_TIMEOUT_SECONDS)] = 10
    #: Calls per second over all workers together; None: no limit.
    rate_per_second: Annotated[float | None, number(0.01, 100_000)] = None
    #: Calls that may come at once after a pause; None: a tenth of a second's rate.
    burst: Annotated[int | None, whole_number(1, 100_000)] = None
    #: Calls under way at once in one worker; None: see ``most_calls``.
    max_concurrency: Annotated[int | None, whole_number(1, 512)] = None
    #: No retry sooner than this after an attempt that ended with this provider.
    retry_floor_seconds: Annotated[float, number(0, 86_400)] = 0
    #: The first step between attempts and the longest; None: as the settings say.
    retry_base_seconds: Annotated[float | None, number(1, 86_400)] = None
    retry_cap_seconds: Annotated[float | None, number(1, 86_400)] = None
    breaker: BreakerConfig = BreakerConfig()

    @property
    def is_patient(self) -> bool:
        """A call may take minutes: a mail server may look through a mail before it says that it has it."""
        return self.type == "smtp"

    @property
    def most_calls(self) -> int | None:
        """Calls under way at once in one worker; None: as many as it makes, half of them where there are others."""
        if self.max_concurrency is None and self.type == "smtp":
            return _MAIL_CONNECTIONS
        return self.max_concurrency


@dataclass(frozen=True, slots=True)
class Alternative:
    """One provider of a step and its share of the traffic, relative to the step's other weights.

    A weight of 0 means: only when the others of the step are unavailable.
    """

    provider: Annotated[str, text()]
    weight: Annotated[int, whole_number(0, 1_000_000)] = 1


@dataclass(frozen=True, slots=True)
class ConfiguredStep:
    """Providers among which one is drawn by weight; the others of the step follow when it is unavailable."""

    alternatives: tuple[Alternative, ...]


#: A channel's steps, in order: a later one is used when all of the earlier are unavailable.
Route = tuple[ConfiguredStep, ...]


@dataclass(frozen=True, slots=True)
class ProvidersConfig:
    """The whole file. Every name in a route is a provider that serves the channel; without a route nobody serves it."""

    providers: Mapping[str, ProviderConfig[Any]]
    routes: Mapping[Channel, Route]
