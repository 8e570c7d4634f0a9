"""A gateway that takes JSON with a signature, and answers with a result for each message in the body.

The header ``X-Signature`` is the HMAC-SHA256 of ``<X-Timestamp>.<body>`` in base64, with ``v1=`` before it.
Numbers ending in 01: the sender is not registered; 02: the recipient wants nothing more; 03: overloaded; 05: the quota
of the day is used up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESULTS: dict[str, dict[str, Any]] = {
    "01": {"status": "failed", "error": {"code": "sender_unknown"}},
    "02": {"status": "failed", "error": {"code": "opted_out"}},
    "03": {"status": "busy", "error": {"code": "overloaded", "retry": 15}},
    "05": {"status": "failed", "error": {"code": "quota"}},
}


class Handler(BaseHTTPRequestHandler):
    """Takes ``POST /send`` with ``{"messages": [{"to", "text", "reference"}]}``."""

    protocol_version = "HTTP/1.1"
    ids = itertools.count(1)
    secret = b"s3cret"
    taken: list[dict[str, Any]] = []  # noqa: RUF012 - shared by all requests on purpose

    def do_POST(self) -> None:
        """Answer one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        timestamp = self.headers.get("X-Timestamp", "")
        digest = hmac.digest(self.secret, timestamp.encode() + b"." + body, hashlib.sha256)
        wanted = "v1=" + base64.b64encode(digest).decode()
        is_fresh = timestamp.isdigit() and abs(time.time() - int(timestamp)) < 300
        if not is_fresh or not hmac.compare_digest(self.headers.get("X-Signature", ""), wanted):
            self.say({"messages": [{"status": "failed", "error": {"code": "signature"}}]})
            return
        [message] = json.loads(body)["messages"]
        result = RESULTS.get(message["to"][-2:])
        if result is None:
            self.taken.append(message)
            result = {"status": "queued", "id": f"m-{next(self.ids)}"}
        self.say({"messages": [result]})

    def say(self, content: dict[str, Any]) -> None:
        """Status 200 and the content."""
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: lines would hold numbers."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
