"""The table ``[routes]`` of the providers file: for each channel one list of providers, or several with conditions.

::

    [routes]
    email = ["mail", "gateway"]                      # one route for all: the second where the first may not be called

    [[routes.sms]]                                   # the first whose conditions hold
    name = "germany"
    when = { country = "DE", client = ["shop", "bank"] }
    providers = [{ provider = "a", weight = 90 }, { provider = "b", weight = 10 }, "c"]
    sender = "SHOP"

    [[routes.sms]]                                   # without conditions: everything else
    providers = ["c"]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from marshmallow import ValidationError, fields

from wavecom.core.lanes import Channel
from wavecom.core.phone_countries import COUNTRIES
from wavecom.core.route_conditions import Conditions
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep
from wavecom.providers.configuration.options import (
    Mistake,
    checks_of,
    flag,
    load,
    one_or_more,
    suggestion,
    table_of_texts,
    text,
    unknown_keys,
)
from wavecom.providers.configuration.values import ALTERNATIVE_CHECKS, ProviderConfig, check_client
from wavecom.providers.registry import provider_class

Path = tuple[str | int, ...]


def is_country(value: str) -> None:
    """Raises ``ValidationError`` for what is no country (ISO 3166-1 alpha-2, upper case)."""
    if value not in COUNTRIES:
        near = {"UK": "GB", "EL": "GR"}.get(value.upper(), value.upper())
        hint = f'; did you mean "{near}"?' if near in COUNTRIES else "; write its two letters (ISO 3166-1), such as DE"
        raise ValidationError(f"there is no country {value!r}{hint}")


def _is_prefix(value: str) -> None:
    if not re.fullmatch(r"\+[1-9][0-9]{0,14}", value):
        raise ValidationError('must begin as numbers do, with + and the country code: "+49" or "+447"')


_CONDITION_CHECKS: Final[Mapping[str, fields.Field[Any]]] = {
    "country": one_or_more(text(check=is_country), 'must be a country such as "DE", or a list of them'),
    "prefix": one_or_more(text(check=_is_prefix), 'must be the beginning of numbers such as "+447", or a list of them'),
    "client": one_or_more(text(check=check_client), "must be a client's name, or a list of them"),
    "platform": one_or_more(
        text(choices=("apns", "fcm", "webpush")), "must be apns, fcm or webpush, or a list of them"
    ),
    "tag": table_of_texts('must be a table of names in metadata and their values: { campaign = "autumn" }'),
    "test": flag(),
}
#: Conditions that ask of what only one channel's notifications have.
_CHANNEL_OF: Final = {"country": Channel.SMS, "prefix": Channel.SMS, "platform": Channel.PUSH}
_ROUTE_CHECKS: Final[Mapping[str, fields.Field[Any]]] = {"name": text(), "sender": text()}
_EXAMPLE = 'must be a list of providers, such as ["first", "second"]'


class RoutesReader:
    """One reading of the table; goes on after a mistake so as to find all. ``mistakes`` are added to.

    ``channels`` says of each provider's name what it serves; None where nobody knows. ``providers`` are those that
    could be read.
    """

    def __init__(
        self,
        mistakes: list[Mistake],
        channels: Mapping[str, frozenset[Channel]] | None,
        providers: Mapping[str, ProviderConfig[Any] | None],
    ) -> None:
        self._mistakes = mistakes
        self._channels = channels
        self._providers = providers

    def read(self, table: Mapping[str, Any]) -> dict[Channel, ChannelRoutes]:
        """The routes of every channel that has any."""
        self._extend(("routes",), unknown_keys(table, [channel.value for channel in Channel]))
        return {channel: self._channel(channel, table[channel.value]) for channel in Channel if channel.value in table}

    def _channel(self, channel: Channel, raw: object) -> ChannelRoutes:
        path: Path = ("routes", channel.value)
        if not isinstance(raw, list) or not raw:
            self._add(path, f"{_EXAMPLE}; leave it out where nobody serves it")
            return ChannelRoutes(())
        if not any(isinstance(item, dict) and _is_route(item) for item in raw):
            return ChannelRoutes((self._plain(channel, raw, path),))
        routes: list[Route] = []
        for index, item in enumerate(raw):
            if not (isinstance(item, dict) and _is_route(item)):
                self._add(
                    (*path, index), f"stands beside [[routes.{channel}]]; name it in the providers of one of them"
                )
                continue
            route = self._conditional(channel, item, (*path, index))
            self._check_place(route, routes, (*path, index))
            routes.append(route)
        return ChannelRoutes(tuple(routes))

    def _plain(self, channel: Channel, raw: list[Any], path: Path) -> Route:
        route = Route(self._steps(channel, raw, path), str(channel))
        self._check_owners(route, path)
        return route

    def _conditional(self, channel: Channel, raw: Mapping[str, Any], path: Path) -> Route:
        self._extend(path, unknown_keys(raw, ("name", "when", "providers", "sender")))
        loaded = load(_RouteKeys, {key: raw[key] for key in _ROUTE_CHECKS if key in raw}, _ROUTE_CHECKS)
        self._extend(path, loaded.mistakes)
        keys = loaded.value or _RouteKeys()
        if keys.sender is not None:
            self._check_sender(channel, keys.sender, (*path, "sender"))
        conditions = self._conditions(channel, raw.get("when", {}), (*path, "when"))
        providers = raw.get("providers")
        steps: tuple[RouteStep, ...] = ()
        if isinstance(providers, list) and providers:
            steps = self._steps(channel, providers, (*path, "providers"))
        else:
            self._add((*path, "providers") if "providers" in raw else path, f"its providers {_EXAMPLE}")
        route = Route(steps, keys.name or f"{channel}-{int(path[-1]) + 1}", conditions, keys.sender)
        self._check_owners(route, (*path, "providers"))
        if conditions.is_test:
            self._check_sandbox(route, (*path, "providers"))
        return route

    def _check_sender(self, channel: Channel, sender: str, path: Path) -> None:
        if channel is Channel.PUSH:
            self._add(path, "a push message has no sender; leave it out")
        elif channel is Channel.EMAIL and self._channels is not None:
            # As the option of a mail server is checked, which it is written like.
            check = {"sender": checks_of(provider_class("smtp").options_class)["sender"]}
            self._extend(path[:-1], load(_RouteKeys, {"sender": sender}, check).mistakes)

    def _conditions(self, channel: Channel, raw: object, path: Path) -> Conditions:
        if not isinstance(raw, Mapping):
            self._add(path, 'must be a table of conditions: { country = "DE", client = "shop" }')
            return Conditions()
        self._extend(path, unknown_keys(raw, _CONDITION_CHECKS))
        for key, only in _CHANNEL_OF.items():
            if key in raw and channel is not only:
                self._add((*path, key), f"asks of {only} messages alone; {channel} has none")
        loaded = load(_When, {key: raw[key] for key in _CONDITION_CHECKS if key in raw}, _CONDITION_CHECKS)
        self._extend(path, loaded.mistakes)
        return loaded.value.conditions() if loaded.value else Conditions(clients=frozenset({"(unreadable)"}))

    def _check_place(self, route: Route, earlier: Iterable[Route], path: Path) -> None:
        for other in earlier:
            if other.name == route.name:
                self._add(path, f'another route is called "{route.name}" too', "duplicate")
            if other.conditions.covers(route.conditions):
                message = f'is never used: route "{other.name}" before it takes all that it is for; put it first'
                self._add(path, message, "unreachable")
                return

    # --- Providers

    def _steps(self, channel: Channel, raw: list[Any], path: Path) -> tuple[RouteStep, ...]:
        steps: list[list[Alternative]] = []
        seen: set[str] = set()
        was_weighted = False
        for index, item in enumerate(raw):
            alternative = self._alternative(item, (*path, index))
            if alternative is None:
                continue
            self._check_target(alternative.provider, channel, (*path, index), seen)
            is_weighted = isinstance(item, dict) and "weight" in item
            if is_weighted and was_weighted:
                steps[-1].append(alternative)
            else:
                steps.append([alternative])
            was_weighted = is_weighted
        return tuple(RouteStep(tuple(alternatives)) for alternatives in steps)

    def _alternative(self, item: object, path: Path) -> Alternative | None:
        if isinstance(item, str):
            return Alternative(item)
        if not isinstance(item, dict):
            self._add(path, 'must be a provider\'s name or { provider = "name", weight = 50 }')
            return None
        self._extend(path, unknown_keys(item, ALTERNATIVE_CHECKS))
        loaded = load(Alternative, item, ALTERNATIVE_CHECKS)
        self._extend(path, loaded.mistakes)
        return loaded.value

    def _check_target(self, name: str, channel: Channel, path: Path, seen: set[str]) -> None:
        if self._channels is None:
            return
        if name not in self._channels:
            self._add(path, f'there is no provider "{name}"{suggestion(name, self._channels)}', "unknown_provider")
        elif channel not in self._channels[name]:
            can = ", ".join(sorted(self._channels[name]))
            self._add(path, f'provider "{name}" doesn\'t send {channel}, only {can}', "wrong_channel")
        elif name in seen:
            self._add(path, f'provider "{name}" stands here twice; leave one of them out', "duplicate")
        seen.add(name)

    def _check_owners(self, route: Route, path: Path) -> None:
        """With the credentials of one client nobody else sends."""
        for name in route.providers:
            config = self._providers.get(name)
            if config is not None and config.client is not None and route.conditions.clients != {config.client}:
                owner = config.client
                self._add(
                    path,
                    f'provider "{name}" is of the client {owner}: only a route with when = {{ client = "{owner}" }} '
                    "may name it",
                    "wrong_client",
                )

    def _check_sandbox(self, route: Route, path: Path) -> None:
        """A test account reaches nobody, whatever the file says."""
        names = route.providers
        configs = [self._providers.get(name) for name in names]
        if self._channels is not None and (len(names) > 1 or any(each and each.type != "sandbox" for each in configs)):
            self._add(path, 'must name one provider of type "sandbox": messages of test accounts reach nobody')

    # --- Mistakes

    def _add(self, path: Path, message: str, code: str = "invalid") -> None:
        self._mistakes.append(Mistake(path, message, code))

    def _extend(self, path: Path, mistakes: Iterable[Mistake]) -> None:
        self._mistakes += [Mistake((*path, *each.path), each.message, each.code) for each in mistakes]


def _is_route(item: Mapping[str, Any]) -> bool:
    """Whether an item of a channel's list is a route of its own, and not a provider with its weight."""
    return not item.keys() & {"provider", "weight"}


@dataclass(frozen=True, slots=True)
class _RouteKeys:
    name: str = ""
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class _When:
    country: frozenset[str] = frozenset()
    prefix: frozenset[str] = frozenset()
    client: frozenset[str] = frozenset()
    platform: frozenset[str] = frozenset()
    tag: Mapping[str, frozenset[str]] = field(default_factory=dict)
    test: bool = False

    def conditions(self) -> Conditions:
        return Conditions(self.country, self.prefix, self.client, self.tag, self.platform, self.test)
