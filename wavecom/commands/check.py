"""``wavecom check``: read a providers file as a worker would, and say what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from wavecom.commands.console import console, table_of
from wavecom.core.lanes import Channel
from wavecom.core.routes import ChannelRoutes, Route
from wavecom.providers.configuration import ProviderConfig, ProvidersConfig
from wavecom.providers.factory import check_http_versions
from wavecom.providers.file import read_providers_file
from wavecom.providers.transport import make_transport
from wavecom.settings import Settings

_EFFECT = (
    "Changes take effect when processes start: restart the workers, one after the other if you like (what they hold "
    "goes back to its queue), and the web app when channels come or go."
)


@click.command("check", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check a providers file: name every mistake by line, or say which channel goes through which provider.

    FILE is by default that of WAVECOM_PROVIDERS. It is read as a worker reads it, so the variables that it names must
    be set; nobody is called, and no secret is shown.

    \b
    Exit code: 0 it can be used, 2 it can't.

    \b
    Before a change goes live:
      wavecom check /etc/wavecom/providers.toml && systemctl restart 'wavecom-worker@*'
    """
    settings = Settings.from_environment()
    file = file or settings.providers_file
    if file is None:
        click.echo("No FILE was named and WAVECOM_PROVIDERS is not set: the sandbox takes every channel.")
        return
    config = read_providers_file(file, settings.environment)
    check_http_versions(config, make_transport().http_versions)
    out = console()
    out.print(f"{file} can be used.\n")
    channels = table_of("channel", "of", "goes through")
    for channel in Channel:
        for when, route in _routes_of(config.routes.get(channel)):
            channels.add_row(channel, when, route)
    out.print(channels)
    out.print()
    providers = table_of("provider", "type", "where", "for", "timeout", "limits", whole=frozenset({"provider"}))
    for name, provider in config.providers.items():
        providers.add_row(*_row(name, provider))
    out.print(providers)
    for remark in _remarks(config):
        out.print(f"\nNote: {remark}", soft_wrap=True)
    out.print(f"\n{_EFFECT}", soft_wrap=True)


def _routes_of(routes: ChannelRoutes | None) -> Iterator[tuple[str, str]]:
    """For whom each route is, and through which providers it leads."""
    refused = "nobody: sending it is refused (422 channel_not_served)"
    if routes is None:
        yield "all", refused
        return
    for route in routes.routes:
        sender = f", as {route.sender}" if route.sender else ""
        yield f"{route.name}: {route.conditions}" if len(routes.routes) > 1 else "all", _route_text(route) + sender
    if not routes.take_all:
        yield "all others", refused


def _route_text(route: Route) -> str:
    """``mail, else gateway 90% or spare 10%``."""
    steps = []
    for step in route.steps:
        total = sum(each.weight for each in step.alternatives)
        if len(step.alternatives) == 1 or not total:
            steps.append(" or ".join(each.provider for each in step.alternatives))
        else:
            steps.append(" or ".join(f"{each.provider} {each.weight / total:.0%}" for each in step.alternatives))
    return ", else ".join(steps)


def _row(name: str, provider: ProviderConfig[Any]) -> tuple[str, ...]:
    limits = []
    if provider.rate_per_second is not None:
        limits.append(f"{provider.rate_per_second:g} a second")
    if provider.max_concurrency is not None:
        limits.append(f"{provider.max_concurrency} calls at once in a worker")
    return (
        name,
        provider.type,
        _where(provider.options),
        ", ".join(channel for channel in Channel if channel in provider.channels),
        f"{provider.timeout_seconds:g} s",
        ", ".join(limits) or "none",
    )


def _where(options: object) -> str:
    """Scheme, host and port: an address may hold a password, or a token in its path."""
    url, host = getattr(options, "url", None), getattr(options, "host", None)
    if isinstance(url, str):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return f"{host}:{getattr(options, 'port', '')}" if isinstance(host, str) else "this machine"


def _remarks(config: ProvidersConfig) -> Iterator[str]:
    named = {channel: route.providers for channel, route in config.routes.items()}
    for name, provider in config.providers.items():
        channels = [channel for channel, providers in named.items() if name in providers]
        if not channels:
            yield f"no route names the provider {name}, so nothing goes through it."
        elif provider.type == "sandbox":
            what = ", ".join(channels)
            yield f"what goes to the sandbox {name} ({what}) reaches nobody, messages of live keys included."
