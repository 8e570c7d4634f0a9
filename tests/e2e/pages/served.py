"""The pages behind a real HTTP server, and the browser that looks at them: for tests, and for screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.running_server import running
from tests.unit.web.dashboard.environment import DashboardEnvironment

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: the tests see every answer anyway."""


def in_one_piece(app: Any) -> Any:
    """``app``, each answer read whole: werkzeug's server leaves a file open when the browser has gone meanwhile."""

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        body = app(environ, start_response)
        try:
            return [b"".join(body)]
        finally:
            if hasattr(body, "close"):
                body.close()

    return answer


@contextmanager
def served(environment: DashboardEnvironment) -> Iterator[str]:
    """Serve the pages; their address."""
    with served_app(environment.app) as address:
        yield address


@contextmanager
def served_app(app: Any) -> Iterator[str]:
    """Serve a WSGI application; its address."""
    server = make_server("127.0.0.1", 0, in_one_piece(app), threaded=True, request_handler=QuietHandler)
    with running(server) as address:
        yield address


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's. Raises ``FileNotFoundError`` where it is not installed."""
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("There is no chromium. `make test` installs it: apt-get install chromium")
    with sync_playwright() as playwright:
        flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()
