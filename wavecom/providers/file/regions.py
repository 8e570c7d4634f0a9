"""The table ``[regions]`` of the providers file: where jobs are delivered, and who may help out.

::

    [regions]
    default = "eu"                       # of jobs that no rule gives to another

    [regions.eu]
    country = ["DE", "FR"]               # of the recipient's number
    client = "bank"
    takeover = []                        # nobody else may deliver for it: its backlog waits for its own workers

    [regions.us]
    country = "US"
    takeover = ["eu"]

    [providers.sms-gateway]
    regions = ["eu"]                     # never called for a job of another region
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import fields

from wavecom.core.lanes import REGION_NAME
from wavecom.core.regions import Region, Regions
from wavecom.providers.configuration.options import Mistake, load, one_or_more, suggestion, text, unknown_keys
from wavecom.providers.configuration.values import ProviderConfig, check_client
from wavecom.providers.file.routes import is_country

Path = tuple[str | int, ...]

_CHECKS: Final[Mapping[str, fields.Field[Any]]] = {
    "country": one_or_more(text(check=is_country), 'must be a country such as "DE", or a list of them'),
    "client": one_or_more(text(check=check_client), "must be a client's name, or a list of them"),
}
_DEFAULT: Final = "default"


class RegionsReader:
    """One reading of the table; goes on after a mistake so as to find all. ``mistakes`` are added to."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self._mistakes = mistakes

    def read(self, raw: object) -> Regions | None:
        """The regions; None where there are none, or where they can't be read."""
        if raw is None:
            return None
        before = len(self._mistakes)
        if not isinstance(raw, Mapping):
            self._add(("regions",), "must be a table, with a table for each region: [regions.eu]")
            return None
        tables = {name: table for name, table in raw.items() if name != _DEFAULT}
        if not tables:
            self._add(("regions",), "declares no region; add a table [regions.<name>], or leave it out")
        regions = {name: self._region(name, table, tables) for name, table in tables.items()}
        default = raw.get(_DEFAULT)
        if default not in tables:
            hint = f"; there is no region {default!r}{suggestion(str(default), tables)}" if default is not None else ""
            self._add(("regions", _DEFAULT), f"must name the region of jobs that no rule gives to another{hint}")
        self._check_twice(regions.values())
        return Regions(regions, str(default)) if len(self._mistakes) == before else None

    def check_providers(self, providers: Mapping[str, ProviderConfig[Any] | None], regions: Regions | None) -> None:
        """Providers are bound to regions that there are."""
        for name, config in providers.items():
            for region in sorted(config.regions) if config is not None else ():
                if regions is None:
                    reason = "the file has no regions; declare them in [regions], or leave this out"
                    self._add(("providers", name, "regions"), reason)
                elif region not in regions.regions:
                    reason = f'there is no region "{region}"{suggestion(region, regions.regions)}'
                    self._add(("providers", name, "regions"), reason)

    def _region(self, name: str, raw: object, tables: Mapping[str, Any]) -> Region:
        path: Path = ("regions", name)
        if not re.fullmatch(REGION_NAME, name):
            taken = "channels, test, dead, dlx and notifications are taken"
            rule = f"up to 32 small letters, digits and -, a letter first; {taken}"
            self._add(path, f"a region's name has {rule}")
        if not isinstance(raw, Mapping):
            self._add(path, f"must be a table: [regions.{name}]")
            return Region(name=name)
        self._extend(path, unknown_keys(raw, (*_CHECKS, "takeover")))
        loaded = load(_Rules, {key: raw[key] for key in _CHECKS if key in raw}, _CHECKS)
        self._extend(path, loaded.mistakes)
        rules = loaded.value or _Rules()
        return Region(
            name=name, countries=rules.country, clients=rules.client, takeover=self._takeover(name, raw, tables)
        )

    def _takeover(self, name: str, raw: Mapping[str, Any], tables: Mapping[str, Any]) -> tuple[str, ...]:
        path: Path = ("regions", name, "takeover")
        found = raw.get("takeover", [])
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            self._add(path, 'must be a list of the regions that may deliver for it: ["us"], or [] for none')
            return ()
        for each in found:
            if each == name:
                self._add(path, "names the region itself; leave that out")
            elif each not in tables:
                self._add(path, f'there is no region "{each}"{suggestion(each, tables)}')
        return tuple(dict.fromkeys(found))

    def _check_twice(self, regions: Iterable[Region]) -> None:
        """What two regions claim, chance would decide."""
        owners: dict[str, str] = {}
        for region in regions:
            for key, values in (("country", region.countries), ("client", region.clients)):
                for value in sorted(values):
                    other = owners.setdefault(f"{key} {value}", region.name)
                    if other != region.name:
                        self._add(("regions", region.name, key), f"{value} belongs to the region {other} already")

    def _add(self, path: Path, message: str, code: str = "invalid") -> None:
        self._mistakes.append(Mistake(path, message, code))

    def _extend(self, path: Path, mistakes: Iterable[Mistake]) -> None:
        self._mistakes += [Mistake((*path, *each.path), each.message, each.code) for each in mistakes]


@dataclass(frozen=True, slots=True)
class _Rules:
    country: frozenset[str] = frozenset()
    client: frozenset[str] = frozenset()
