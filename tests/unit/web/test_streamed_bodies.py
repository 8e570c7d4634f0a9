"""Bodies that a view reads while they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]
from werkzeug.exceptions import ClientDisconnected

from tests.unit.web.conftest import KEY, WebEnvironment
from tests.unit.web.rsgi_client import Connection, scope_of
from wavecom.errors import OverloadedError
from wavecom.web.app import WaveComFlask
from wavecom.web.streamed_bodies import StreamedBodies, StreamedBody


class Peer(Connection):
    """Sends parts, one when it is asked for; then it ends as granian does, or with an error."""

    def __init__(self, parts: Iterable[bytes], *, breaks: type[Exception] | None = None) -> None:
        super().__init__()
        self.sent = 0
        self._parts = parts
        self._breaks = breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            self.sent += len(part)
            yield part
        if self._breaks is not None:
            raise self._breaks
        yield b""


def serve(peer: Peer, length: int | None, answer: Callable[[StreamedBody], None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await StreamedBodies(asyncio.get_running_loop()).serve(peer, length, "acme", answer)  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize("length", [700_000, None])
def test_a_view_reads_all_that_comes_and_then_its_end(length: int | None) -> None:
    read: list[bytes] = []

    serve(Peer([b"x" * 70_000] * 10), length, lambda body: read.extend(iter(lambda: body.read(64_000), b"")))

    assert b"".join(read) == b"x" * 700_000
    assert max(map(len, read)) <= 64_000


def test_no_more_is_taken_from_the_peer_than_the_view_keeps_up_with() -> None:
    peer = Peer(b"x" * 50_000 for _ in range(200))
    taken: list[int] = []

    def answer(body: StreamedBody) -> None:
        read = 0
        for _ in range(100):
            read += len(body.read(50_000))
            taken.append(peer.sent - read)

    serve(peer, None, answer)

    assert max(taken) <= 256 * 1024 + 2 * 50_000


def test_of_a_request_that_is_refused_by_its_head_no_byte_is_read() -> None:
    peer = Peer([b"x"] * 10)

    serve(peer, 10, lambda _body: None)

    assert peer.sent == 0


@pytest.mark.parametrize(
    ("peer", "length"),
    [
        (Peer([b"x" * 5], breaks=ProtocolClosed), None),
        (Peer([b"x" * 5]), 9),
        # What nobody has thought of must not leave the view waiting.
        (Peer([b"x" * 5], breaks=RuntimeError), None),
    ],
)
def test_a_body_that_breaks_off_does_not_pass_for_a_whole_one(peer: Peer, length: int | None) -> None:
    raised: list[Exception] = []

    def answer(body: StreamedBody) -> None:
        assert body.read(64) == b"x" * 5
        try:
            body.read(64)
        except ClientDisconnected as error:
            raised.append(error)

    serve(peer, length, answer)

    assert len(raised) == 1


def test_one_client_can_t_have_all_places() -> None:
    async def main() -> None:
        bodies = StreamedBodies(asyncio.get_running_loop(), most=4, most_each=1)
        held = asyncio.Event()
        seen: list[bytes] = []

        class Holding(Peer):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                await held.wait()
                yield b""

        first = asyncio.ensure_future(
            bodies.serve(Holding([]), None, "acme", lambda body: seen.append(body.read()))  # type: ignore[arg-type]
        )
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await bodies.serve(Holding([]), None, "acme", lambda _body: None)  # type: ignore[arg-type]
        await bodies.serve(Peer([]), None, "globex", lambda _body: None)  # type: ignore[arg-type]
        held.set()
        await first
        assert seen == [b""]

    asyncio.run(main())


def test_rows_of_a_campaign_are_stored_while_they_come(environment: WebEnvironment) -> None:
    api = environment.client()
    made = api.post("/api/campaigns", json={"name": "x", "notification": {"type": "sms", "payload": {"text": "Hi"}}})
    path = f"/api/campaigns/{made.json['campaignId']}/rows"
    assert isinstance(environment.app, WaveComFlask)
    rsgi = environment.app.rsgi
    seen: list[Any] = []

    def parts() -> Iterable[bytes]:
        yield b"phone,note\n"
        note = b"x" * 1000
        for number in range(40):
            yield b"".join(b"+4477009%05d,%s\n" % (100 * number + row, note) for row in range(100))
            seen.append(api.get(path).json)

    peer = Peer(parts())
    headers = {"Host": "localhost", "Authorization": f"Bearer {KEY}", "Content-Type": "text/csv"}
    headers |= {"Upload-Complete": "?1", "Transfer-Encoding": "chunked"}

    async def main() -> None:
        rsgi.start(asyncio.get_running_loop())
        async with asyncio.timeout(30):
            await rsgi.serve(scope_of("PATCH", path, headers), peer)  # type: ignore[arg-type]

    asyncio.run(main())

    assert peer.status_code == 200, peer.text
    assert (peer.json["rows"], peer.json["complete"]) == (4_000, True)
    assert seen[-1]["rows"] in {2_000, 3_000}
    assert "close" not in peer.headers.get("connection", "")
