"""On which line of a TOML file a key or an array's item stands; the standard parser doesn't say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import NamedTuple

Path = tuple[str | int, ...]

# Strings first, since they may hold every other sign; the many-line ones before the others, since they begin alike.
_TOKEN = re.compile(
    r"""
      (?P<string> \"{3} (?:\\.|[^\\])*? \"{3,5} (?!\") | '{3} .*? '{3,5} (?!') | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<comment> \#[^\n]* )
    | (?P<newline> \n )
    | (?P<sign> [\[\]{}=,.] )
    | (?P<bare> [^\s\[\]{}=,.\#"']+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def lines_of(source: str) -> dict[Path, int]:
    """The line of every table header, key and array item, by its path; ``source`` must be valid TOML."""
    return _Scanner(source).scan()


def line_at(lines: Mapping[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest thing around it that has one; the first line at last."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


class _Scanner:
    def __init__(self, source: str) -> None:
        self._tokens = [*_tokens(source), _Token("end", "", 0)]
        self._at = 0
        self._lines: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._kind != "end":
            if self._kind == "newline":
                self._next()
            elif self._text == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    @property
    def _kind(self) -> str:
        return self._tokens[self._at].kind

    @property
    def _text(self) -> str:
        token = self._tokens[self._at]
        return token.text if token.kind == "sign" else ""

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _header(self) -> Path:
        line = self._next().line
        is_item = self._text == "["
        if is_item:
            self._next()
        path: Path = self._key()
        while self._text == "]":
            self._next()
        if is_item:
            path = (*path, next(index for index in count() if (*path, index) not in self._lines))
        self._note(path, line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at].line
        path = (*table, *self._key())
        self._next()  # the equals sign
        self._note(path, line)
        self._value(path)

    def _key(self) -> tuple[str, ...]:
        parts = []
        while self._kind in {"bare", "string"} or self._text == ".":
            token = self._next()
            if token.kind != "sign":
                parts.append(token.text.strip("\"'"))
        return tuple(parts)

    def _value(self, path: Path) -> None:
        if self._text == "[":
            self._array(path)
        elif self._text == "{":
            self._next()
            while self._skip_to_item("}"):
                self._pair(path)
        else:
            while self._kind in {"bare", "string"} or self._text == ".":
                self._next()

    def _array(self, path: Path) -> None:
        self._next()
        index = 0
        while self._skip_to_item("]"):
            self._note((*path, index), self._tokens[self._at].line)
            self._value((*path, index))
            index += 1

    def _skip_to_item(self, end: str) -> bool:
        """Go past commas and line ends; False, and past ``end``, when there is no further item."""
        while self._kind == "newline" or self._text == ",":
            self._next()
        if self._text == end or self._kind == "end":
            self._at += self._kind != "end"
            return False
        return True

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):  # a dotted key is the first word on each table that it names
            self._lines.setdefault(path[:length], line)


def _tokens(source: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or ""
        if kind != "comment":
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
