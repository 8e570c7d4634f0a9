"""Sources compiled once for all locales: bounded in what they give, safe to share between threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from wavecom.core.sandbox import sandboxed_environment
from wavecom.core.templates import language, tree
from wavecom.core.templates.formatting import LOCALES_KEPT, Formatter, formatter_of
from wavecom.core.templates.language import Markup, TemplateSourceError
from wavecom.core.templates.variables import Variable

#: Characters that one source may give.
OUTPUT_LIMIT: Final = 1_000_000
#: How often a content may hold texts within objects and lists.
_DEPTH_LIMIT: Final = 6
_WORD: Final = re.compile(r"[^\s({\[<-]+")
#: Locales in which a process keeps a source at hand; one more costs microseconds, not a compilation.
_LOCALES_OF_SOURCE: Final = 20
_LINES: Final = frozenset(("subject", "title"))

Path = tuple[str | int, ...]
_Build = Callable[[Mapping[str, Any], str], Any]


class RenderingError(Exception):
    """Values that a template can't be rendered with, in words that hold none of them."""


class ContentError(Exception):
    """Sources with something wrong in them: each with the place at which it stands in the content."""

    def __init__(self, errors: list[tuple[Path, TemplateSourceError]]) -> None:
        super().__init__(f"{len(errors)} sources have something wrong in them")
        self.errors = errors


class CompiledSource:
    """One source. Raises ``TemplateSourceError``."""

    def __init__(self, source: str, variables: Mapping[str, Variable], markup: Markup) -> None:
        environment = _compiling_environment()
        checked, self.cost = language.check(environment, source, variables, markup)
        try:
            self._code = environment.compile(checked, "template")
        except (SyntaxError, RecursionError, MemoryError):
            raise TemplateSourceError("is nested too deeply", 1) from None
        self._of_locale = lru_cache(_LOCALES_OF_SOURCE)(self._bound)

    def _bound(self, locale: str) -> Template:
        environment = _environment(locale)
        return Template.from_code(environment, self._code, environment.globals)

    def render(self, values: Mapping[str, Any], locale: str = "en") -> str:
        """The text, with figures as ``locale`` has them (canonical and known); raises ``RenderingError``, also where it
        gets longer than ``OUTPUT_LIMIT``."""
        template = self._of_locale(locale)
        try:
            text = _joined(template.root_render_func(template.new_context(dict(values))))
        except Exception as error:
            raise RenderingError(f"can't be filled in with these values: {type(error).__name__}") from error
        if text is None:
            raise RenderingError(f"must give at most {OUTPUT_LIMIT} characters; these values give more")
        return text


def _joined(pieces: Iterable[str]) -> str | None:
    """The pieces as one text; None where they are too long: then the rest of them is not made."""
    made: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > OUTPUT_LIMIT:
            return None
        made.append(piece)
    return "".join(made)


class CompiledContent:
    """The payload of a channel whose texts are sources. Raises ``ContentError``, which names each that is wrong.

    ``html`` gives HTML, ``subject`` and ``title`` one line, any other text a text.
    """

    def __init__(self, content: Mapping[str, Any], variables: Mapping[str, Variable]) -> None:
        self._variables = variables
        self._errors: list[tuple[Path, TemplateSourceError]] = []
        #: See ``language.COST_LIMIT``.
        self.cost = 0.0
        self._build = self._compiled(content, (), Markup.TEXT)
        if self._errors:
            raise ContentError(self._errors)

    def render(self, values: Mapping[str, Any], locale: str = "en") -> dict[str, Any]:
        """The payload. Raises ``RenderingError``."""
        made: dict[str, Any] = self._build(values, locale)
        return made

    def _compiled(self, content: Any, path: Path, markup: Markup) -> _Build:
        if len(path) > _DEPTH_LIMIT:
            self._errors.append((path, TemplateSourceError("is nested too deeply", 1)))
        elif isinstance(content, Mapping):
            built = {
                key: self._compiled(each, (*path, key), _markup_of(key) if not path else Markup.TEXT)
                for key, each in content.items()
            }
            return lambda values, locale: {key: build(values, locale) for key, build in built.items()}
        elif isinstance(content, list):
            items = [self._compiled(each, (*path, index), markup) for index, each in enumerate(content)]
            return lambda values, locale: [build(values, locale) for build in items]
        elif isinstance(content, str) and ("{" in content or markup is Markup.HTML):
            try:
                compiled = CompiledSource(content, self._variables, markup)
            except TemplateSourceError as error:
                self._errors.append((path, error))
            else:
                self.cost += compiled.cost
                return compiled.render
        return lambda _values, _locale: content


def _markup_of(key: str) -> Markup:
    if key == "html":
        return Markup.HTML
    return Markup.LINE if key in _LINES else Markup.TEXT


def _made_environment(filters: Mapping[str, Callable[..., Any]]) -> ImmutableSandboxedEnvironment:
    made = sandboxed_environment(autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    made.filters.clear()
    made.tests.clear()
    made.filters.update(filters)
    return made


@lru_cache(LOCALES_KEPT)
def _environment(locale: str) -> ImmutableSandboxedEnvironment:
    return _made_environment(_filters(formatter_of(locale)))


@cache
def _compiling_environment() -> ImmutableSandboxedEnvironment:
    """Knows the filters, and has none applied: Jinja would put the figures of one locale into the code of all."""

    def not_now(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    return _made_environment(dict.fromkeys(_filters(formatter_of("en")), not_now))


def _filters(formatter: Formatter) -> dict[str, Callable[..., Any]]:
    shown = formatter.shown
    return {
        language.SHOW: shown,
        language.ESCAPE: lambda value: str(escape(value)),
        language.LINE: lambda value: " ".join(str(value).split()),
        tree.DECIMAL: Decimal,
        "upper": _unless_missing(str.upper),
        "lower": _unless_missing(str.lower),
        "capitalize": _unless_missing(str.capitalize),
        "title": _unless_missing(_title),
        "trim": _unless_missing(str.strip),
        "truncate": _unless_missing(lambda text, most: text if len(text) <= most else f"{text[: most - 1].rstrip()}…"),
        "urlencode": _unless_missing(lambda value: quote(_plain(value) or shown(value), safe="")),
        "number": _unless_missing(formatter.number),
        "percent": _unless_missing(formatter.percent),
        "plural": _unless_missing(lambda value, **forms: formatter.plural(value, forms)),
        "money": _unless_missing(formatter.money),
        "date": _unless_missing(formatter.date),
        "time": _unless_missing(formatter.time),
        "datetime": _unless_missing(formatter.datetime),
        "length": lambda value: 0 if value is None else len(value),
        "join": lambda values, separator: separator.join(map(shown, values)),
        "default": lambda value, other: other if value is None or value == "" else value,
        "first": lambda values: values[0] if values else None,
        "last": lambda values: values[-1] if values else None,
    }


def _plain(value: Any) -> str:
    """A value as programs read it; empty where it has no such form."""
    match value:
        case str():
            return value
        case int() | Decimal():
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
        case date():
            return value.isoformat()
        case _:
            return ""


def _title(text: str) -> str:
    """Each word with a capital; an apostrophe begins no word."""
    return _WORD.sub(lambda word: word[0][:1].title() + word[0][1:].lower(), text)


def _unless_missing(convert: Callable[..., Any]) -> Callable[..., Any]:
    return lambda value, *args, **options: None if value is None else convert(value, *args, **options)
