"""What the providers file says, as values, and the checks that a provider's options are declared with.

Knows no provider: ``file`` reads the file, ``factory`` makes providers of it.
"""

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
]
