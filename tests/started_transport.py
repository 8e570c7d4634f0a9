"""The HTTP transport as a worker uses it: every call started, on the one thread for all."""

from __future__ import annotations

from queue import SimpleQueue

from wavecom.providers.transport import Request, Response
from wavecom.providers.transport.curl import CurlTransport


class StartedTransport(CurlTransport):
    """``send`` starts the call and waits for its end."""

    def send(self, request: Request) -> Response:
        ends: SimpleQueue[Response | Exception] = SimpleQueue()
        assert self.start(request, ends.put)
        end = ends.get(timeout=60)
        if isinstance(end, Exception):
            raise end from None
        return end
