"""The services of ``wavecom providers``, opened when a command first asks for them."""

from __future__ import annotations

import secrets

import click

from wavecom.observability import configure_logging
from wavecom.services.provider_control import ProviderServices, provider_services
from wavecom.settings import Settings


def open_services() -> ProviderServices:
    """The services of the command that runs; closed when it ends. Raises ``ProvidersFileError``."""
    context = click.get_current_context()
    root = context.find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        configure_logging(settings.log_level, "providers")
        root.obj = provider_services(settings, lambda: secrets.token_hex(16))
        root.call_on_close(root.obj.close)
    found: ProviderServices = root.obj
    return found
