"""What is made of a mail's HTML once, when a template is saved: one source of its parts, CSS inlined, a plain text.

All of it works on sources, not on rendered mails: Jinja's tags are replaced by tokens that HTML leaves alone, and put
back afterwards. So a rendering costs nothing of it, and what is stored is what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

from jinja2 import TemplateSyntaxError

from wavecom.core.sandbox import sandboxed_environment
from wavecom.core.templates.html_places import HtmlState, advance
from wavecom.core.templates.language import SOURCE_LIMIT, TemplateSourceError

#: Partials may include others, so deep.
_INCLUDES_LIMIT: Final = 5
_INCLUDE: Final = re.compile(r"""\{%-?\s*include\s+["']([A-Za-z0-9_.-]+)["']\s*-?%\}""")
_CONTENT: Final = re.compile(r"\{\{-?\s*content\s*-?\}\}")
_TOKEN: Final = re.compile(r"<!--wct(\d+)-->|wct(\d+)wct")
#: A table whose rows have no body: HTML gives it one, which would begin after an ``{% if %}`` before the first row.
_BARE_TABLE: Final = re.compile(r"(<table[^>]*>)(?=(?:\s|<!--wct\d+-->)*<tr)", re.IGNORECASE)
_WORD: Final = re.compile(r"(wct\d+wct)")
_LEXER: Final = sandboxed_environment()


def put_together(source: str, partials: Mapping[str, str], layout: str | None = None) -> str:
    """The source with its partials in place, within a layout where one is given.

    Raises ``TemplateSourceError`` for a partial that there is not, for partials that include each other in a circle,
    and for a layout that does not say once, by ``{{ content }}``, where the content stands.
    """
    if layout is not None:
        check_layout(layout)
        source = _CONTENT.sub(lambda _: source, layout)
    for _ in range(_INCLUDES_LIMIT):
        if _INCLUDE.search(source) is None:
            return source
        source = _INCLUDE.sub(lambda found: _partial(found[1], partials), source)
        if len(source) > SOURCE_LIMIT:
            raise TemplateSourceError(f"has more than {SOURCE_LIMIT} characters with its partials", 1)
    raise TemplateSourceError("includes partials that include each other too deeply, or in a circle", 1)


def check_layout(layout: str) -> None:
    """Raises ``TemplateSourceError`` unless it says once, by ``{{ content }}``, where the content stands."""
    if len(_CONTENT.findall(layout)) != 1:
        raise TemplateSourceError("must say once where the content stands: {{ content }}", 1)


def partials_in(source: str) -> frozenset[str]:
    """The names of the partials that a source includes itself."""
    return frozenset(_INCLUDE.findall(source))


def _partial(name: str, partials: Mapping[str, str]) -> str:
    if name not in partials:
        raise TemplateSourceError(f"includes {name!r}, and there is no partial of this name", 1)
    return partials[name]


def with_inlined_css(source: str) -> str:
    """The source with the rules of its ``<style>`` elements at the elements that they are for.

    Rules that can't stand there stay in ``<style>``: ``@media``, so dark mode and phones are respected. Nothing is
    fetched. A source without ``<style>`` stays as it is. Raises ``TemplateSourceError``.
    """
    if "<style" not in source.lower():
        return source
    # Here: only who saves templates needs it.
    import css_inline

    tokens = Tokens.of(source)
    try:
        inlined = css_inline.inline(
            _BARE_TABLE.sub(r"\1<tbody>", tokens.text), keep_at_rules=True, load_remote_stylesheets=False
        )
    except ValueError as error:
        raise TemplateSourceError(f"has CSS that can't be inlined: {error}", 1) from None
    if [int(each[1] or each[2]) for each in _TOKEN.finditer(inlined)] != list(range(len(tokens.tags))):
        raise TemplateSourceError(
            "has expressions or tags of templates where HTML moves them: between the rows or cells of a table "
            "nothing may stand but if and for",
            1,
        )
    return tokens.put_back(inlined)


def text_of(source: str) -> str:
    """A plain text that says what the HTML says: a source as well, with the same conditions and loops."""
    tokens = Tokens.of(source)
    reader = _TextReader(tokens)
    reader.feed(tokens.text)
    reader.close()
    return reader.text()


@dataclass(frozen=True, slots=True)
class Tokens:
    """A source in which each tag of Jinja's is a token: a comment between HTML's tags where it is a statement, else a
    word. ``tags`` are what the tokens stand for."""

    text: str
    tags: tuple[str, ...]

    @classmethod
    def of(cls, source: str) -> Tokens:
        """Raises ``TemplateSourceError``."""
        made: list[str] = []
        tags: list[str] = []
        state = HtmlState(is_strict=False)
        for data, tag in _parts(source):
            try:
                state = advance(state, data)
            except ValueError as error:
                raise TemplateSourceError(str(error), 1) from None
            made.append(data)
            if tag.startswith("{#"):
                continue
            if tag:
                is_apart = tag.startswith("{%") and state.mode == "text"
                made.append(f"<!--wct{len(tags)}-->" if is_apart else f"wct{len(tags)}wct")
                tags.append(tag)
        return cls("".join(made), tuple(tags))

    def put_back(self, text: str, change: Callable[[str], str] = lambda tag: tag) -> str:
        """``text`` with each token as the tag that it stands for, after ``change``."""
        return _TOKEN.sub(lambda found: change(self.tags[int(found[1] or found[2])]), text)


def _parts(source: str) -> Iterator[tuple[str, str]]:
    """The source in pieces: what is no tag of Jinja's, and the tag after it."""
    if "wct" in source and _TOKEN.search(source):
        raise TemplateSourceError("holds a word that stands for tags here: wct and digits", 1)
    data, tag = "", ""
    try:
        for line, kind, value in _LEXER.lex(source):
            if kind == "raw_begin":
                raise TemplateSourceError("has raw, which templates can't use", line)
            if kind == "data":
                data += value
            else:
                tag += value
                if kind in {"variable_end", "block_end", "comment_end"}:
                    yield data, tag
                    data, tag = "", ""
    except TemplateSyntaxError as error:
        raise TemplateSourceError(f"is no template: {error.message}", error.lineno) from None
    if tag:
        raise TemplateSourceError("is no template: a tag does not end", 1)
    yield data, ""


_BLOCKS: Final = frozenset(
    (
        *("address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "footer", "form", "header"),
        *("li", "main", "ol", "section", "table", "tr", "ul"),
    )
)
#: With an empty line before and after.
_PARAGRAPHS: Final = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))
_SILENT: Final = frozenset(("head", "style", "script", "title"))


class _TextReader(HTMLParser):
    """Makes a text of HTML. Statements of templates are comments in it, and stay where they were."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(convert_charrefs=True)
        self._tokens = tokens
        self._pieces: list[str] = []
        self._silent = 0
        #: Line ends before this place, whatever statements stand between; at the beginning none are needed.
        self._line_ends = 2
        self._addresses: list[tuple[str, int]] = []

    def text(self) -> str:
        """What was read."""
        return re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(self._pieces)).strip() + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See ``HTMLParser``."""
        if tag in _SILENT:
            self._silent += 1
        values = {name: value or "" for name, value in attrs}
        if tag == "br":
            self._pieces.append("\n")
        elif tag == "hr":
            self._pieces.append("\n---\n")
        elif tag == "img" and values.get("alt"):
            self._say(self._tokens.put_back(values["alt"]))
        elif tag == "a":
            self._addresses.append((values.get("href", ""), len(self._pieces)))
        self._break(tag)
        if tag == "li":
            self._pieces.append("- ")

    def handle_endtag(self, tag: str) -> None:
        """See ``HTMLParser``."""
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "a" and self._addresses:
            self._say_address(*self._addresses.pop())
        elif tag in {"td", "th"}:
            self._pieces.append(" ")
        self._break(tag)

    def handle_data(self, data: str) -> None:
        """See ``HTMLParser``."""
        text = re.sub(r"\s+", " ", data)
        # What is read as a tag of templates must have been one: a written-out {{ is a text.
        text = text.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}").replace("{#", "{{ '{#' }}")
        self._say(self._tokens.put_back(text))

    def handle_comment(self, data: str) -> None:
        """See ``HTMLParser``."""
        if data.startswith("wct"):
            # The line end belongs to the tag: templates leave out the one that follows a statement.
            self._pieces.append(self._tokens.put_back(f"<!--{data}-->") + "\n")

    def _say(self, text: str) -> None:
        if self._silent or (self._line_ends and text.isspace()):
            return
        self._pieces.append(text)
        self._line_ends = 0

    def _say_address(self, address: str, since: int) -> None:
        said = "".join(self._pieces[since:]).strip()
        whole = self._tokens.put_back(address)
        if not address or address.startswith("#") or said == whole or address == f"mailto:{said}":
            return
        parts = _WORD.split(address)
        # An expression at the beginning is a whole address; any other is a part of one.
        shown = [
            self._tokens.put_back(part, str if not "".join(parts[:index]) else _quoted)
            for index, part in enumerate(parts)
        ]
        self._say(f" ({''.join(shown)})")

    def _break(self, tag: str) -> None:
        needed = 2 if tag in _PARAGRAPHS else int(tag in _BLOCKS)
        if not self._silent and needed > self._line_ends:
            self._pieces.append("\n" * (needed - self._line_ends))
            self._line_ends = needed


def _quoted(tag: str) -> str:
    """An expression within an address, made fit for it as HTML has it."""
    if not tag.startswith("{{"):
        return tag
    inner = tag.removeprefix("{{").removesuffix("}}").strip("-").strip()
    return f"{{{{ {inner} | urlencode }}}}"
