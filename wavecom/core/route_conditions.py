"""Which notifications a route is for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from wavecom.core.account import client_of
from wavecom.core.job import label_text
from wavecom.core.lanes import Channel, Lane
from wavecom.core.phone_countries import country_of


class Routable(Protocol):
    """A notification, before or after its acceptance, by what routes ask of it."""

    @property
    def type(self) -> Channel:
        """Its channel."""
        ...

    @property
    def client(self) -> str:
        """Its account."""
        ...

    @property
    def lane(self) -> Lane:
        """What its delivery messages travel in, which tells tests from live messages."""
        ...

    @property
    def to(self) -> Mapping[str, Any]:
        """Its recipient."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its labels."""
        ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """All must hold; within one, any of its values does. What is empty asks for nothing."""

    #: Of the recipient's number, ISO 3166-1 alpha-2 in upper case.
    countries: frozenset[str] = frozenset()
    #: How the recipient's number begins, with its ``+``.
    prefixes: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    #: Names in ``metadata`` → the values that one may have, as ``job.label_text`` writes them.
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Of a push message: fcm, apns, webpush.
    platforms: frozenset[str] = frozenset()
    #: For test accounts, which no other route is for; False: for live ones.
    is_test: bool = False

    @property
    def ask_nothing(self) -> bool:
        """Whether every live notification fulfils them."""
        return not (self.countries or self.prefixes or self.clients or self.tags or self.platforms or self.is_test)

    def __str__(self) -> str:
        asked = {"country": self.countries, "prefix": self.prefixes, "client": self.clients, **self.tags}
        parts = [
            f"{name} {_any_of(values)}" for name, values in (asked | {"platform": self.platforms}).items() if values
        ]
        return ", ".join([*(["test accounts"] if self.is_test else []), *parts]) or "all others"

    def mismatch(self, notification: Routable) -> str:
        """Which condition does not hold, for people; "" where all do. Names no recipient."""
        return next(self._mismatches(notification), "")

    def covers(self, other: Conditions) -> bool:
        """Whether whatever fulfils ``other`` fulfils these too."""
        return (
            self.is_test is other.is_test
            and _covers(self.countries, other.countries)
            and _covers(self.clients, other.clients)
            and _covers(self.platforms, other.platforms)
            and (not self.prefixes or _are_longer(other.prefixes, self.prefixes))
            and all(_covers(values, other.tags.get(name, frozenset())) for name, values in self.tags.items())
        )

    def _mismatches(self, notification: Routable) -> Iterator[str]:
        if notification.lane.is_test is not self.is_test:
            yield "it is for test accounts" if self.is_test else "it is for live accounts"
        client = client_of(notification.client)
        if self.clients and client not in self.clients:
            yield f"the client is {client}, not {_any_of(self.clients)}"
        for name, values in self.tags.items():
            value = label_text(notification.metadata[name]) if name in notification.metadata else None
            if value not in values:
                yield f"{name} in metadata is {'missing' if value is None else value}, not {_any_of(values)}"
        if self.platforms and notification.to.get("platform") not in self.platforms:
            yield f"the platform is {notification.to.get('platform')}, not {_any_of(self.platforms)}"
        number = str(notification.to.get("phone", ""))
        if self.prefixes and not number.startswith(tuple(self.prefixes)):
            yield f"the number does not begin with {_any_of(self.prefixes)}"
        if self.countries:
            country = country_of(number)
            if country not in self.countries:
                yield f"the number is of {country or 'no country'}, not of {_any_of(self.countries)}"


#: Fulfilled by every live notification.
ASK_NOTHING = Conditions()


def _covers(wide: AbstractSet[str], narrow: AbstractSet[str]) -> bool:
    return not wide or (bool(narrow) and narrow <= wide)


def _are_longer(longer: AbstractSet[str], prefixes: AbstractSet[str]) -> bool:
    return bool(longer) and all(each.startswith(tuple(prefixes)) for each in longer)


def _any_of(values: AbstractSet[str]) -> str:
    return " or ".join(sorted(values))
