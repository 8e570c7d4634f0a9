"""The upload of a campaign's rows: each checked as a single notification is, and stored by the thousand.

A chunk is durable before its bytes count as uploaded. So whatever dies in the middle of an upload costs the rows of
one chunk at most, which the client sends again: it asks for the offset, and goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from wavecom.core.campaigns import codec
from wavecom.core.campaigns.mapping import RowMapping
from wavecom.core.campaigns.model import (
    ROWS_LIMIT,
    Campaign,
    CampaignStatus,
    CampaignStore,
    Chunk,
    RejectedRow,
    RowFormat,
    RowProblem,
    StoredRow,
    UploadState,
)
from wavecom.core.campaigns.rows import RawRow, RowReader
from wavecom.core.new_notification import NewNotification
from wavecom.core.ports import Clock
from wavecom.core.templates.variables import Variable
from wavecom.errors import CampaignStatusError, InvalidRequestError, Problem, UploadOffsetError

#: Rows of a chunk, right or wrong, and bytes of its notifications: what a process holds of an upload, many times over.
CHUNK_ROWS: Final = 1_000
CHUNK_BYTES: Final = 2 * 1024 * 1024
#: What is told of one row.
_PROBLEMS_LIMIT: Final = 5

#: Makes the notification of a body, or raises ``InvalidRequestError`` naming all that is wrong with it.
CheckBody = Callable[[Mapping[str, Any]], NewNotification]
#: The variables of a version of a template of an account.
FindVariables = Callable[[str, str, int], Mapping[str, Variable]]


class CampaignUploads:
    """The use case behind ``PATCH /api/campaigns/{id}/rows``."""

    def __init__(self, *, store: CampaignStore, clock: Clock, find_variables: FindVariables) -> None:
        self._store = store
        self._clock = clock
        self._find_variables = find_variables

    def receive(
        self,
        campaign: Campaign,
        offset: int,
        parts: Iterator[bytes],
        format_: RowFormat,
        check: CheckBody,
        *,
        is_last: bool,
    ) -> UploadState:
        """Take the rows in ``parts``, which begin at ``offset``; answers how far the upload is, durably.

        ``is_last``: the rows end with these. Else what stands behind the last line break is not taken, and has to come
        again. May be repeated. Raises ``CampaignStatusError``, ``UploadOffsetError``, ``InvalidRequestError`` (what
        came before is stored), ``StoreError``, and whatever ``parts`` raises.
        """
        upload = campaign.upload
        if upload.is_complete or campaign.status is not CampaignStatus.UPLOADING:
            raise CampaignStatusError(f"This campaign is {campaign.status}: it takes no more rows. Make another one.")
        if offset != upload.offset:
            raise UploadOffsetError(upload.offset)
        if upload.format not in {None, format_}:
            raise InvalidRequestError([Problem("Content-Type", f"must stay {upload.format}, as it began", "conflict")])
        receiving = _Receiving(campaign, format_, self._mapping(campaign, format_), check)
        for chunk in receiving.chunks(parts, is_last=is_last):
            there = self._store.add_chunk(chunk, self._clock.now())
            if there != chunk.end:
                # Somebody else goes on with the same upload, or has ended it.
                raise UploadOffsetError(there.offset)
        if is_last and not receiving.upload.rows:
            raise InvalidRequestError(
                [Problem("", "has no row; send `Upload-Complete: ?1` with the last rows", "empty")]
            )
        if is_last and not self._store.complete_upload(
            campaign.campaign_id, receiving.upload.offset, self._clock.now()
        ):
            raise UploadOffsetError(receiving.upload.offset)
        return replace(receiving.upload, is_complete=is_last)

    def _mapping(self, campaign: Campaign, format_: RowFormat) -> RowMapping:
        common = campaign.notification
        variables: Mapping[str, Variable] = {}
        if "template" in common:
            variables = self._find_variables(campaign.account, common["template"], common["version"])
        return RowMapping(common, campaign.columns, format_, variables)


class _Receiving:
    """One part of an upload, while it comes."""

    def __init__(self, campaign: Campaign, format_: RowFormat, mapping: RowMapping, check: CheckBody) -> None:
        self._campaign_id = campaign.campaign_id
        self._format = format_
        self._mapping = mapping
        self._check = check
        self._reader = RowReader(campaign.upload, format_)
        self._is_header_checked = False
        #: After the last chunk that was made.
        self.upload = campaign.upload
        self._row_number = campaign.upload.rows
        self._end_offset, self._end_lines = campaign.upload.offset, campaign.upload.lines
        self._rows: list[StoredRow] = []
        self._rejected: list[RejectedRow] = []
        self._size = 0

    def chunks(self, parts: Iterator[bytes], *, is_last: bool) -> Iterator[Chunk]:
        """The chunks of all parts. One that is asked for is stored before the next one is."""
        for part in parts:
            yield from self._read(self._reader.feed(part))
        if is_last:
            yield from self._read(self._reader.feed(b"", is_last=True))
        if self._rows or self._rejected:
            yield self._chunk()

    def _read(self, rows: Iterator[RawRow]) -> Iterator[Chunk]:
        for row in rows:
            self._take(row)
            if len(self._rows) + len(self._rejected) >= CHUNK_ROWS or self._size >= CHUNK_BYTES:
                yield self._chunk()

    def _take(self, row: RawRow) -> None:
        if self._row_number >= ROWS_LIMIT:
            text = f"has more than {ROWS_LIMIT} rows; make a campaign of each part"
            raise InvalidRequestError([Problem("", text, "too_many")])
        if self._format is RowFormat.CSV and not self._is_header_checked:
            self._is_header_checked = True
            if missing := self._mapping.missing(self._reader.header):
                text = f"is not in the first line, which names {', '.join(self._reader.header)}"
                raise InvalidRequestError([Problem(f"/columns/{name}", text, "unknown_value") for name in missing])
            if clashing := self._mapping.clashes(self._reader.header):
                texts = [f"has a column {column!r} for the place of {other!r}" for column, other in clashing.items()]
                raise InvalidRequestError([Problem("", text, "conflict") for text in texts])
        problems: tuple[RowProblem, ...] = (row.problem,) if row.problem is not None else ()
        if row.values is not None:
            body = self._mapping.body(row.values)
            try:
                encoded = codec.encode(self._check(body))
            except InvalidRequestError as error:
                problems = tuple(map(self._mapping.problem, error.problems[:_PROBLEMS_LIMIT]))
            except TypeError:
                problems = (RowProblem("", "invalid", "has a number or a text that can't be stored"),)
            else:
                self._rows.append(StoredRow(self._row_number, encoded))
                self._size += len(encoded)
        if problems:
            self._rejected.append(RejectedRow(self._row_number + 1, row.line, problems))
            self._size += sum(len(each.field) + len(each.message) for each in problems)
        self._row_number += 1
        self._end_offset, self._end_lines = row.end_offset, row.end_lines

    def _chunk(self) -> Chunk:
        end = UploadState(
            offset=self._end_offset,
            lines=self._end_lines,
            rows=self._row_number,
            rejected=self.upload.rejected + len(self._rejected),
            format=self._format,
            header=self._reader.header,
            delimiter=self._reader.delimiter,
        )
        chunk = Chunk(
            campaign_id=self._campaign_id,
            begin=self.upload,
            end=replace(end, digest=self._digest(end.offset)),
            rows=tuple(self._rows),
            rejected=tuple(self._rejected),
        )
        self.upload = chunk.end
        self._rows, self._rejected, self._size = [], [], 0
        return chunk

    def _digest(self, offset: int) -> str:
        """Of all rows so far, in 128 bits: nobody can have other rows pass for them."""
        digest = hashlib.sha256(f"{self.upload.digest} {offset}\n".encode())
        for row in self._rows:
            digest.update(b"%d %s\n" % (row.row, row.notification))
        digest.update(orjson.dumps([(row.row, row.line, list(map(list, row.problems))) for row in self._rejected]))
        return digest.hexdigest()[:32]
