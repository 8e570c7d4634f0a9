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
_BARE_TABLE: Final = re.compile(r"(<table[^<>]*>)(?=(?:\s|<!--wct\d+-->)*<tr)", re.IGNORECASE)
_STYLE: Final = re.compile(r"<style[^<>]*>([^<]*)", re.IGNORECASE)
_WHOLE_STYLE: Final = re.compile(r"(<style[^<>]*>[^<]*)", re.IGNORECASE)
_TAG_BEGIN: Final = re.compile(r"\{(?=[{%#])")
_WORD: Final = re.compile(r"(wct\d+wct)")
_TAG: Final = re.compile(r"\{([{%#])[-+]?(.*?)[-+]?[}%#]\}\s*", re.DOTALL)
#: Leaves out the blanks that ``CompiledSource`` leaves out, so that what is read here is what is rendered.
_LEXER: Final = sandboxed_environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
#: Selectors and declarations of CSS, times elements: css_inline tries each for each.
_CSS_LIMIT: Final = 1_000_000


def put_together(source: str, partials: Mapping[str, str], layout: str | None = None) -> str:
    """The source with its partials in place, within a layout where one is given.

    Raises ``TemplateSourceError`` for a partial that there is not, for partials that include each other in a circle,
    and for a layout that does not say once, by ``{{ content }}``, where the content stands.
    """
    if layout is not None:
        check_layout(layout)
        _check_length(len(source) + len(layout), " with its layout")
        source = _CONTENT.sub(lambda _: source, layout)
    for _ in range(_INCLUDES_LIMIT):
        included = [_partial(found[1], partials) for found in _INCLUDE.finditer(source)]
        # Before anything is put in place: a small source may name a large partial a thousand times.
        _check_length(len(source) + sum(map(len, included)), " with its partials" if included else "")
        if not included:
            return source
        source = _INCLUDE.sub(lambda found: partials[found[1]], source)
    raise TemplateSourceError("includes partials that include each other too deeply, or in a circle", 1)


def _check_length(length: int, of_what: str = "") -> None:
    """Comes before all that reads a source: much of it takes longer than in proportion to the length."""
    if length > SOURCE_LIMIT:
        raise TemplateSourceError(f"must have at most {SOURCE_LIMIT} characters{of_what}; it has {length}", 1)


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
    styles = "".join(_STYLE.findall(tokens.text))
    work = sum(map(styles.count, "{;,")) * tokens.text.count("<")
    if work > _CSS_LIMIT:
        raise TemplateSourceError(
            f"has too much CSS for so many elements: selectors and declarations, times tags, are {work}; "
            f"at most {_CSS_LIMIT}",
            1,
        )
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
    return tokens.put_back(_without_new_tags(inlined))


def _without_new_tags(html: str) -> str:
    """Braces that stand for themselves, written as characters in the source, so that Jinja still takes them so."""
    parts = _WHOLE_STYLE.split(html)
    parts[::2] = [_TAG_BEGIN.sub("&#123;", each) for each in parts[::2]]
    parts[1::2] = [_TAG_BEGIN.sub("{ ", each) for each in parts[1::2]]
    return "".join(parts)


def text_of(source: str) -> str:
    """A plain text that says what the HTML says: a source as well, with the same conditions and loops."""
    tokens = Tokens.of(source)
    starts: dict[int, int] = {}
    for tries_left in reversed(range(_LOOP_TRIES)):
        reader = _TextReader(tokens, starts)
        reader.feed(tokens.text)
        reader.close()
        # The second time through a loop begins as the first one ended, which is known only then.
        found = reader.loop_starts
        if all(starts.get(loop, 2) <= least for loop, least in found.items()):
            break
        starts = {loop: min(least, starts.get(loop, 2)) if tries_left > 1 else 0 for loop, least in found.items()}
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
        _check_length(len(source))
        made: list[str] = []
        tags: list[str] = []
        state = HtmlState(is_strict=False)
        for data, tag in _parts(source):
            try:
                state = advance(state, data)
            except ValueError as error:
                raise TemplateSourceError(str(error), 1) from None
            made.append(data)
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
                if kind == "comment_end":
                    # A comment parts nothing: what is around it is read as one.
                    tag = ""
                elif kind in {"variable_end", "block_end"}:
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


#: How often a text is made until its loops' beginnings fit their ends; the last time, they are sure to.
_LOOP_TRIES: Final = 4


@dataclass(slots=True)
class _Statement:
    """An ``if`` or ``for`` that is open in a text. ``before`` and ``after`` are the line ends there, at the least."""

    number: int
    word: str
    before: int
    after: int = 2
    has_else: bool = False


class _TextReader(HTMLParser):
    """Makes a text of HTML. Statements of templates are comments in it, and stay where they were.

    ``starts``: line ends that stand before a loop's content each time, by the number of the loop's token.
    """

    def __init__(self, tokens: Tokens, starts: Mapping[int, int]) -> None:
        super().__init__(convert_charrefs=True)
        self._tokens = tokens
        self._starts = starts
        #: What ``starts`` would have to hold at most.
        self.loop_starts: dict[int, int] = {}
        self._statements: list[_Statement] = []
        self._pieces: list[str] = []
        self._silent = 0
        #: Line ends before this place, whichever way the statements go; at the beginning none are needed.
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
            self._say(self._tokens.put_back(values["alt"], _in_text))
        elif tag == "a":
            # HTML has no links within links: one that begins ends the other.
            self._close_address()
            self._addresses.append((values.get("href", ""), len(self._pieces)))
        self._break(tag)
        if tag == "li":
            self._pieces.append("- ")

    def handle_endtag(self, tag: str) -> None:
        """See ``HTMLParser``."""
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "a":
            self._close_address()
        elif tag in {"td", "th"}:
            self._pieces.append(" ")
        self._break(tag)

    def handle_data(self, data: str) -> None:
        """See ``HTMLParser``."""
        text = re.sub(r"\s+", " ", data)
        # What is read as a tag of templates must have been one: a written-out {{ is a text.
        text = text.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}").replace("{#", "{{ '{#' }}")
        self._say(self._tokens.put_back(text.lstrip() if self._line_ends else text, _in_text))

    def handle_comment(self, data: str) -> None:
        """See ``HTMLParser``."""
        if data.startswith("wct"):
            self._follow(int(data.removeprefix("wct")))
            # With signs that have the blanks around it stay: they part words.
            self._pieces.append(self._tokens.put_back(f"<!--{data}-->", _in_text))

    def _follow(self, number: int) -> None:
        """Keep the line ends right through a statement, so that no way through it joins what HTML parts."""
        word = _statement_word(self._tokens.tags[number])
        if word in {"if", "for"}:
            self._statements.append(_Statement(number, word, self._line_ends))
            if word == "for":
                self._line_ends = min(self._line_ends, self._starts.get(number, 2))
        if not self._statements or word not in {"elif", "else", "endif", "endfor"}:
            return
        statement = self._statements[-1]
        if statement.word == "for" and not statement.has_else:
            self.loop_starts[statement.number] = min(statement.before, self._line_ends)
        statement.after = min(statement.after, self._line_ends)
        if word in {"elif", "else"}:
            statement.has_else = word == "else"
            self._line_ends = statement.before
            return
        self._statements.pop()
        self._line_ends = statement.after if statement.has_else else min(statement.after, statement.before)

    def _say(self, text: str) -> None:
        if self._silent or not text:
            return
        self._pieces.append(text)
        self._line_ends = 0

    def _close_address(self) -> None:
        if self._addresses:
            self._say_address(*self._addresses.pop())

    def _say_address(self, address: str, since: int) -> None:
        said = "".join(self._pieces[since:]).strip()
        whole = self._tokens.put_back(address, _in_text)
        if not address or address.startswith("#") or said == whole or address == f"mailto:{said}":
            return
        self._say(f" ({_address_in_text(self._tokens, address)})")

    def _break(self, tag: str) -> None:
        needed = 2 if tag in _PARAGRAPHS else int(tag in _BLOCKS)
        if not self._silent and needed > self._line_ends:
            self._pieces.append("\n" * (needed - self._line_ends))
            self._line_ends = needed


def _in_text(tag: str) -> str:
    """A tag for a source in which the blanks around it are right already: they all stay."""
    found = _TAG.fullmatch(tag)
    if found is None:
        return tag
    return f"{{%+ {found[2].strip()} +%}}" if found[1] == "%" else f"{{{{ {found[2].strip()} }}}}"


def _address_in_text(tokens: Tokens, address: str) -> str:
    """An address with tokens in it, as a source of text. As in HTML an expression at the beginning, of whichever way
    through statements, is a whole address; any other is a part of one."""
    made: list[str] = []
    has_begun = False
    begins: list[bool] = []
    for part in _WORD.split(address):
        tag = tokens.put_back(part)
        if part == tag:
            has_begun = has_begun or bool(part.strip())
            made.append(part)
            continue
        made.append(_quoted(tag) if has_begun else _in_text(tag))
        word = _statement_word(tag)
        if not word:
            has_begun = True
        elif word in {"if", "for"}:
            begins.append(has_begun)
        elif word in {"elif", "else"} and begins:
            has_begun = begins[-1]
        elif begins:
            has_begun = begins.pop() or has_begun
    return "".join(made)


def _statement_word(tag: str) -> str:
    """``if`` of ``{% if name %}``; of an expression empty."""
    found = _TAG.fullmatch(tag)
    return found[2].split(maxsplit=1)[0] if found and found[1] == "%" and found[2].strip() else ""


def _quoted(tag: str) -> str:
    """An expression within an address, made fit for it as HTML has it."""
    found = _TAG.fullmatch(tag)
    if found is None or found[1] != "{":
        return _in_text(tag)
    # In parentheses: a filter binds closer than anything else in an expression.
    return f"{{{{ ({found[2].strip()}) | urlencode }}}}"
