"""What the providers file says, as values. Nothing here reads files or opens connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, TypeVar

from marshmallow import ValidationError, fields

from wavecom.core.account import CLIENT_NAME_RULE, is_client_name
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.lanes import Channel
from wavecom.core.prices import PriceRange
from wavecom.core.regions import Regions
from wavecom.core.routes import ChannelRoutes
from wavecom.providers.configuration.options import flag, number, one_or_more, set_of, text, whole_number

OptionsT = TypeVar("OptionsT")


def check_client(value: str) -> None:
    """Raises ``ValidationError`` for what no client can be called."""
    if not is_client_name(value):
        raise ValidationError(f"a client's name has {CLIENT_NAME_RULE}")


def check_price(value: str) -> None:
    """Raises ``ValidationError`` for what is no range of prices."""
    try:
        PriceRange.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


#: No provider's ``timeout_seconds`` is longer, and most types allow less: see ``BaseProvider``.
LONGEST_TIMEOUT_SECONDS = 300


#: The keys of a provider's table ``breaker``, which are settings of ``BreakerSettings``, and what each may be.
BREAKER_CHECKS: Final[Mapping[str, fields.Field[Any]]] = {
    "failure_rate": number(0.01, 1),
    "min_calls": whole_number(1, 10_000),
    "window_seconds": number(1, 600),
    "max_failures_in_a_row": whole_number(1, 10_000),
    "open_seconds": number(0.1, 600),
    "open_cap_seconds": number(0.1, 3600),
    "account_open_seconds": number(0.1, 3600),
    "account_cap_seconds": number(0.1, 86_400),
    "forget_seconds": number(1, 3600),
    "slow_seconds": number(0.05, 3_600),
    "recipients_to_pause": whole_number(1, 100),
    "pause_cap_seconds": number(1, 86_400),
    "ramp_calls": whole_number(0, 10_000),
    "ramp_seconds": number(1, 3600),
}
#: The keys of a provider in a route (``Alternative``), and what each may be.
ALTERNATIVE_CHECKS: Final[Mapping[str, fields.Field[Any]]] = {"provider": text(), "weight": whole_number(0, 1_000_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig(Generic[OptionsT]):
    """One ``[providers.<name>]`` table: the keys that every type has, and ``options``, its type's own."""

    name: str
    type: str
    #: The type's own keys, as its class declares them. May hold secrets, so it is never shown.
    options: OptionsT = field(repr=False)
    #: The client whose own credentials these are: only its messages go through this provider. None: everybody's.
    client: Annotated[str | None, text(check=check_client)] = None
    #: What this provider is used for; by default all that its type can do.
    channels: Annotated[frozenset[Channel], set_of(Channel)] = frozenset(Channel)
    #: The regions for whose jobs it may be called (``core/regions.py``); empty: all, and where there are none.
    regions: Annotated[frozenset[str], one_or_more(text(), 'must be a list of regions such as ["eu"]')] = frozenset()
    #: Total deadline of one call, name look-up and the slowest answer included; of SMTP, of each step before the mail.
    timeout_seconds: Annotated[float, number(0.1, LONGEST_TIMEOUT_SECONDS)] = 10
    #: Calls per second over all workers together; None: no limit.
    rate_per_second: Annotated[float | None, number(0.01, 100_000)] = None
    #: Calls that may come at once after a pause; None: a tenth of a second's rate.
    burst: Annotated[int | None, whole_number(1, 100_000)] = None
    #: Calls under way at once in one worker; None: as many as it makes, half of them where there are others.
    max_concurrency: Annotated[int | None, whole_number(1, 512)] = None
    #: No retry sooner than this after an attempt that ended with this provider.
    retry_floor_seconds: Annotated[float, number(0, 86_400)] = 0
    #: The first step between attempts and the longest; None: as the settings say.
    retry_base_seconds: Annotated[float | None, number(1, 86_400)] = None
    retry_cap_seconds: Annotated[float | None, number(1, 86_400)] = None
    #: Whether its weight falls while its receipts are slow or bad (``core/receipt_health.py``).
    adjust_weight: Annotated[bool, flag()] = True
    #: What a segment of a text message costs (``core/prices.py``), for previews; None: not told.
    segment_price: Annotated[str | None, text(check=check_price)] = None
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    #: A call may take minutes. Its class says so, not the file.
    is_patient: bool = False


@dataclass(frozen=True, slots=True)
class ProvidersConfig:
    """The whole file. Every name in a route is a provider that serves the channel; without a route nobody serves it."""

    providers: Mapping[str, ProviderConfig[Any]]
    routes: Mapping[Channel, ChannelRoutes]
    #: None: all jobs go through the same lanes.
    regions: Regions | None = None
