"""What the providers file says, as values, and the checks that a provider's options are declared with.

Knows no provider: ``file`` reads the file, ``factory`` makes providers of it.
"""

from wavecom.providers.configuration.values import (
    ALTERNATIVE_CHECKS,
    BREAKER_CHECKS,
    ProviderConfig,
    ProvidersConfig,
)

__all__ = [
    "ALTERNATIVE_CHECKS",
    "BREAKER_CHECKS",
    "ProviderConfig",
    "ProvidersConfig",
]
