"""A MongoDB whose primary steps down: a proxy before a real server, which answers some commands as such a one does."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import bson

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_COMMANDS = frozenset({"insert", "update", "find", "findAndModify", "delete"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one command. ``is_done``: the server does it, and only its answer is lost or replaced.

    ``answer``: what the client gets, with what the server has answered if it is no error; None: its connection is
    closed.
    """

    name: str
    is_done: bool
    answer: dict[str, Any] | None


def _error(code: int, name: str) -> dict[str, Any]:
    return {"ok": 0, "errmsg": "not primary", "code": code, "codeName": name}


def _unconfirmed(code: int, name: str) -> dict[str, Any]:
    return {"writeConcernError": {"code": code, "codeName": name, "errmsg": "waiting timed out"}}


#: https://github.com/mongodb/specifications/blob/master/source/server-discovery-and-monitoring/server-discovery-and-monitoring.md
FAULTS = [
    Fault("NotWritablePrimary", False, _error(10107, "NotWritablePrimary")),
    Fault("PrimarySteppedDown, before", False, _error(189, "PrimarySteppedDown")),
    Fault("PrimarySteppedDown, after", True, _error(189, "PrimarySteppedDown")),
    Fault("InterruptedDueToReplStateChange, after", True, _error(11602, "InterruptedDueToReplStateChange")),
    Fault("ShutdownInProgress, before", False, _error(91, "ShutdownInProgress")),
    Fault("closed before", False, None),
    Fault("closed after", True, None),
]
#: Of writes alone: it is there, and nobody knows yet whether most of the replica set have it.
UNCONFIRMED = [
    Fault("WriteConcernFailed", True, _unconfirmed(64, "WriteConcernFailed")),
    Fault("PrimarySteppedDown while waiting", True, _unconfirmed(189, "PrimarySteppedDown")),
]


class SteppingDownPrimary:
    """Passes everything on but the commands on ``jobs`` for which ``script`` (command, its number) names a fault."""

    def __init__(self, host: str, port: int, script: Callable[[str, int], Fault | None]) -> None:
        self._server = (host, port)
        self.script = script
        #: How often each fault was met.
        self.met: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A listener that another thread waits on is woken only so.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            _end(connection)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._connections += [client, server]
                _Connection(self, client, server).start()

    def fault_for(self, command: dict[str, Any]) -> Fault | None:
        name = next(iter(command))
        if name not in _COMMANDS or command[name] != "jobs" or command.get("filter") == {"shardKey": None}:
            return None
        with self._lock:
            self._numbers[name] += 1
            fault = self.script(name, self._numbers[name])
            if fault is not None:
                self.met[fault.name] += 1
            return fault


class _Connection:
    """One client's connection, and the server's behind it."""

    def __init__(self, proxy: SteppingDownPrimary, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        #: Requests whose answers are replaced.
        self._faults: dict[int, Fault] = {}
        self._sending = threading.Lock()

    def start(self) -> None:
        for target in (self._pass_requests, self._pass_answers):
            threading.Thread(target=target, daemon=True).start()

    def _pass_requests(self) -> None:
        with self._ending():
            for message in _messages(self._client):
                request_id, fault = _HEADER.unpack_from(message)[1], self._fault_of(message)
                if fault is not None and not fault.is_done:
                    self._answer(request_id, fault, {})
                    continue
                if fault is not None:
                    self._faults[request_id] = fault
                self._server.sendall(message)

    def _pass_answers(self) -> None:
        with self._ending():
            for message in _messages(self._server):
                request_id = _HEADER.unpack_from(message)[2]
                fault = self._faults.pop(request_id, None)
                if fault is not None:
                    self._answer(request_id, fault, _body(message))
                    continue
                with self._sending:
                    self._client.sendall(message)

    def _fault_of(self, message: bytes) -> Fault | None:
        # 4 bytes of flags, then one that says that the document comes first.
        if _HEADER.unpack_from(message)[3] != _OP_MSG or message[20] != 0:
            return None
        return self._proxy.fault_for(_body(message))

    def _answer(self, request_id: int, fault: Fault, answer: dict[str, Any]) -> None:
        if fault.answer is None:
            raise ConnectionAbortedError(fault.name)
        body = bytes(5) + bson.encode(fault.answer if "ok" in fault.answer else answer | fault.answer)
        with self._sending:
            self._client.sendall(_HEADER.pack(16 + len(body), 0, request_id, _OP_MSG) + body)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            with suppress(OSError):
                yield
        finally:
            for each in (self._client, self._server):
                _end(each)


def _messages(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb") as stream:
        while len(header := stream.read(16)) == 16:
            yield header + stream.read(_HEADER.unpack(header)[0] - 16)


def _body(message: bytes) -> dict[str, Any]:
    """The document of an ``OP_MSG``: a command, or its answer."""
    [size] = struct.unpack_from("<i", message, 21)
    found: dict[str, Any] = bson.decode(message[21 : 21 + size])
    return found


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
