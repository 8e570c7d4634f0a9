"""The scanner agrees with the standard parser about what a file holds, and knows where it stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from wavecom.providers.file.lines import Path, line_at, lines_of

HARD = '''\
# [not.a.table]
title = "a # b" # comment
"quoted key" = 'x = 1'
many = """
[inside]
key = "no" \\"""
""" # after
literal = \'\'\'
[[inside]]
\'\'\'
a.b.c = 1.5e3
when = 1979-05-27 07:32:00Z
[one]
list = [
  1, # first
  [2, 3],
  { x = 1, y = { z = [true, false] } },
  "]",

]
[ one . "two.three" ]
k = {}
[[items]]
n = 1
[[items]]
n = 2
[items.sub]
deep = []
'''


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from paths_of(inner, (*path, key))


def test_every_key_and_item_has_a_line() -> None:
    lines = lines_of(HARD)

    # A table below [[items]] belongs to the last item; the scanner leaves its index out, and nothing here needs it.
    expected = {path for path in paths_of(tomllib.loads(HARD)) if "sub" not in path}
    assert expected <= set(lines)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted key",), 3),
        (("many",), 4),
        (("literal",), 8),
        (("a",), 11),
        (("a", "b", "c"), 11),
        (("when",), 12),
        (("one",), 13),
        (("one", "list", 0), 15),
        (("one", "list", 1, 1), 16),
        (("one", "list", 2, "y", "z", 1), 17),
        (("one", "list", 3), 18),
        (("one", "two.three"), 21),
        (("items", 1, "n"), 26),
    ],
)
def test_lines_are_those_an_editor_shows(path: Path, line: int) -> None:
    assert lines_of(HARD)[path] == line


def test_what_has_no_line_of_its_own_is_placed_at_what_is_around_it() -> None:
    lines = lines_of("[a]\n\n[a.b]\nc = 1\n")

    assert line_at(lines, ("a", "b", "missing", 3)) == 3
    assert line_at(lines, ("nowhere",)) == 1
