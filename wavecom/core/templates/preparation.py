"""What is made of a source when it is saved, and again when it is published: contents that need nothing else.

A published version holds its layout and partials as they were; to change one changes no version that is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from wavecom.core.lanes import Channel
from wavecom.core.templates import locales, mail_html
from wavecom.core.templates.compiled import CompiledContent, ContentError, RenderingError
from wavecom.core.templates.language import TemplateSourceError
from wavecom.core.templates.model import Contents, TemplateKind, TemplateSource
from wavecom.core.templates.sources import source_json
from wavecom.core.templates.variables import examples_of, values_of
from wavecom.errors import Problem

#: The source of the layout or partial of an account that is current, by kind and name; None: there is none.
FindPart = Callable[[TemplateKind, str], TemplateSource | None]
#: What is wrong with a payload of a channel, by JSON pointers that begin at the payload.
CheckPayload = Callable[[Channel, Mapping[str, Any]], list[Problem]]

_LAYOUT: Final = "layout"
_PROBLEMS_LIMIT: Final = 50
#: Of a version as JSON, its source and what is made of it. A document of MongoDB's holds 16 MiB.
SIZE_LIMIT_BYTES: Final = 8 * 1024 * 1024


def prepared(source: TemplateSource, find: FindPart) -> tuple[Contents, list[Problem]]:
    """The contents as they are rendered, and what is wrong with them, by pointers into the source."""
    made: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    size = len(orjson.dumps(source_json(source)))
    for locale, channels in source.contents.items():
        made[locale] = {}
        for name, content in channels.items():
            where = f"/contents/{locale}/{name}"
            if source.kind is not TemplateKind.MESSAGE:
                problems.extend(_part_problems(source.kind, name, content, where))
                made[locale][name] = content
                continue
            parts = _Parts(find, locale)
            try:
                ready = parts.email(content) if name == Channel.EMAIL.value else parts.filled(content, "text", ())
                CompiledContent(ready, source.variables)
                made[locale][name] = ready
                size += len(orjson.dumps(ready))
                if size > SIZE_LIMIT_BYTES:
                    text = f"must have at most {SIZE_LIMIT_BYTES} bytes, with the layouts and partials of each locale"
                    return made, [Problem("/contents", text, "too_large")]
            except _PartError as error:
                problems.append(Problem(where + error.where, str(error)))
            except ContentError as error:
                for path, each in error.errors:
                    pointer = where + "".join(f"/{part}" for part in path)
                    problems.append(Problem(pointer, f"line {each.line}: {each.text}"))
    return made, problems[:_PROBLEMS_LIMIT]


def example_problems(source: TemplateSource, contents: Contents, check: CheckPayload) -> list[Problem]:
    """What is wrong with the payloads that the examples of the variables give."""
    values, problems = values_of(source.variables, examples_of(source.variables))
    if source.kind is not TemplateKind.MESSAGE or problems:
        return problems
    for locale, channels in contents.items():
        for name, content in channels.items():
            where = f"/contents/{locale}/{name}"
            try:
                payload = CompiledContent(content, source.variables).render(values, locale)
            except RenderingError as error:
                problems.append(Problem(where, str(error)))
                continue
            found = check(Channel(name), payload)
            problems.extend(
                Problem(where + each.where, f"with the examples: {each.message}", each.code) for each in found
            )
    return problems[:_PROBLEMS_LIMIT]


def _part_problems(kind: TemplateKind, name: str, text: str, where: str) -> list[Problem]:
    try:
        if kind is TemplateKind.LAYOUT:
            mail_html.check_layout(text)
        if name == "html":
            mail_html.Tokens.of(text)
    except TemplateSourceError as error:
        return [Problem(where, error.text)]
    return []


class _PartError(Exception):
    def __init__(self, where: str, text: str) -> None:
        super().__init__(text)
        self.where = where


class _Parts:
    """Layouts and partials for one locale."""

    def __init__(self, find: FindPart, locale: str) -> None:
        self._find = find
        self._locale = locale

    def email(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The content of a mail with its HTML put together, its CSS inlined, and a text where it has none.

        A text of its own stands within the layout's text, where the layout has one.
        """
        layout_name = content.get(_LAYOUT)
        rest = {name: each for name, each in content.items() if name not in {_LAYOUT, "html"}}
        ready: dict[str, Any] = self.filled(rest, "text", ())
        html = content.get("html")
        if layout_name is not None and (html is None or not isinstance(layout_name, str)):
            raise _PartError("/layout", "must be the name of a layout, for html")
        if html is None:
            return ready
        if not isinstance(html, str):
            raise _PartError("/html", "must be a text")
        layout = None
        if layout_name is not None:
            layout = self._text_of(TemplateKind.LAYOUT, layout_name, "html", "/layout")
            around = self._forms_of(TemplateKind.LAYOUT, layout_name, "/layout").get("text")
            if "text" in ready and isinstance(around, str):
                ready["text"] = self._together(str(content["text"]), "text", "/text", around)
        try:
            whole = mail_html.with_inlined_css(self._together(html, "html", "/html", layout))
            ready["html"] = whole
            if "text" not in ready:
                ready["text"] = mail_html.text_of(whole)
        except TemplateSourceError as error:
            raise _PartError("/html", f"line {error.line}: {error.text}") from None
        return ready

    def filled(self, content: Any, form: str, path: tuple[str | int, ...]) -> Any:
        """The content with the partials that its texts include."""
        if isinstance(content, Mapping):
            return {name: self.filled(each, form, (*path, name)) for name, each in content.items()}
        if isinstance(content, list):
            return [self.filled(each, form, (*path, index)) for index, each in enumerate(content)]
        if isinstance(content, str) and "{%" in content:
            return self._together(content, form, "".join(f"/{each}" for each in path))
        return content

    def _together(self, source: str, form: str, where: str, layout: str | None = None) -> str:
        partials: dict[str, str] = {}
        wanted = mail_html.partials_in(source) | mail_html.partials_in(layout or "")
        while wanted:
            for name in wanted:
                partials[name] = self._text_of(TemplateKind.PARTIAL, name, form, where)
            inner = [mail_html.partials_in(each) for each in partials.values()]
            wanted = frozenset().union(*inner) - set(partials)
        try:
            return mail_html.put_together(source, partials, layout)
        except TemplateSourceError as error:
            raise _PartError(where, f"line {error.line}: {error.text}") from None

    def _text_of(self, kind: TemplateKind, name: str, form: str, where: str) -> str:
        text = self._forms_of(kind, name, where).get(form)
        if not isinstance(text, str):
            raise _PartError(where, f"needs {form} of the {kind} {name!r}, which has none")
        return text

    def _forms_of(self, kind: TemplateKind, name: str, where: str) -> Mapping[str, Any]:
        """The ``html`` and ``text`` of a layout or partial, as far as it has them, for the nearest locale."""
        found = self._find(kind, name)
        if found is None or found.kind is not kind:
            raise _PartError(where, f"needs the {kind} {name!r}, and no version of such a {kind} is published")
        locale = locales.nearest(self._locale, found.contents, found.default_locale)
        return found.contents[locale or found.default_locale]
