"""The providers file: reading and checking it. ``configuration`` holds the values that come of it."""

from wavecom.providers.file.reader import (
    declared_limits,
    declared_prices,
    declared_providers,
    declared_regions,
    parse_providers,
    read_providers_file,
    read_receiving_providers,
    served_routes,
)

__all__ = [
    "declared_limits",
    "declared_prices",
    "declared_providers",
    "declared_regions",
    "parse_providers",
    "read_providers_file",
    "read_receiving_providers",
    "served_routes",
]
