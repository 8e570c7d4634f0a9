"""Reading the providers file. A wrong one raises ``ProvidersFileError`` with every mistake in it, by name and line.

docs/adding-a-provider.md and providers.example.toml describe the form.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.lanes import Channel
from wavecom.core.prices import PriceRange
from wavecom.core.regions import Regions
from wavecom.core.routes import ChannelRoutes, Route
from wavecom.errors import Problem, ProvidersFileError
from wavecom.providers.configuration.options import Loaded, Mistake, checks_of, load, suggestion, unknown_keys
from wavecom.providers.configuration.values import (
    BREAKER_CHECKS,
    ProviderConfig,
    ProvidersConfig,
)
from wavecom.providers.configuration.verification import VERIFIED_WITH
from wavecom.providers.file.lines import line_at, lines_of
from wavecom.providers.file.regions import RegionsReader
from wavecom.providers.file.routes import RoutesReader
from wavecom.providers.file.variables import Variables
from wavecom.providers.registry import CLASSES, RECEIPTS, provider_class

T = TypeVar("T")

#: Names stand in logs, metrics and keys of other stores.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")

_COMMON_KEYS = frozenset(checks_of(ProviderConfig))


def read_providers_file(path: Path, environment: Mapping[str, str]) -> ProvidersConfig:
    """Read and check the file; variables are looked up in ``environment``. Raises ``ProvidersFileError``."""
    return parse_providers(_read(path), environment, path.name)


def declared_providers(path: Path) -> list[str]:
    """The names of the providers that the file declares, in its order, and nothing else of it.

    Raises ``ProvidersFileError`` where the file can't be read at all.
    """
    tables = _tree(_read(path), path.name).get("providers")
    return list(tables) if isinstance(tables, Mapping) else []


def declared_limits(path: Path) -> dict[str, float]:
    """Calls a second that the file allows each provider that it limits, and nothing else of it.

    What a worker refuses is left out. Raises ``ProvidersFileError`` where the file can't be read at all.
    """
    tables = _tree(_read(path), path.name).get("providers")
    found = (
        {name: each.get("rate_per_second") for name, each in tables.items() if isinstance(each, Mapping)}
        if (isinstance(tables, Mapping))
        else {}
    )
    return {name: float(rate) for name, rate in found.items() if isinstance(rate, int | float)}


def declared_prices(path: Path) -> dict[str, PriceRange]:
    """What a segment costs with each provider of which the file says so, and nothing else of it.

    What a worker refuses is left out. Raises ``ProvidersFileError`` where the file can't be read at all.
    """
    tables = _tree(_read(path), path.name).get("providers")
    found: dict[str, PriceRange] = {}
    for name, each in (tables if isinstance(tables, Mapping) else {}).items():
        price = each.get("segment_price") if isinstance(each, Mapping) else None
        if isinstance(price, str):
            with contextlib.suppress(ValueError):
                found[name] = PriceRange.parse(price)
    return found


def served_routes(path: Path) -> dict[Channel, ChannelRoutes]:
    """The routes of the file, and nothing else of it: no secret is needed for that.

    For processes that accept and don't deliver. Where a channel's routes can't be read, which a worker says, it counts
    as one that takes everything. Raises ``ProvidersFileError`` where the file can't be read at all.
    """
    table = _tree(_read(path), path.name).get("routes")
    found = {
        channel: table[channel.value] for channel in Channel if isinstance(table, Mapping) and table.get(channel.value)
    }
    routes: dict[Channel, ChannelRoutes] = {}
    for channel, raw in found.items():
        mistakes: list[Mistake] = []
        read = RoutesReader(mistakes, None, {}).read({channel.value: raw})[channel]
        routes[channel] = ChannelRoutes((Route(()),)) if mistakes else read
    return routes


def declared_regions(path: Path) -> Regions | None:
    """The regions of the file, and nothing else of it. Raises ``ProvidersFileError``, where they are wrong too: a job
    that went into the lanes of no region, or of a wrong one, might go where it must not.
    """
    source = _normalized(_read(path))
    mistakes: list[Mistake] = []
    regions = RegionsReader(mistakes).read(_tree(source, path.name).get("regions"))
    if mistakes:
        raise ProvidersFileError(_problems(mistakes, source, path.name))
    return regions


def read_receiving_providers(path: Path, environment: Mapping[str, str]) -> dict[str, ProviderConfig[Any]]:
    """The providers whose receipts can be verified, and nothing else of the file: no other's secrets are needed.

    Raises ``ProvidersFileError``.
    """
    source = _normalized(_read(path))
    reader = _Reader(environment)
    configs = reader.receiving(_tree(source, path.name))
    if reader.mistakes:
        raise ProvidersFileError(_problems(reader.mistakes, source, path.name))
    return configs


def parse_providers(source: str, environment: Mapping[str, str], file_name: str = "providers.toml") -> ProvidersConfig:
    """As ``read_providers_file``, for a text; ``file_name`` is only for messages. Raises ``ProvidersFileError``."""
    source = _normalized(source)
    tree = _tree(source, file_name)
    reader = _Reader(environment)
    config = reader.read(tree)
    if reader.mistakes:
        raise ProvidersFileError(_problems(reader.mistakes, source, file_name))
    return config


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProvidersFileError([Problem(path.name, f"can't be read: {error.strerror}", "unreadable")]) from error
    except UnicodeDecodeError as error:
        raise ProvidersFileError([Problem(path.name, "is not UTF-8 text; save it as UTF-8", "unreadable")]) from error


def _normalized(source: str) -> str:
    """Without what editors on Windows put in: a byte order mark, and their own ends of lines."""
    return source.removeprefix("\ufeff").replace("\r\n", "\n")


def _tree(source: str, file_name: str) -> dict[str, Any]:
    source = _normalized(source)
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ProvidersFileError([_syntax_problem(source, file_name, str(error))]) from error


def _problems(mistakes: Iterable[Mistake], source: str, file_name: str) -> list[Problem]:
    lines = lines_of(source)
    unset = {mistake.path for mistake in mistakes if mistake.code == "unset"}
    # What stands in for a variable that is not set is of course wrong in other ways too.
    genuine = [mistake for mistake in mistakes if mistake.code == "unset" or mistake.path not in unset]
    placed = sorted(((line_at(lines, mistake.path), mistake) for mistake in genuine), key=lambda pair: pair[0])
    return [Problem(f"{file_name}:{line}", _sentence(mistake), mistake.code) for line, mistake in placed]


def _syntax_problem(source: str, file_name: str, message: str) -> Problem:
    place = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", message)
    line = (place and place.group(1)) or source.count("\n") + 1
    return Problem(f"{file_name}:{line}", f"is not TOML: {message}", "syntax")


def _sentence(mistake: Mistake) -> str:
    name = ".".join(str(part) for part in mistake.path if isinstance(part, str))
    return f"{name}: {mistake.message}" if name else mistake.message


class _Reader:
    """One reading of one file; goes on after a mistake so as to find all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._variables = Variables(environment)
        self.mistakes = self._variables.mistakes

    def read(self, tree: Mapping[str, Any]) -> ProvidersConfig:
        self._add_mistakes((), unknown_keys(tree, ("providers", "routes", "regions")))
        tables = self._table(tree.get("providers", {}), ("providers",))
        if not tables:
            self._add_mistake(
                (), 'declares no provider; begin with a table [providers.<name>] and its "type"', "missing_key"
            )
        providers = {name: self._provider(name, raw) for name, raw in tables.items()}
        served = {name: self._served(tables[name], config) for name, config in providers.items()}
        routes = self._routes(self._table(tree.get("routes", {}), ("routes",)), served, providers)
        reader = RegionsReader(self.mistakes)
        regions = reader.read(tree.get("regions"))
        if regions is not None or "regions" not in tree:
            reader.check_providers(providers, regions)
        return ProvidersConfig({name: config for name, config in providers.items() if config}, routes, regions)

    def receiving(self, tree: Mapping[str, Any]) -> dict[str, ProviderConfig[Any]]:
        """Of the tables of providers those that say how receipts are verified."""
        configs: dict[str, ProviderConfig[Any]] = {}
        tables = tree.get("providers")
        for name, raw in (tables if isinstance(tables, Mapping) else {}).items():
            type_name = raw.get("type") if isinstance(raw, Mapping) else None
            if type_name in RECEIPTS and VERIFIED_WITH[type_name] in raw:
                config = self._provider(name, raw)
                if config is not None:
                    configs[name] = config
        return configs

    # --- Providers

    def _provider(self, name: str, raw: object) -> ProviderConfig[Any] | None:
        path = ("providers", name)
        if not _NAME.fullmatch(name):
            self._add_mistake(path, "a provider's name has up to 40 letters, digits, - and _, a letter or digit first")
        table = dict(self._table(raw, path))
        type_name = table.pop("type", None)
        if type_name not in CLASSES:
            if type_name is None:
                self._add_mistake(path, f'needs the key "type", one of: {", ".join(sorted(CLASSES))}', "missing_key")
            else:
                self._add_mistake(
                    (*path, "type"),
                    f'there is no type "{type_name}"{suggestion(str(type_name), CLASSES)}',
                    "unknown_type",
                )
            return None
        before = len(self.mistakes)
        config = self._of_type(name, type_name, self._variables.replaced(table, path))
        return config if len(self.mistakes) == before else None

    def _of_type(self, name: str, type_name: str, table: dict[str, Any]) -> ProviderConfig[Any] | None:
        path = ("providers", name)
        cls = provider_class(type_name)
        own_keys = checks_of(cls.options_class)
        self._add_mistakes(path, unknown_keys(table, (*_COMMON_KEYS, *own_keys, "breaker")))
        breaker_table = self._table(table.pop("breaker", {}), (*path, "breaker"))
        self._add_mistakes((*path, "breaker"), unknown_keys(breaker_table, BREAKER_CHECKS))
        breaker_defaults = {"slow_seconds": cls.default_slow_seconds}
        breaker = self._loaded(
            load(BreakerSettings, breaker_defaults | dict(breaker_table), BREAKER_CHECKS), (*path, "breaker")
        )
        options = self._loaded(
            load(cls.options_class, {key: value for key, value in table.items() if key in own_keys}), path
        )
        defaults = {
            "channels": [channel.value for channel in cls.channels],
            "timeout_seconds": cls.default_timeout_seconds,
        }
        if cls.default_max_concurrency is not None:
            defaults["max_concurrency"] = cls.default_max_concurrency
        common = defaults | {key: value for key, value in table.items() if key in _COMMON_KEYS}
        config: ProviderConfig[Any] | None = self._loaded(
            load(
                ProviderConfig,
                common,
                name=name,
                type=type_name,
                options=options,
                breaker=breaker,
                is_patient=cls.is_patient,
            ),
            path,
        )
        if config:
            if config.timeout_seconds > cls.max_timeout_seconds:
                message = f"must be a number from 0.1 to {cls.max_timeout_seconds:g}"
                self._add_mistake((*path, "timeout_seconds"), message)
            for channel in sorted(config.channels - cls.channels):
                self._add_mistake((*path, "channels"), f"a provider of type {type_name} can't send {channel}")
            if config.options is not None:
                self._add_mistakes(path, cls.mistakes_in(config))
        return config

    def _served(self, raw: object, config: ProviderConfig[Any] | None) -> frozenset[Channel]:
        if config:
            return config.channels
        type_name = raw.get("type") if isinstance(raw, Mapping) else None
        return provider_class(type_name).channels if type_name in CLASSES else frozenset(Channel)

    def _routes(
        self,
        table: Mapping[str, Any],
        served: Mapping[str, frozenset[Channel]],
        providers: Mapping[str, ProviderConfig[Any] | None],
    ) -> dict[Channel, ChannelRoutes]:
        routes = RoutesReader(self.mistakes, served, providers).read(table)
        if not table:
            example = next(iter(served), "name")
            self._add_mistake(
                ("routes",),
                f'says for no channel who serves it; add, for instance, email = ["{example}"]',
                "missing_route",
            )
        return routes

    # --- Mistakes

    def _add_mistake(self, path: tuple[str | int, ...], message: str, code: str = "invalid") -> None:
        self.mistakes.append(Mistake(path, message, code))

    def _add_mistakes(self, path: tuple[str | int, ...], mistakes: Iterable[Mistake]) -> None:
        self.mistakes += [Mistake((*path, *mistake.path), mistake.message, mistake.code) for mistake in mistakes]

    def _loaded(self, loaded: Loaded[T], path: tuple[str | int, ...]) -> T | None:
        self._add_mistakes(path, loaded.mistakes)
        return loaded.value

    def _table(self, raw: object, path: tuple[str | int, ...]) -> Mapping[str, Any]:
        if isinstance(raw, Mapping):
            return raw
        self._add_mistake(path, f"must be a table: [{'.'.join(str(part) for part in path)}]")
        return {}
