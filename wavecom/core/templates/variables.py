"""Variables: what a template may use, each with a type and an example; and the values that a request gives for them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from wavecom.errors import Problem

VARIABLES_LIMIT: Final = 100
TEXT_DEFAULT_LIMIT: Final = 1_000
TEXT_LIMIT: Final = 20_000
ITEMS_DEFAULT_LIMIT: Final = 100
ITEMS_LIMIT: Final = 500
URL_LIMIT: Final = 2_000
_DIGITS: Final = 15
_DECIMALS: Final = 6
_NAME: Final = re.compile(r"[a-z][A-Za-z0-9_]{0,49}")
NAME_RULE: Final = "a small letter, then letters, digits and _, at most 50 together"
#: They mean something in the language of templates itself.
RESERVED: Final = frozenset(("loop", "content", "true", "false", "none", "and", "or", "not", "in", "is", "if", "else"))


class VariableType(StrEnum):
    """What a variable holds."""

    TEXT = "text"
    #: A JSON number.
    NUMBER = "number"
    #: ``{"amount": "12.50", "currency": "CHF"}``.
    MONEY = "money"
    #: ``2026-03-14``, or with a time: ``2026-03-14T09:26:53+01:00``.
    DATE = "date"
    #: An address of http or https.
    URL = "url"
    #: Of values, or of objects with fields; each of the types above.
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency (ISO 4217)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Variable:
    """One declared variable, or the items or a field of a list.

    ``fields`` or ``items`` say what a list holds. ``max_length`` is in characters, ``max_items`` bounds a list.
    """

    type: VariableType
    example: Any = None
    is_required: bool = True
    description: str = ""
    max_length: int = TEXT_DEFAULT_LIMIT
    max_items: int = ITEMS_DEFAULT_LIMIT
    items: Variable | None = None
    fields: Mapping[str, Variable] = field(default_factory=dict)


def is_variable_name(name: str) -> bool:
    """Whether a variable or a field may be called so (``NAME_RULE``), and means nothing else."""
    return _NAME.fullmatch(name) is not None and name.lower() not in RESERVED


def declaration_problems(variables: Mapping[str, Variable], where: str = "/variables") -> list[Problem]:
    """What is wrong with declarations, their examples included."""
    found: list[Problem] = []
    if len(variables) > VARIABLES_LIMIT:
        found.append(Problem(where, f"must be at most {VARIABLES_LIMIT}; there are {len(variables)}", "too_many"))
    for name, variable in variables.items():
        found.extend(_declaration_problems(name, variable, f"{where}/{_escaped(name)}"))
    if not found:
        _, found = values_of(variables, examples_of(variables), f"{where}/*/example")
    return found


def examples_of(variables: Mapping[str, Variable]) -> dict[str, Any]:
    """The example of each variable, as a request would give it."""
    return {name: variable.example for name, variable in variables.items()}


def longest_examples_of(variables: Mapping[str, Variable]) -> dict[str, Any]:
    """Examples as long as they may get: texts filled up to their ``max_length``, in lists too, which have
    ``max_items``."""
    return {name: _longest(variable, variable.example) for name, variable in variables.items()}


def _longest(variable: Variable, example: Any) -> Any:
    if variable.type is VariableType.TEXT:
        word = "x" if example is None else str(example)
        return (word * (variable.max_length // len(word) + 1))[: variable.max_length] if word else ""
    if variable.type is not VariableType.LIST or not example:
        return example
    items = [
        _longest(variable.items, each)
        if variable.items is not None
        else {name: _longest(inner, each.get(name)) for name, inner in variable.fields.items()}
        for each in example
    ]
    return [items[index % len(items)] for index in range(variable.max_items)]


def values_of(
    variables: Mapping[str, Variable], given: Mapping[str, Any], where: str = "/variables"
) -> tuple[dict[str, Any], list[Problem]]:
    """What a template is rendered with, and what is wrong: each that is missing, unknown or of another type, at most
    ``Problem.LIMIT``.

    ``where`` is a JSON pointer, in which ``*`` stands for a name in the middle.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in given:
        if name not in variables:
            if len(problems) >= Problem.LIMIT:
                return {}, problems
            # Once: a hundred names in each of a thousand problems would be megabytes.
            known = " either" if problems else f"; there are: {', '.join(variables) or 'none'}"
            text = f"is no variable of this template{known}"
            problems.append(Problem(_pointer(where, name), text, "unknown_field"))
    for name, variable in variables.items():
        value = given.get(name)
        pointer = _pointer(where, name)
        if value is None:
            values[name] = [] if variable.type is VariableType.LIST else None
            if variable.is_required:
                problems.append(Problem(pointer, f"is missing; give {_must(variable)}", "required"))
            continue
        values[name] = _value(variable, value, pointer, problems)
    return values, problems[: Problem.LIMIT]


def _pointer(where: str, name: str) -> str:
    return where.replace("*", _escaped(name)) if "*" in where else f"{where}/{_escaped(name)}"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _declaration_problems(name: str, variable: Variable, where: str) -> Iterator[Problem]:
    if not is_variable_name(name):
        yield Problem(where, f"must be called by {NAME_RULE}, and by no word that templates have already", "invalid")
    is_list = variable.type is VariableType.LIST
    if is_list and (variable.items is None) == (not variable.fields):
        yield Problem(
            where, "must have either items, for a list of values, or fields, for a list of objects", "invalid"
        )
    if not is_list and (variable.items is not None or variable.fields):
        yield Problem(where, "must have no items and no fields: it is no list", "not_allowed")
    if not 1 <= variable.max_length <= TEXT_LIMIT:
        yield Problem(f"{where}/maxLength", f"must be from 1 to {TEXT_LIMIT}", "out_of_range")
    if not 1 <= variable.max_items <= ITEMS_LIMIT:
        yield Problem(f"{where}/maxItems", f"must be from 1 to {ITEMS_LIMIT}", "out_of_range")
    inner = dict(variable.fields) | ({} if variable.items is None else {"items": variable.items})
    for field_name, each in inner.items():
        place = f"{where}/items" if each is variable.items else f"{where}/fields/{_escaped(field_name)}"
        if each.type is VariableType.LIST:
            yield Problem(f"{place}/type", "must not be list: lists hold no lists", "not_allowed")
        if each is not variable.items and not is_variable_name(field_name):
            yield Problem(place, f"must be called by {NAME_RULE}", "invalid")


def _value(variable: Variable, value: Any, where: str, problems: list[Problem]) -> Any:
    if variable.type is VariableType.LIST:
        return _list(variable, value, where, problems)
    try:
        match variable.type:
            case VariableType.TEXT:
                return _text(value, variable.max_length)
            case VariableType.NUMBER:
                return _number(value)
            case VariableType.MONEY:
                return _money(value)
            case VariableType.DATE:
                return _date(value)
            case _:
                return _url(value)
    except _UnfitError as error:
        problems.append(Problem(where, str(error) or f"must be {_must(variable)}", error.code))
        return None


class _UnfitError(Exception):
    """A value of another type (no text), or with something wrong that the text says."""

    def __init__(self, text: str = "", code: str = "wrong_type") -> None:
        super().__init__(text)
        self.code = code


def _list(variable: Variable, value: Any, where: str, problems: list[Problem]) -> list[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        problems.append(Problem(where, f"must be {_must(variable)}", "wrong_type"))
        return []
    if len(value) > variable.max_items:
        text = f"must have at most {variable.max_items} items; it has {len(value)}"
        problems.append(Problem(where, text, "too_many"))
        return []
    made: list[Any] = []
    for index, each in enumerate(value):
        if len(problems) >= Problem.LIMIT:
            break
        if variable.items is not None:
            made.append(_value(variable.items, each, f"{where}/{index}", problems))
        elif isinstance(each, Mapping):
            fields, wrong = values_of(variable.fields, each, f"{where}/{index}")
            problems.extend(wrong)
            made.append(fields)
        else:
            names = ", ".join(variable.fields)
            problems.append(Problem(f"{where}/{index}", f"must be an object with {names}", "wrong_type"))
    return made


def _text(value: Any, limit: int) -> str:
    if not isinstance(value, str):
        raise _UnfitError
    if len(value) > limit:
        raise _UnfitError(f"must have at most {limit} characters; it has {len(value)}", "too_long")
    if "\0" in value:
        raise _UnfitError("must hold no NUL character", "invalid")
    return value


def _number(value: Any) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _UnfitError
    if not math.isfinite(value) or abs(value) >= 10**_DIGITS:
        raise _UnfitError("must be a number below 10^15", "out_of_range")
    # By its shortest digits, as it was written: 19.9 equals an amount of "19.90".
    return value if isinstance(value, int) else Decimal(repr(value))


def _money(value: Any) -> Money:
    if not isinstance(value, Mapping) or set(value) != {"amount", "currency"}:
        raise _UnfitError
    amount, currency = value["amount"], value["currency"]
    if isinstance(amount, bool) or not isinstance(amount, int | float | str) or not isinstance(currency, str):
        raise _UnfitError
    try:
        number = Decimal(str(amount)) if len(str(amount)) <= 40 else Decimal("nan")
    except InvalidOperation:
        raise _UnfitError from None
    exponent = number.as_tuple().exponent
    is_small = number.is_finite() and number.adjusted() < _DIGITS
    if not is_small or not isinstance(exponent, int) or exponent < -_DECIMALS:
        raise _UnfitError(f"must have an amount below 10^15 with at most {_DECIMALS} decimals", "out_of_range")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise _UnfitError("must have a currency by its three capitals (ISO 4217), such as CHF", "invalid")
    return Money(number, currency)


def _date(value: Any) -> date:
    if not isinstance(value, str):
        raise _UnfitError
    try:
        if len(value) == len("2026-03-14"):
            return date.fromisoformat(value)
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _UnfitError(code="invalid") from None
    if moment.tzinfo is None:
        raise _UnfitError("must have its offset from UTC, such as Z or +01:00, where it has a time", "invalid")
    return moment


def _url(value: Any) -> str:
    text = _text(value, URL_LIMIT)
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_web = False
    if not is_web or not text.isprintable() or any(each in text for each in " <>\"'`\\{}|^"):
        raise _UnfitError("must be an address that begins with https:// or http://", "invalid")
    return text


def _must(variable: Variable) -> str:
    return {
        VariableType.TEXT: "a text",
        VariableType.NUMBER: "a number",
        VariableType.MONEY: 'money, such as {"amount": "12.50", "currency": "CHF"}',
        VariableType.DATE: "a date, such as 2026-03-14 or 2026-03-14T09:26:53Z",
        VariableType.URL: "an address that begins with https:// or http://",
        VariableType.LIST: "a list",
    }[variable.type]
