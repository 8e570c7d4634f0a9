"""How benchmark and fault drill talk to their helper processes: each serves commands as JSON over HTTP on loopback.

``curl -d '{}' http://127.0.0.1:PORT/progress`` works as well, while they run.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.service import Service

CHECKOUT = Path(__file__).resolve().parents[1]

#: Takes the command's arguments by name; answers something that JSON can say.
CommandHandler = Callable[..., Any]


async def serve(port: int, commands: Mapping[str, CommandHandler]) -> None:
    """Serve ``commands`` on ``port`` until the process ends. A command may be a coroutine function."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            command, arguments = await _read_request(reader)
            try:
                response = await _perform(commands, command, arguments)
            except Exception:  # noqa: BLE001 - the border of the process: who asked must learn what failed
                response = _response("500 Internal Server Error", traceback.format_exc().encode())
            writer.write(response)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, port)
    await server.serve_forever()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *headers = head.split("\r\n")
    length = next((int(line.split(":")[1]) for line in headers if line.lower().startswith("content-length:")), 0)
    body = await reader.readexactly(length)
    return request_line.split(" ")[1].strip("/"), json.loads(body or b"{}")


async def _perform(commands: Mapping[str, CommandHandler], command: str, arguments: Mapping[str, Any]) -> bytes:
    if command == "ping":
        result: Any = "pong"
    elif command in commands:
        result = commands[command](**arguments)
        if asyncio.iscoroutine(result):
            result = await result
    else:
        return _response("404 Not Found", json.dumps({"commands": sorted(commands)}).encode())
    return _response("200 OK", json.dumps(result).encode())


def _response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


class HelperProcess(Service):
    """A helper in a process of its own: ``python -m <module>`` with a control port and more arguments."""

    def __init__(
        self, module: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(module.rpartition(".")[2], log=log, environment=environment)
        self._module = module
        self._arguments = list(arguments)
        [self.control_port] = free_ports(1)

    def ask(self, command: str, *, timeout_seconds: float = 30, **arguments: Any) -> Any:
        """Have the helper perform ``command`` and return its answer. Raises ``OSError`` when it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.control_port, timeout=timeout_seconds)
        try:
            connection.request("POST", f"/{command}", json.dumps(arguments))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise OSError(f"{self.title} could not {command}: {body.decode()}")
        return json.loads(body)

    def answers(self) -> bool:
        """Whether it serves its commands now."""
        try:
            self.ask("ping", timeout_seconds=1)
        except (OSError, http.client.HTTPException):
            return False
        return True

    @property
    def _folder(self) -> Path:
        # Neither harness nor tests are installed: they are found from here.
        return CHECKOUT

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-m", self._module, "--control-port", str(self.control_port), *self._arguments]
