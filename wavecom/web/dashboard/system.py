"""Workers and queues: what each process says of itself, what waits where, and how quickly the servers answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, render_template

from wavecom.core.roles import Permission
from wavecom.errors import UnavailableError
from wavecom.web.dashboard.context import pages
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.overview import NOW_SECONDS
from wavecom.web.dashboard.page_stream import stream_of

_NAMES: Final = {
    "mongodb": "MongoDB",
    "rabbitmq": "RabbitMQ",
    "redis": "Redis",
    "deliveries": "Deliveries move",
}


@dataclass(frozen=True, slots=True)
class ServerTime:
    """One server, asked just now. ``milliseconds`` None: it did not answer."""

    name: str
    milliseconds: float | None


def system() -> str:
    """The whole page."""
    return render_template("dashboard/system.html", body=_body())


def system_live() -> Response:
    """The part of it that changes."""
    return fragment(_body())


def system_stream() -> Response:
    """The same, sent when it changes."""
    return stream_of("system", _body, Permission.SEE_SYSTEM)


def _body() -> str:
    return pages().snapshots.get("system", NOW_SECONDS, lambda: render_template("dashboard/_system.html", **_context()))


def _context() -> dict[str, Any]:
    services = pages().services
    return {
        "now": services.read_overview(),
        "servers": [ServerTime(_NAMES.get(name, name), _asked(check)) for name, check in services.checks.items()],
        "flower_port": services.settings.flower_port,
    }


def _asked(check: Callable[[], object]) -> float | None:
    began = time.perf_counter()
    try:
        check()
    except UnavailableError:
        return None
    return (time.perf_counter() - began) * 1000
