"""Makes the body of a notification of a row's values: which column goes where, and what a text of CSV stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from wavecom.core.campaigns.model import RowFormat, RowProblem
from wavecom.core.templates.variables import Variable, VariableType
from wavecom.errors import Problem

#: Columns of these names need no mapping: they say whom to send to.
_ADDRESSES: Final = frozenset(("email", "phone", "token", "platform", "recipient"))
_TARGET: Final = re.compile(r"locale|(?:to|variables|metadata|payload)(?:\.[^.\s][^.]{0,99}){1,3}")
TARGET_RULE: Final = "`locale`, or a place below `to`, `variables`, `metadata` or `payload`, such as `to.email`"

#: What a text of CSV stands for, where a template's variable is of this type.
_READ_TEXT: Final[Mapping[VariableType, Callable[[str], Any]]] = {
    VariableType.NUMBER: orjson.loads,
    VariableType.LIST: orjson.loads,
    VariableType.MONEY: lambda text: _money(text),
}


def is_target(text: str) -> bool:
    """Whether a column may be mapped to this (``TARGET_RULE``)."""
    return _TARGET.fullmatch(text) is not None


def target_of(column: str, columns: Mapping[str, str], *, has_template: bool) -> str | None:
    """Where a column's values belong; None: nowhere, it is passed over.

    Where ``columns`` says nothing at all, a column goes by its name: addresses and ``locale``, names with a dot as they
    are, and all others are variables of the template.
    """
    if columns:
        return columns.get(column)
    if column == "locale" or is_target(column):
        return column
    if column in _ADDRESSES:
        return f"to.{column}"
    return f"variables.{column}" if has_template else None


def clashes(targets: Mapping[str, str]) -> dict[str, str]:
    """Of columns → where their values belong, those whose place another column has before them, or holds: column →
    that other one."""
    found = {}
    for number, (column, target) in enumerate(targets.items()):
        for other, taken in list(targets.items())[:number]:
            if f"{target}.".startswith(f"{taken}.") or f"{taken}.".startswith(f"{target}."):
                found[column] = other
                break
    return found


class RowMapping:
    """Bodies of the rows of one campaign: what is ``common`` to all, and each row's own values in their places.

    ``variables``: those of the campaign's template. Thread-safe.
    """

    def __init__(
        self,
        common: Mapping[str, Any],
        columns: Mapping[str, str],
        format_: RowFormat,
        variables: Mapping[str, Variable],
    ) -> None:
        self._common = common
        self._columns = columns
        self._is_text = format_ is RowFormat.CSV
        self._variables = variables
        self._has_template = "template" in common
        self._targets: dict[str, tuple[str, ...] | None] = {}

    def missing(self, header: tuple[str, ...]) -> list[str]:
        """Columns that are mapped and that the first line of a CSV does not name."""
        return [column for column in self._columns if column not in header]

    def clashes(self, header: tuple[str, ...]) -> dict[str, str]:
        """See ``clashes``, of the columns that the first line of a CSV names."""
        targets = {column: target_of(column, self._columns, has_template=self._has_template) for column in header}
        return clashes({column: target for column, target in targets.items() if target is not None})

    def body(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a row's notification; an empty cell of CSV is as no cell."""
        body = dict(self._common)
        for column, value in values.items():
            path = self._path(column)
            if path is None or (self._is_text and value == ""):
                continue
            node = body
            for name in path[:-1]:
                inner = node.get(name)
                # A copy: what is common to all stays as it is.
                node[name] = node = dict(inner) if isinstance(inner, Mapping) else {}
            node[path[-1]] = self._read(path, value) if self._is_text else value
        return body

    def problem(self, found: Problem) -> RowProblem:
        """What was found wrong with a body, told by the column that it comes from, if it does."""
        where = ".".join(found.where.strip("/").split("/"))
        for column, path in self._targets.items():
            if path is not None and ".".join(path) == where:
                return RowProblem(column, found.code, found.message)
        return RowProblem(found.where, found.code, found.message)

    def _path(self, column: str) -> tuple[str, ...] | None:
        if column in self._targets:
            return self._targets[column]
        target = target_of(column, self._columns, has_template=self._has_template)
        path = None if target is None else tuple(target.split("."))
        if len(self._targets) < 1_000:
            # NDJSON may name others in each row.
            self._targets[column] = path
        return path

    def _read(self, path: tuple[str, ...], text: str) -> Any:
        if path[0] != "variables" or len(path) != 2:
            return text
        variable = self._variables.get(path[1])
        read = None if variable is None else _READ_TEXT.get(variable.type)
        if read is None:
            return text
        try:
            return read(text)
        except ValueError:
            return text  # To be refused as what it is.


def _money(text: str) -> Any:
    """``12.50 CHF`` as the two that it is."""
    amount, _, currency = text.strip().partition(" ")
    return {"amount": amount, "currency": currency.strip()} if currency else orjson.loads(text)
