"""Reads rows out of the bytes of CSV (RFC 4180) or NDJSON, piece by piece, and says where each of them ends.

Pieces may be cut anywhere. What is kept between two of them is the beginning of one row, so memory is bounded whatever
the size of the upload. A row in which something is wrong is a row all the same, with the reason.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from wavecom.core.campaigns.model import RowFormat, RowProblem, UploadState
from wavecom.errors import InvalidRequestError, Problem

#: Bytes that one row may have.
ROW_LIMIT: Final = 64 * 1024
COLUMNS_LIMIT: Final = 200
_DELIMITERS: Final = (",", ";", "\t")
_MARK: Final = b"\xef\xbb\xbf"


class RawRow(NamedTuple):
    """A row as it came: its first line (from 1), where the upload stands behind it, and its values by column.

    ``values`` None: it could not be read, and ``problem`` says why.
    """

    line: int
    end_offset: int
    end_lines: int
    values: Mapping[str, Any] | None
    problem: RowProblem | None = None


class _IncompleteError(Exception):
    """The row goes on in the next piece."""


class RowReader:
    """Reads the rows of one upload, from ``begin`` on. Not thread-safe.

    Raises ``InvalidRequestError`` where it can't be told any more where rows begin and end, or what columns mean.
    """

    def __init__(self, begin: UploadState, format_: RowFormat) -> None:
        self._format = format_
        self._buffer = b""
        self._offset = begin.offset
        self._lines = begin.lines
        self.header: tuple[str, ...] = begin.header
        self._delimiter = begin.delimiter
        #: Bytes of the buffer, and lines in it, that belong to rows that were read, or to the one that is being read.
        self._taken = 0
        self._taken_lines = 0

    @property
    def delimiter(self) -> str:
        """What parts the columns; told by the first line."""
        return self._delimiter

    def feed(self, data: bytes, *, is_last: bool = False) -> Iterator[RawRow]:
        """The rows that are whole with these bytes; all must be read before the next call. ``is_last``: no more come,
        and a row needs no line break at its end."""
        self._buffer += data
        if self._offset == 0 and self._buffer.startswith(_MARK):
            self._step(len(_MARK), 0)
        rows = self._csv(is_last) if self._format is RowFormat.CSV else self._ndjson(is_last)
        yield from rows
        if len(self._buffer) > ROW_LIMIT:
            text = f"has a row, or a quotation mark that is not closed, in line {self._lines + 1}: a row has at most "
            raise InvalidRequestError([Problem("", f"{text}{ROW_LIMIT} bytes", "too_large")])

    def _step(self, size: int, lines: int) -> None:
        """So many bytes of the buffer are done with."""
        self._buffer = self._buffer[size:]
        self._offset += size
        self._lines += lines

    # --- NDJSON -------------------------------------------------------------------------------------------------------

    def _ndjson(self, is_last: bool) -> Iterator[RawRow]:
        begin, lines = 0, 0
        buffer = self._buffer
        while begin < len(buffer):
            end = buffer.find(b"\n", begin) + 1
            if not end:
                if not is_last:
                    break
                end = len(buffer)
            text = buffer[begin:end].strip()
            lines += 1
            if text:
                values, problem = _object(text)
                yield RawRow(self._lines + lines, self._offset + end, self._lines + lines, values, problem)
            begin = end
        self._step(begin, lines)

    # --- CSV ----------------------------------------------------------------------------------------------------------

    def _csv(self, is_last: bool) -> Iterator[RawRow]:
        if not self.header and not self._read_header(is_last):
            return
        done, done_lines = 0, 0
        self._taken, self._taken_lines = 0, 0
        reader = csv.reader(self._decoded_lines(is_last), delimiter=self._delimiter, strict=True)
        while True:
            self._row_begin = self._taken
            cells: Sequence[str] | None
            problem = None
            try:
                cells = next(reader)
            except (StopIteration, _IncompleteError):
                break
            except csv.Error as error:
                cells, problem = None, RowProblem("", "invalid", f"is no CSV: {error}")
            size = self._taken - done
            first_line = self._lines + done_lines + 1
            done, done_lines = self._taken, self._taken_lines
            if not cells and problem is None:
                continue
            values = None
            if cells is not None:
                values, problem = self._values(cells, size)
            yield RawRow(first_line, self._offset + done, self._lines + done_lines, values, problem)
        self._step(done, done_lines)

    def _decoded_lines(self, is_last: bool) -> Iterator[str]:
        buffer = self._buffer
        while self._taken < len(buffer):
            end = buffer.find(b"\n", self._taken) + 1
            if not end:
                if not is_last:
                    raise _IncompleteError
                end = len(buffer)
            line = buffer[self._taken : end]
            self._taken = end
            self._taken_lines += 1
            yield line.decode("utf-8", "surrogateescape")
        if self._taken > self._row_begin and not is_last:
            # Within quotation marks: the row goes on.
            raise _IncompleteError

    def _read_header(self, is_last: bool) -> bool:
        """Whether the first line is here; a line break in a column's name is none that anybody means."""
        end = self._buffer.find(b"\n") + 1
        if not end:
            if not is_last:
                return False
            end = len(self._buffer)
        try:
            line = self._buffer[:end].decode("utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            raise _wrong_header("must be in UTF-8") from error
        counts = {mark: line.count(mark) for mark in _DELIMITERS}
        self._delimiter = max(_DELIMITERS, key=lambda mark: counts[mark])
        names = next(csv.reader([line], delimiter=self._delimiter), [])
        header = tuple(name.strip() for name in names)
        if not all(header):
            raise _wrong_header("must name every column")
        if len(set(header)) < len(header):
            raise _wrong_header("must not name a column twice")
        if len(header) > COLUMNS_LIMIT:
            raise _wrong_header(f"must name at most {COLUMNS_LIMIT} columns")
        self.header = header
        self._step(end, 1)
        return bool(header)

    def _values(self, cells: Sequence[str], size: int) -> tuple[Mapping[str, str] | None, RowProblem | None]:
        if len(cells) != len(self.header):
            text = f"has {len(cells)} columns, and the first line names {len(self.header)}"
            return None, RowProblem("", "invalid", text)
        if size > ROW_LIMIT:
            return None, RowProblem("", "too_large", f"must have at most {ROW_LIMIT} bytes; it has {size}")
        for name, cell in zip(self.header, cells, strict=True):
            if not cell.isascii() and any("\ud800" <= sign <= "\udfff" for sign in cell):
                return None, RowProblem(name, "invalid", "must be in UTF-8")
        return dict(zip(self.header, cells, strict=True)), None


def _object(text: bytes) -> tuple[Mapping[str, Any] | None, RowProblem | None]:
    if len(text) > ROW_LIMIT:
        return None, RowProblem("", "too_large", f"must have at most {ROW_LIMIT} bytes; it has {len(text)}")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return None, RowProblem("", "invalid", f"is not valid JSON in UTF-8: {error}")
    if not isinstance(value, dict):
        return None, RowProblem("", "wrong_type", "must be a JSON object")
    return value, None


def _wrong_header(text: str) -> InvalidRequestError:
    return InvalidRequestError([Problem("", f"has a first line that {text}", "invalid")])
