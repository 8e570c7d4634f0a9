"""A request to try, for who has just started WaveCom, and whom it reaches: the sandbox's outbox, or real people."""

from __future__ import annotations

import json
from typing import Any

from wavecom.core.lanes import Channel
from wavecom.providers.configuration.values import ProvidersConfig

_SANDBOX = "sandbox"

#: Addresses that belong to nobody: 555-01xx (North American numbering plan), example.com (RFC 2606), a made-up token.
_EXAMPLES: dict[Channel, dict[str, Any]] = {
    Channel.SMS: {"type": "sms", "to": {"phone": "+12025550100"}, "payload": {"text": "Hello from WaveCom"}},
    Channel.EMAIL: {
        "type": "email",
        "to": {"email": "amina@example.com"},
        "payload": {"subject": "Hello", "text": "Hello from WaveCom"},
    },
    Channel.PUSH: {"type": "push", "to": {"platform": "fcm", "token": "device-1"}, "payload": {"title": "Hello"}},
}
_WORDS = {Channel.SMS: "a text message", Channel.EMAIL: "an e-mail", Channel.PUSH: "a push message"}


def first_request(config: ProvidersConfig | None, url: str, key_in_shell: str) -> str:
    """What the request does, then a line for a shell. ``config`` None: the sandbox serves every channel.

    A channel that only the sandbox serves comes first; where there is none, the text says who gets the message.
    """
    channel, providers = _channel(config)
    body = json.dumps(_EXAMPLES[channel])
    line = (
        f"curl -sS {url}/api/notifications -H 'Content-Type: application/json'"
        f" -H \"Authorization: Bearer {key_in_shell}\" -d '{body}'"
    )
    return f"\n{_explained(config, channel, providers)}\n\n{line}\n"


def _channel(config: ProvidersConfig | None) -> tuple[Channel, tuple[str, ...]]:
    if config is None:
        return Channel.SMS, ()
    served = {channel: _providers(config, channel) for channel in _EXAMPLES}
    quiet = [channel for channel, names in served.items() if names and not _real(config, names)]
    [channel, *_] = [*quiet, *(channel for channel, names in served.items() if names), Channel.SMS]
    return channel, served[channel]


def _providers(config: ProvidersConfig, channel: Channel) -> tuple[str, ...]:
    route = config.routes.get(channel)
    return () if route is None else route.providers


def _real(config: ProvidersConfig, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if config.providers[name].type != _SANDBOX]


def _explained(config: ProvidersConfig | None, channel: Channel, names: tuple[str, ...]) -> str:
    what = f"Send {_WORDS[channel]}"
    if config is None or not (real := _real(config, names)):
        return f"{what} to the sandbox, which reaches nobody:"
    through = ", ".join(f"{name} ({config.providers[name].type})" for name in real)
    return (
        f"{what} through {through}. Warning: this is a real provider, not the sandbox. The message goes out, may cost\n"
        "money and reaches whoever has the address in it; a test key (wavecom keys create --test) reaches nobody:"
    )
