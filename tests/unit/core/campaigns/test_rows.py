"""Rows read out of bytes that may be cut anywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.campaigns.model import RowFormat, UploadState
from wavecom.core.campaigns.rows import ROW_LIMIT, RawRow, RowReader
from wavecom.errors import InvalidRequestError

CSV = (
    '\ufeffphone,name\r\n+447700900001,"Amina, ""the"" first"\r\n\r\n+447700900002,"two\nlines"\r\n+447700900003,Zoë'
).encode()


def read(data: bytes, format_: RowFormat = RowFormat.CSV, *cuts: int, begin: UploadState | None = None) -> list[RawRow]:
    reader = RowReader(begin or UploadState(), format_)
    edges = [0, *sorted(cuts), len(data)]
    rows = [row for at, end in pairwise(edges) for row in reader.feed(data[at:end])]
    return rows + list(reader.feed(b"", is_last=True))


def values(rows: list[RawRow]) -> list[Any]:
    return [dict(row.values) if row.values is not None else row.problem and row.problem.message for row in rows]


def test_csv_is_read_with_quotes_line_breaks_and_the_line_that_each_row_begins_in() -> None:
    rows = read(CSV)

    assert values(rows) == [
        {"phone": "+447700900001", "name": 'Amina, "the" first'},
        {"phone": "+447700900002", "name": "two\nlines"},
        {"phone": "+447700900003", "name": "Zoë"},
    ]
    assert [row.line for row in rows] == [2, 4, 6]
    assert rows[-1].end_offset == len(CSV)


@given(cuts=st.lists(st.integers(0, len(CSV)), max_size=6))
def test_wherever_the_bytes_are_cut_the_rows_and_their_ends_are_the_same(cuts: list[int]) -> None:
    assert read(CSV, RowFormat.CSV, *cuts) == read(CSV)


def test_who_goes_on_behind_any_row_gets_the_rows_that_follow_it() -> None:
    rows = read(CSV)

    for number, row in enumerate(rows):
        begin = UploadState(offset=row.end_offset, lines=row.end_lines, header=("phone", "name"))
        assert read(CSV[row.end_offset :], begin=begin) == rows[number + 1 :]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_what_parts_the_columns_is_seen_in_the_first_line(mark: str) -> None:
    assert values(read(f"phone{mark}name\n+1{mark}a,b\n".encode())) == [{"phone": "+1", "name": "a,b"}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"+1\n", "has 1 columns, and the first line names 2"),
        (b'+1,"a"b\n', "is no CSV: ',' expected after '\"'"),
        (b"+1,\xff\n", "must be in UTF-8"),
        (b"+1," + b"x" * ROW_LIMIT + b"\n", f"must have at most {ROW_LIMIT} bytes; it has {ROW_LIMIT + 4}"),
    ],
)
def test_a_wrong_row_is_a_row_with_the_reason_and_the_next_one_is_read(row: bytes, message: str) -> None:
    assert values(read(b"phone,name\n" + row + b"+2,b\n")) == [message, {"phone": "+2", "name": "b"}]


def test_ndjson_is_read_line_by_line() -> None:
    rows = read(b'{"phone": "+1"}\n\nnull\n{"phone"\n{"phone": "+2"}', RowFormat.NDJSON, 3, 20)

    assert values(rows)[:2] == [{"phone": "+1"}, "must be a JSON object"]
    assert str(values(rows)[2]).startswith("is not valid JSON in UTF-8")
    assert values(rows)[3] == {"phone": "+2"}
    assert [row.line for row in rows] == [1, 3, 4, 5]


@pytest.mark.parametrize("header", [b"phone,,x\n+1,2,3\n", b"phone,phone\n+1,2\n", b"ph\xffone\n+1\n"])
def test_a_first_line_that_names_no_columns_ends_the_upload(header: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="first line"):
        read(header)


def test_a_quotation_mark_that_is_never_closed_takes_no_memory_without_end() -> None:
    reader = RowReader(UploadState(), RowFormat.CSV)

    assert list(reader.feed(b'phone\n"\n' + b"x" * 60_000)) == []

    with pytest.raises(InvalidRequestError, match="line 2"):
        list(reader.feed(b"x" * 10_000))


@pytest.mark.parametrize("format_", RowFormat)
@pytest.mark.parametrize("cut", [1, ROW_LIMIT + 8, ROW_LIMIT + 20, 2 * ROW_LIMIT])
def test_a_row_that_is_too_long_is_rejected_wherever_it_is_cut(format_: RowFormat, cut: int) -> None:
    good = b"+1\n" if format_ is RowFormat.CSV else b'{"phone": "+1"}\n'
    data = (b"phone\n" if format_ is RowFormat.CSV else b"") + good + b'"' + b"x" * 3 * ROW_LIMIT + b"\n" + good

    rows = read(data, format_, cut)

    assert rows == read(data, format_)
    assert values(rows)[::2] == [{"phone": "+1"}] * 2
    assert (len(rows), rows[-1].end_offset) == (3, len(data))
    assert str(values(rows)[1]).startswith("must have at most")


def test_blank_lines_before_the_first_one_lose_no_row() -> None:
    rows = read(b"\n\r\n \nphone\n+1\n", RowFormat.CSV, 1, 4)

    assert (values(rows), rows[0].line) == ([{"phone": "+1"}], 5)


@pytest.mark.parametrize("format_", RowFormat)
def test_blank_lines_without_end_end_the_upload(format_: RowFormat) -> None:
    reader = RowReader(UploadState(), format_)
    for piece in (b"phone\n" if format_ is RowFormat.CSV else b"", *([b"\n" * 300_000] * 3)):
        assert list(reader.feed(piece)) == []

    with pytest.raises(InvalidRequestError, match="without a row"):
        list(reader.feed(b"\n" * 300_000))


def test_names_of_columns_and_their_number_are_bounded() -> None:
    long = b"x" * 101
    with pytest.raises(InvalidRequestError, match="100 characters"):
        read(b"phone," + long + b"\n+1,2\n")
    rows = read(
        b'{"%s": 1}\n{%s}\n' % (long, b",".join(b'"%d": 1' % number for number in range(201))), RowFormat.NDJSON
    )
    assert [str(value)[:33] for value in values(rows)] == ["must have at most 200 fields, with"[:33]] * 2
