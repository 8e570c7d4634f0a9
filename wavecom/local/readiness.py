"""Whether a launched service already works, seen from outside."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable

from wavecom.local.programs import ProgramService
from wavecom.local.server import PrivateServer
from wavecom.local.service import Service
from wavecom.settings import Settings

#: None when it is ready, else what it is waiting for.
Check = Callable[[], str | None]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to call, not to bind


def reachable_host(host: str) -> str:
    """The address at which a server that listens on ``host`` can be called from this machine."""
    return _ANYWHERE.get(host, host)


def check_of(service: Service, settings: Settings) -> Check:
    """How to tell that ``service`` is ready. Raises ``TypeError`` for one that is neither a server nor a program."""
    if isinstance(service, PrivateServer):
        return lambda: None if service.answers() else "does not answer yet"
    if not isinstance(service, ProgramService):
        raise TypeError(f"nobody knows when {service.title} is ready")
    match service.program.name:
        case "web":
            return lambda: _http(reachable_host(settings.host), settings.port, "/readyz")
        case "flower":
            return lambda: _http("127.0.0.1", settings.flower_port, "/healthcheck")
        case "beat":
            return lambda: None  # it has nobody to report to
        case _:
            return lambda: _worker_says_ready(service)


def _worker_says_ready(service: ProgramService) -> str | None:
    """A worker writes ``name@host ready.`` to its log when it consumes (``wavecom.celery``)."""
    try:
        text = service.log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    return None if "ready.\n" in text else "does not consume yet"


def _http(host: str, port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(2000)
    except (OSError, http.client.HTTPException):
        return "does not answer yet"
    finally:
        connection.close()
    return None if answer.status == 200 else f"{path} answers {answer.status}: {_one_line(body)}"


def _one_line(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body))
    except ValueError:
        return body.decode("utf-8", "replace").strip()
