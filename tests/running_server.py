"""An HTTP server of the standard library, or werkzeug's, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

#: So soon a server notices that it is to end.
_POLL_SECONDS = 0.01


@contextmanager
def running(server: HTTPServer) -> Iterator[str]:
    """Serve within the block; the address, without a path. Afterwards thread and socket are closed."""
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
