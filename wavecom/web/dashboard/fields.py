"""The controls of a form: declared once, then copied with what was typed and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from wavecom.errors import Problem

_LOCAL_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d(?:\.\d+)?)?")


# --- Reading what was typed: None for nothing, ValueError with the rest of a sentence for what can't be read ----


def line(text: str) -> str | None:
    """One line; white space around it is a slip."""
    return text.strip() or None


def lines(text: str) -> str | None:
    """A text as typed. Browsers send line ends as CRLF, whatever was typed."""
    text = text.replace("\r\n", "\n")
    return None if not text or text.isspace() else text


def whole_number(text: str) -> int | str | None:
    """An int; what is not one is left for the schema to refuse."""
    text = text.strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else text or None


def whole_number_within(text: str, least: int, most: int) -> int | None:
    """The number that ``text`` is, in decimal digits; None where it is none from ``least`` to ``most``, however long.

    Not negative, and of fifteen digits at the most: Python itself raises for thousands of them.
    """
    found = whole_number(text) if text[:1].isdecimal() else None
    return found if isinstance(found, int) and least <= found <= most else None


def utc(text: str) -> str | None:
    """The value of ``datetime-local`` as RFC 3339 in UTC; anything else is left for the schema to refuse."""
    text = text.strip()
    found = _LOCAL_TIME.fullmatch(text)
    return f"{found[1]}{found[2] or ':00'}Z" if found else text or None


def pairs(text: str) -> dict[str, str] | None:
    """Lines of ``name: value``; None: there are none. Raises ``ValueError`` that says what a line must be."""
    found: dict[str, str] = {}
    for number, each in enumerate(text.splitlines(), 1):
        if not each.strip():
            continue
        name, colon, value = each.partition(":")
        name = name.strip()
        if not colon:
            raise ValueError(f"must have a colon in every line, as in “name: value”; line {number} has none")
        if name in found:
            raise ValueError(f"must have each name once; line {number} repeats “{name}”")
        found[name] = value.strip()
    return found or None


def json_value(text: str) -> Any:
    """Any JSON; None where nothing was typed. Raises ``ValueError`` that says where it goes wrong."""
    if not text.strip():
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"must be JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


# --- Fields -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A labelled control. ``pointer`` is the place of its value in the request that the form makes.

    ``covers`` are further places whose problems are shown here. A field has a ``value`` as typed and an ``error``.
    """

    name: str
    label: str
    pointer: str
    covers: tuple[str, ...] = ()
    kind: str = "text"
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    #: Any number of the choices: boxes to check, and the value is those that are, parted by commas.
    takes_several: bool = False
    rows: int = 0
    is_code: bool = False
    is_required: bool = False
    is_marked_optional: bool = False
    read: Callable[[str], Any] = line
    value: str = ""
    error: str = ""

    @property
    def chosen(self) -> list[str]:
        """Of one that takes several: those that are chosen."""
        return [each for each in self.value.split(",") if each]

    @property
    def id(self) -> str:
        """The id of the control in the page."""
        return f"field-{self.name}"


@dataclass(frozen=True, slots=True)
class FormProblem:
    """A problem as the summary of a form shows it: ``field`` to link to, or None."""

    field: Field | None
    message: str


def place(problem: Problem, fields: Sequence[Field]) -> tuple[Field | None, str]:
    """The field that a problem belongs to, and its message there, as the rest of a sentence.

    What is wrong inside a field's value (one header of several) begins with the name of that part.
    """
    for field in fields:
        if problem.where == field.pointer or problem.where in field.covers:
            return field, problem.message
    inside = [field for field in fields if problem.where.startswith(f"{field.pointer}/")]
    if inside:
        field = max(inside, key=lambda each: len(each.pointer))
        return field, f"{_part(problem.where.removeprefix(field.pointer))} {problem.message}"
    around = [field for field in fields if field.pointer.startswith(f"{problem.where}/")]
    if problem.where and around:
        return around[0], problem.message
    return None, f"{_part(problem.where)} {problem.message}".strip()


def with_errors(field: Field, messages: Sequence[str]) -> Field:
    """The field with its error as one or more sentences."""
    return replace(field, error=" ".join(sentence(message) for message in messages))


def sentence(text: str) -> str:
    """Capital first, full stop last."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _part(pointer: str) -> str:
    """``/0/filename`` → ``no. 1 filename``, ``/X-A`` → ``X-A``."""
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    return " ".join(f"no. {int(token) + 1}" if token.isdecimal() else token for token in tokens)
