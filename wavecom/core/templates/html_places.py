"""Where in HTML a value stands, so that it is escaped for that place: between tags, in an attribute, in an address.

A small reading of HTML's tokens (https://html.spec.whatwg.org/multipage/parsing.html#tokenization), kept to what mails
have. What is ambiguous is refused by the language instead of guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

_URL_ATTRIBUTES: Final = frozenset(
    ("href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc", "xlink:href")
)
#: Attributes whose value is a language of its own.
_CODE_ATTRIBUTES: Final = frozenset(("style", "srcset", "srcdoc", "ping"))
_RAW_ELEMENTS: Final = frozenset(("script", "style", "textarea", "iframe", "noscript", "xmp", "noembed", "noframes"))
_VOID_ELEMENTS: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
#: Elements whose end tag HTML lets people leave out.
_OPTIONAL_END: Final = frozenset(("p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot"))


class Place(StrEnum):
    """A place where an expression may stand, or must not."""

    BODY = "body"
    ATTRIBUTE = "attribute"
    URL_START = "url_start"
    URL_PART = "url_part"
    #: Not allowed: script or style.
    CODE = "code"
    #: Not allowed: a tag's or attribute's name, a value without quotes, a comment.
    MARKUP = "markup"


@dataclass(frozen=True, slots=True)
class HtmlState:
    """What has been read so far. Two are equal where the same text after them means the same."""

    #: text, tag, value, raw or comment.
    mode: str = "text"
    #: Of the tag that is being read; of the element in mode raw.
    element: str = ""
    is_end_tag: bool = False
    attribute: str = ""
    quote: str = ""
    #: Whether the attribute's value has begun.
    has_value: bool = False
    #: In a tag, whether a new attribute may begin here.
    is_between: bool = False
    #: What is open, outermost first.
    open_elements: tuple[str, ...] = ()
    #: Whether elements must be closed as they were opened; else it does not matter.
    is_strict: bool = True

    def place(self) -> Place:
        """Where an expression would stand now."""
        if self.mode == "text":
            return Place.BODY
        if self.mode == "raw":
            return Place.BODY if self.element == "title" else Place.CODE
        if self.mode != "value":
            return Place.MARKUP
        if self.attribute in _CODE_ATTRIBUTES or self.attribute.startswith("on"):
            return Place.CODE
        if self.attribute in _URL_ATTRIBUTES:
            return Place.URL_PART if self.has_value else Place.URL_START
        return Place.ATTRIBUTE

    def allows_statement(self) -> bool:
        """Whether an ``{% if %}`` or ``{% for %}`` may begin or end here: not within a name, a script or a comment."""
        return self.mode in {"text", "value"} or (self.mode == "tag" and self.is_between)

    def after_expression(self) -> HtmlState:
        """The state after a value was put here."""
        return replace(self, has_value=True) if self.mode == "value" and not self.has_value else self


#: Elements within each other. Each state holds them all, so to read deep HTML takes more than its length.
_DEPTH_LIMIT: Final = 200
#: Languages in which ``/>`` ends an element; HTML itself reads over it.
_FOREIGN: Final = ("svg", "math")
_BLANK: Final = re.compile(r"\s*\Z")
_COMMENT_END: Final = re.compile(r"--!?>")
_TAG_OPEN = re.compile(r"<(/?)([A-Za-z][^\s/>]*)|<!--(?P<empty>-?>)?|<[!?]")
_IN_TAG = re.compile(
    r"""\s*(?:(?P<end>/?>)|/|(?P<name>[^\s"'<>/=]+)\s*(?:=\s*(?P<quote>["'])|=\s*(?P<bare>[^\s"'>]+)|(?P<none>)(?!\s*=)))"""
)


def advance(state: HtmlState, text: str) -> HtmlState:
    """The state after ``text``. Raises ``ValueError`` for what is no HTML that could be told apart."""
    position = 0
    while position < len(text):
        state, position = _STEPS[state.mode](state, text, position)
    return state


def _text(state: HtmlState, text: str, position: int) -> tuple[HtmlState, int]:
    found = _TAG_OPEN.search(text, position)
    if found is None:
        if text.endswith(("<", "</")):
            raise ValueError("has < before something that is put in; write &lt; for the sign itself")
        return state, len(text)
    if found[0].startswith("<!--"):
        # HTML ends <!--> and <!---> at once.
        return state if found["empty"] else replace(state, mode="comment"), found.end()
    if found[2] is None:
        end = text.find(">", found.end())
        if end < 0:
            raise ValueError("has a declaration (<! …) that does not end before an expression")
        return state, end + 1
    element, is_end_tag = found[2].lower(), bool(found[1])
    return replace(state, mode="tag", element=element, is_end_tag=is_end_tag, is_between=False), found.end()


def _tag(state: HtmlState, text: str, position: int) -> tuple[HtmlState, int]:
    if _BLANK.match(text, position):
        return replace(state, is_between=True), len(text)
    found = _IN_TAG.match(text, position)
    if found is None:
        raise ValueError(f"has a tag <{state.element}> in which something is wrong: {text[position : position + 20]!r}")
    if found["end"] is not None:
        return _after_tag(state, is_closed=found["end"] == "/>"), found.end()
    if found["quote"] is not None:
        name = found["name"].lower()
        return replace(state, mode="value", attribute=name, quote=found["quote"], has_value=False), found.end()
    if found["bare"] is not None and found.end() == len(text):
        raise ValueError(f"must have the value of {found['name']} in quotes")
    return replace(state, is_between=False), found.end()


def _after_tag(state: HtmlState, *, is_closed: bool) -> HtmlState:
    element, opened = state.element, state.open_elements
    if not state.is_strict:
        opened = (element,)
    if state.is_end_tag:
        if element in opened:
            last = len(opened) - 1 - opened[::-1].index(element)
            unclosed = [each for each in opened[last + 1 :] if each not in _OPTIONAL_END]
            if unclosed:
                raise ValueError(f"closes <{element}> before <{unclosed[-1]}>")
            opened = opened[:last]
        elif element not in _OPTIONAL_END and element not in _VOID_ELEMENTS:
            raise ValueError(f"closes <{element}>, which is not open")
    elif element not in _VOID_ELEMENTS and not (is_closed and any(each in opened for each in _FOREIGN)):
        if element in _RAW_ELEMENTS or element == "title":
            return HtmlState(mode="raw", element=element, open_elements=opened, is_strict=state.is_strict)
        if element in _OPTIONAL_END:
            opened = _without_unended(opened, element)
        opened = (*opened, element)
        if len(opened) > _DEPTH_LIMIT:
            raise ValueError(f"has more than {_DEPTH_LIMIT} elements within each other")
    return HtmlState(open_elements=opened, is_strict=state.is_strict)


def _without_unended(opened: tuple[str, ...], element: str) -> tuple[str, ...]:
    """What is open before ``element`` begins: another of its name, whose end tag was left out, ends."""
    for index in range(len(opened) - 1, -1, -1):
        if opened[index] == element:
            return opened[:index]
        if opened[index] not in _OPTIONAL_END:
            break
    return opened


def _value(state: HtmlState, text: str, position: int) -> tuple[HtmlState, int]:
    end = text.find(state.quote, position)
    if end < 0:
        has_value = state.has_value or bool(text[position:].strip())
        return replace(state, has_value=has_value), len(text)
    return replace(state, mode="tag", attribute="", quote="", has_value=False, is_between=True), end + 1


def _raw(state: HtmlState, text: str, position: int) -> tuple[HtmlState, int]:
    found = re.compile(rf"</{re.escape(state.element)}(?:[\s/][^>]*)?>", re.IGNORECASE).search(text, position)
    if found is None:
        return state, len(text)
    return HtmlState(open_elements=state.open_elements, is_strict=state.is_strict), found.end()


def _comment(state: HtmlState, text: str, position: int) -> tuple[HtmlState, int]:
    found = _COMMENT_END.search(text, position)
    return (state, len(text)) if found is None else (replace(state, mode="text"), found.end())


_STEPS: Final = {"text": _text, "tag": _tag, "value": _value, "raw": _raw, "comment": _comment}
