"""A collector for ``python -m benchmarks --traces RATIO``: takes what WaveCom sends of its traces, and drops it.

In the benchmark's own process, whose processor time is not WaveCom's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Nothing: the display is the benchmark's."""


@contextmanager
def traced(ratio: float | None) -> Iterator[Mapping[str, str]]:
    """The variables by which processes trace this share of all notifications; none where ``ratio`` is None."""
    if ratio is None:
        yield {}
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="span-sink", daemon=True)
    thread.start()
    try:
        yield {
            "WAVECOM_TRACES_URL": f"http://127.0.0.1:{server.server_port}/v1/traces",
            "WAVECOM_TRACES_RATIO": str(ratio),
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
