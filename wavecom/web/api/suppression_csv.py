"""Suppression lists as CSV (RFC 4180, UTF-8): rows in, rows out, a batch at a time.

The first line names the columns, in any order: ``type`` and ``recipient``, and where they are wanted ``scope``,
``reason`` and ``expiresAt``. What an export has besides is passed over, so that what came out can go in elsewhere; and
so are its rows of entries that were lifted or have expired, which nobody wants in force again. A file never weakens a
list: of several rows of a recipient, and of what is in force already, the wider scope and the later end count, and what
the file does not tell stays as it is.

A value that a spreadsheet would compute is written with ``'`` before it, which an import takes away again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import StringIO
from typing import Any, Self

from marshmallow import ValidationError

from wavecom.core.suppression_list import BATCH_SIZE, AddCounts, SuppressionList, SuppressionPages
from wavecom.core.suppressions import NewSuppression, Suppression, SuppressionFilter, SuppressionState
from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api import csv_cells
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, problems
from wavecom.web.api.representation import rfc3339
from wavecom.web.api.schemas.suppression import SuppressionSchema

#: What an import reads; the first two it needs.
IMPORTED = ("type", "recipient", "scope", "reason", "expiresAt")
_STATE = "state"
COLUMNS = (*IMPORTED, "source", _STATE, "createdAt", "liftedAt", "by", "suppressionId", "account")
_NOT_IN_FORCE = frozenset({SuppressionState.LIFTED.value, SuppressionState.EXPIRED.value})
#: Bad rows that are named; of the others only the number is told.
NAMED_LIMIT = 1000
#: Computed, it is itself; and whoever reads the file by a program finds it as the API writes it.
_PHONE_NUMBER = re.compile(r"\+[0-9]+")
_READ = (*IMPORTED, _STATE)
_MORE_VALUES = FieldError(
    FieldErrorCode.INVALID, "has more values than the first line has columns; put a value with commas in quotes"
)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not taken. ``line`` counts from 1, the names of the columns included."""

    line: int
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class ImportResult:
    """What became of the rows of a CSV."""

    counts: AddCounts = field(default_factory=AddCounts)
    refused: int = 0
    bad_rows: list[BadRow] = field(default_factory=list)


class SuppressionCsv:
    """Reads and writes a suppression list. ``now``: the time against which ends are held."""

    def __init__(self, suppressions: SuppressionList, now: Callable[[], datetime]) -> None:
        self._suppressions = suppressions
        self._now = now
        self._schema = SuppressionSchema(now)

    def read(self, lines: Iterable[str], account: str, by: str) -> ImportResult:
        """Add each row to the account's list. A bad row is named and costs no other; nothing is read twice.

        Raises ``InvalidRequestError`` where the columns are wrong, with nothing done; ``StoreError``, after which the
        same may be read again: what is there already is not changed.
        """
        result = ImportResult()
        batch: list[NewSuppression] = []
        for line, row, columns in self._rows(lines):
            if row is not None and row.pop(_STATE, None) in _NOT_IN_FORCE:
                result.counts = replace(result.counts, unchanged=result.counts.unchanged + 1)
                continue
            try:
                batch.append(self._new(row, columns, account, by))
            except ValidationError as error:
                result.refused += 1
                if len(result.bad_rows) < NAMED_LIMIT:
                    result.bad_rows.append(BadRow(line, tuple(problems(error))))
            if len(batch) == BATCH_SIZE:
                result.counts = result.counts.plus(self._suppressions.add(batch))
                batch = []
        if batch:
            result.counts = result.counts.plus(self._suppressions.add(batch))
        return result

    def _new(self, row: dict[str, Any] | None, columns: Collection[str], account: str, by: str) -> NewSuppression:
        if row is None:
            raise ValidationError(_MORE_VALUES)
        new = self._schema.new(self._schema.load(row), account, by)
        # Without a value there is no scope, but an end there is: never.
        specified = {"scope": "scope" in row, "expires_at": "expiresAt" in columns}
        return replace(
            new,
            only_widens=True,
            unspecified=frozenset(name for name, is_specified in specified.items() if not is_specified),
        )

    @staticmethod
    def _rows(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any] | None, list[str]]]:
        """Each row's line, its values by column, and the columns; no values where there are more of them."""
        reader = csv.reader(lines, strict=True)
        columns: list[str] | None = None
        try:
            for values in reader:
                if not any(values):
                    continue
                if columns is None:
                    columns = _columns(values)
                    continue
                named = zip(columns, values, strict=False)
                row = {name: _unescaped(value.strip()) for name, value in named if name in _READ and value.strip()}
                yield reader.line_num, row if len(values) <= len(columns) else None, columns
        except csv.Error as error:
            raise _refused("", f"is no CSV: line {reader.line_num}: {error}") from error
        if columns is None:
            raise _refused("", "is empty: the first line must name the columns, such as type,recipient")

    def export(self, where: SuppressionFilter) -> CsvParts:
        """The entries that ``where`` lets through as one CSV, part by part."""
        return CsvParts(self._suppressions.pages(where), self._written)

    def _written(self, entries: Iterable[Suppression], with_names: bool) -> str:
        """Rows of these entries, under the names of the columns where it is asked for."""
        out = StringIO()
        writer = csv.writer(out)
        if with_names:
            writer.writerow(COLUMNS)
        now = self._now()
        for entry in entries:
            writer.writerow(_escaped(value) for value in _values(entry, entry.state(now)))
        return out.getvalue()


class CsvParts:
    """An iterator of the parts of a CSV in UTF-8, one for each page: the first names the columns.

    May be asked again after ``StoreError``: it goes on where it was.
    """

    def __init__(self, pages: SuppressionPages, written: Callable[[Iterable[Suppression], bool], str]) -> None:
        self._pages = pages
        self._written = written
        self._is_begun = False

    @property
    def is_done(self) -> bool:
        """Whether the last part was given."""
        return self._pages.is_done

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        part = self._written(next(self._pages), not self._is_begun)
        self._is_begun = True
        return part.encode()


def _columns(values: list[str]) -> list[str]:
    names = [value.strip().removeprefix("\ufeff") for value in values]
    for name in IMPORTED[:2]:
        if names.count(name) != 1:
            raise _refused(name, "must be named once in the first line, such as type,recipient,scope,reason,expiresAt")
    return names


def _refused(where: str, message: str) -> InvalidRequestError:
    return InvalidRequestError([Problem(f"/{where}" if where else "", message, FieldErrorCode.INVALID)])


def _values(entry: Suppression, state: SuppressionState) -> Iterator[str]:
    shown: Mapping[str, str] = {
        "type": entry.channel.value,
        "recipient": entry.recipient,
        "scope": entry.scope.value,
        "reason": entry.reason,
        "expiresAt": "" if entry.expires_at is None else rfc3339(entry.expires_at),
        "source": entry.source.value,
        "state": state.value,
        "createdAt": rfc3339(entry.created_at),
        "liftedAt": "" if entry.lifted_at is None else rfc3339(entry.lifted_at),
        "by": entry.by,
        "suppressionId": entry.suppression_id,
        "account": entry.account,
    }
    return (shown[name] for name in COLUMNS)


def _escaped(value: str) -> str:
    """``value``, so that no program that opens the file computes it."""
    return value if _PHONE_NUMBER.fullmatch(value) else csv_cells.escaped(value)


def _unescaped(value: str) -> str:
    return csv_cells.unescaped(value)
