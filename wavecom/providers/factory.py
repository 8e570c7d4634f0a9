"""Makes providers of their configuration: the one module that knows file, registry and base classes together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wavecom.core.lanes import Channel
from wavecom.core.ports import Provider
from wavecom.core.routes import ChannelRoutes
from wavecom.errors import Problem, ProvidersFileError
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig, ProvidersConfig
from wavecom.providers.file import read_providers_file
from wavecom.providers.registry import provider_class
from wavecom.providers.transport import HttpVersion


def load_config(path: Path | None, environment: Mapping[str, str]) -> ProvidersConfig:
    """The providers file, or the sandbox for every channel where there is none. Raises ``ProvidersFileError``."""
    return sandbox_config("sandbox") if path is None else read_providers_file(path, environment)


def sandbox_config(name: str) -> ProvidersConfig:
    """One sandbox with default options, called ``name``, for every channel."""
    options = provider_class("sandbox").options_class()
    sandbox: ProviderConfig[Any] = ProviderConfig(name=name, type="sandbox", options=options)
    return ProvidersConfig({name: sandbox}, dict.fromkeys(Channel, ChannelRoutes.of(name)))


def build_providers(config: ProvidersConfig, dependencies: ProviderDependencies) -> dict[str, Provider]:
    """The declared providers, by name. Opens no connection and starts no thread: that waits for the first message.

    Raises ``ProvidersFileError`` where one needs an HTTP version that the transport does not speak.
    """
    check_http_versions(config, dependencies.transport.http_versions)
    return {name: provider_class(each.type)(each, dependencies) for name, each in config.providers.items()}


def check_http_versions(config: ProvidersConfig, spoken: frozenset[HttpVersion]) -> None:
    """Raises ``ProvidersFileError``, with a problem for each provider that needs a version that is not ``spoken``."""
    needed = {name: provider_class(each.type).http_version for name, each in config.providers.items()}
    problems = [
        Problem(
            f"providers.{name}",
            f"needs {version}, which this Python can't speak: install pycurl with a libcurl that can, as its "
            "wheels can (pip install --only-binary :all: pycurl)",
            "http_version",
        )
        for name, version in needed.items()
        if version is not None and version not in spoken
    ]
    if problems:
        raise ProvidersFileError(problems)


def build_sandbox(name: str, dependencies: ProviderDependencies) -> Provider:
    """A sandbox with default options, whatever the providers file declares."""
    return build_providers(sandbox_config(name), dependencies)[name]
