"""Long answers: made as fast as they are read, never ended where they can't go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator

import pytest

from wavecom.errors import OverloadedError, StoreError, TooManyStreamsError
from wavecom.web import long_answers
from wavecom.web.long_answers import LongAnswer, LongAnswers

PART = b"x" * 100_000


class Parts(Iterator[bytes]):
    """So many parts; raises ``error`` once before the second."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count = count
        self.error = error
        self.made = 0

    def __next__(self) -> bytes:
        if self.made == self.count:
            raise StopIteration
        if self.made == 1 and self.error is not None:
            error, self.error = self.error, None
            raise error
        self.made += 1
        return PART


class FileConnection:
    """As granian: opens the file that it is given and begins to read it, and goes on when its peer does."""

    def __init__(self) -> None:
        self.data = b""
        self.is_ended = False
        self._file: int | None = None

    def response_file(self, status: int, headers: list[tuple[str, str]], path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.data = os.read(self._file, 4)

    def leave(self) -> None:
        assert self._file is not None
        os.close(self._file)

    async def read_all(self) -> None:
        """Read to the end, or for a moment where none comes."""
        for _ in range(2000):
            if self._file is not None and not self._take():
                return
            await asyncio.sleep(0.001)

    def _take(self) -> bool:
        assert self._file is not None
        while not self.is_ended:
            try:
                data = os.read(self._file, 65_536)
            except BlockingIOError:
                return True
            self.data += data
            self.is_ended = not data
        os.close(self._file)
        return False


def on_loop(test: Callable[[LongAnswers], Awaitable[None]]) -> None:
    async def main() -> None:
        answers = LongAnswers(most=3, most_each=2)
        answers.start(asyncio.get_running_loop())
        async with asyncio.timeout(30):
            await test(answers)

    asyncio.run(main())


def serving(answers: LongAnswers, connection: FileConnection, parts: Parts) -> asyncio.Task[None]:
    answer = LongAnswer(parts, "key")
    answers.reserve(answer)
    return asyncio.create_task(answers.serve(connection, 200, [], b"beginning", answer))  # type: ignore[arg-type]


def test_all_parts_come_in_order_behind_the_beginning_and_then_the_end() -> None:
    async def test(answers: LongAnswers) -> None:
        connection, parts = FileConnection(), Parts(50)
        task = serving(answers, connection, parts)
        await connection.read_all()
        await task

        assert connection.data == b"beginning" + 50 * PART
        assert connection.is_ended

    on_loop(test)


def test_no_more_is_made_than_its_reader_takes() -> None:
    async def test(answers: LongAnswers) -> None:
        connection, parts = FileConnection(), Parts(1000)
        task = serving(answers, connection, parts)
        await asyncio.sleep(0.2)

        assert parts.made < 10, "a pipe and what asyncio holds for it"

        connection.leave()
        await task
        assert parts.made < 10

    on_loop(test)


def test_an_answer_waits_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_answers, "_AWAY_SECONDS", 0.01)

    async def test(answers: LongAnswers) -> None:
        connection = FileConnection()
        task = serving(answers, connection, Parts(3, StoreError("away")))
        await connection.read_all()
        await task

        assert (connection.data, connection.is_ended) == (b"beginning" + 3 * PART, True)

    on_loop(test)


def test_an_answer_that_can_not_go_on_has_no_end_and_is_over_when_its_client_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_answers, "_AWAY_SECONDS", 0.01)

    async def test(answers: LongAnswers) -> None:
        connection = FileConnection()
        task = serving(answers, connection, Parts(3, ValueError("a bug")))
        await connection.read_all()

        assert (connection.data, connection.is_ended, task.done()) == (b"beginning" + PART, False, False)

        connection.leave()
        await task

    on_loop(test)


def test_a_client_that_goes_before_the_server_reads_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_answers, "_LOOKS", 3)

    class GoneConnection(FileConnection):
        def response_file(self, status: int, headers: list[tuple[str, str]], path: str) -> None:
            """Opens nothing."""

    async def test(answers: LongAnswers) -> None:
        parts = Parts(3)
        await serving(answers, GoneConnection(), parts)

        assert parts.made == 0

    on_loop(test)


def test_a_key_has_so_many_at_once_and_all_keys_so_many_together() -> None:
    async def test(answers: LongAnswers) -> None:
        mine = [LongAnswer(Parts(1), "mine") for _ in range(2)]
        for each in mine:
            answers.reserve(each)
        with pytest.raises(TooManyStreamsError, match="2 exports"):
            answers.reserve(LongAnswer(Parts(1), "mine"))
        answers.reserve(LongAnswer(Parts(1), "theirs"))
        with pytest.raises(OverloadedError):
            answers.reserve(LongAnswer(Parts(1), "others"))

        answers.release(mine[0])
        answers.reserve(LongAnswer(Parts(1), "others"))

    on_loop(test)


def test_an_answer_gives_its_descriptors_and_its_place_back() -> None:
    async def test(answers: LongAnswers) -> None:
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            connection = FileConnection()
            task = serving(answers, connection, Parts(2))
            await connection.read_all()
            await task

        await asyncio.sleep(0)
        assert len(os.listdir("/dev/fd")) <= before + 1

    on_loop(test)
