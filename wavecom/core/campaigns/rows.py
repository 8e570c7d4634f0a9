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
#: Characters of a column's name.
COLUMN_LIMIT: Final = 100
#: Bytes between two rows: lines with nothing in them cost time, and are no rows that would be counted.
BLANK_LIMIT: Final = 1024 * 1024
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
        self._is_line_too_large = False
        #: Bytes of a line that was too long to be kept, up to now; 0: none is.
        self._skipped_bytes = 0
        #: Where the last row ended.
        self._blank_since = begin.offset

    @property
    def delimiter(self) -> str:
        """What parts the columns; told by the first line."""
        return self._delimiter

    def feed(self, data: bytes, *, is_last: bool = False) -> Iterator[RawRow]:
        """The rows that are whole with these bytes; all must be read before the next call. ``is_last``: no more come,
        and a row needs no line break at its end."""
        if self._skipped_bytes:
            end = data.find(b"\n") + 1 or len(data)
            self._skipped_bytes += end
            if not is_last and not data[:end].endswith(b"\n"):
                return
            self._offset += self._skipped_bytes
            self._lines += 1
            problem = _too_large(self._skipped_bytes)
            data, self._skipped_bytes, self._blank_since = data[end:], 0, self._offset
            yield RawRow(self._lines, self._offset, self._lines, None, problem)
        self._buffer += data
        if self._offset == 0 and self._buffer.startswith(_MARK):
            self._step(len(_MARK), 0)
        rows = self._csv(is_last) if self._format is RowFormat.CSV else self._ndjson(is_last)
        for row in rows:
            self._blank_since = row.end_offset
            yield row
        if self._offset - self._blank_since > BLANK_LIMIT:
            text = f"has more than {BLANK_LIMIT} bytes without a row before line {self._lines + 1}"
            raise InvalidRequestError([Problem("", text, "too_large")])
        if len(self._buffer) > ROW_LIMIT:
            if b"\n" in self._buffer:
                raise _too_long(self._lines + 1)
            if self._format is RowFormat.CSV and not self.header:
                raise _wrong_header(f"must have at most {ROW_LIMIT} bytes")
            # The row is rejected whatever the rest of its line is, which need not be kept.
            self._skipped_bytes, self._buffer = len(self._buffer), b""

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
            line = buffer[begin:end]
            text = line.strip()
            lines += 1
            if text:
                values, problem = (None, _too_large(len(line))) if _is_too_large(line) else _object(text)
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
            if self._is_line_too_large:
                self._is_line_too_large = False
                cells, problem = None, _too_large(size)
            elif size - 1 > ROW_LIMIT:
                raise _too_long(self._lines + done_lines + 1)
            first_line = self._lines + done_lines + 1
            done, done_lines = self._taken, self._taken_lines
            if not cells and problem is None:
                continue
            values = None
            if cells is not None:
                values, problem = self._values(cells)
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
            self._is_line_too_large = self._taken == self._row_begin and _is_too_large(line)
            self._taken = end
            self._taken_lines += 1
            yield "" if self._is_line_too_large else line.decode("utf-8", "surrogateescape")
        if self._taken > self._row_begin and not is_last:
            # Within quotation marks: the row goes on.
            raise _IncompleteError

    def _read_header(self, is_last: bool) -> bool:
        """Whether the first line is here; a line break in a column's name is none that anybody means."""
        while True:
            end = self._buffer.find(b"\n") + 1
            if not end:
                if not is_last:
                    return False
                end = len(self._buffer)
            if not end or self._buffer[:end].strip():
                break
            self._step(end, 1)
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
        if any(len(name) > COLUMN_LIMIT for name in header):
            raise _wrong_header(f"must name columns in at most {COLUMN_LIMIT} characters each")
        if len(header) > COLUMNS_LIMIT:
            raise _wrong_header(f"must name at most {COLUMNS_LIMIT} columns")
        self.header = header
        self._step(end, 1)
        return bool(header)

    def _values(self, cells: Sequence[str]) -> tuple[Mapping[str, str] | None, RowProblem | None]:
        if len(cells) != len(self.header):
            text = f"has {len(cells)} columns, and the first line names {len(self.header)}"
            return None, RowProblem("", "invalid", text)
        for name, cell in zip(self.header, cells, strict=True):
            if not cell.isascii() and any("\ud800" <= sign <= "\udfff" for sign in cell):
                return None, RowProblem(name, "invalid", "must be in UTF-8")
        return dict(zip(self.header, cells, strict=True)), None


def _object(text: bytes) -> tuple[Mapping[str, Any] | None, RowProblem | None]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return None, RowProblem("", "invalid", f"is not valid JSON in UTF-8: {error}")
    if not isinstance(value, dict):
        return None, RowProblem("", "wrong_type", "must be a JSON object")
    if len(value) > COLUMNS_LIMIT or any(len(name) > COLUMN_LIMIT for name in value):
        text_ = f"must have at most {COLUMNS_LIMIT} fields, with names of at most {COLUMN_LIMIT} characters"
        return None, RowProblem("", "too_large", text_)
    return value, None


def _is_too_large(line: bytes) -> bool:
    return len(line) - line.endswith(b"\n") > ROW_LIMIT


def _too_large(size: int) -> RowProblem:
    return RowProblem("", "too_large", f"must have at most {ROW_LIMIT} bytes; it has {size}")


def _too_long(line: int) -> InvalidRequestError:
    text = f"has a row, or a quotation mark that is not closed, in line {line}: a row has at most {ROW_LIMIT} bytes"
    return InvalidRequestError([Problem("", text, "too_large")])


def _wrong_header(text: str) -> InvalidRequestError:
    return InvalidRequestError([Problem("", f"has a first line that {text}", "invalid")])
