"""The providers file: which providers there are, how each is set, and which channel goes through which of them."""

from wavecom.providers.configuration.file import parse_providers, read_providers_file, served_channels
from wavecom.providers.configuration.values import (
    Alternative,
    BreakerConfig,
    ConfiguredStep,
    ProviderConfig,
    ProvidersConfig,
    Route,
)

__all__ = [
    "Alternative",
    "BreakerConfig",
    "ConfiguredStep",
    "ProviderConfig",
    "ProvidersConfig",
    "Route",
    "parse_providers",
    "read_providers_file",
    "served_channels",
]
