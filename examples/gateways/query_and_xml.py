"""A gateway that takes a query by GET with a key in a header, and answers with XML and statuses that mean something.

Numbers ending in 01: 402, no credit; 02: 404 for the number; 03: 429 with Retry-After; 04: 500.
"""

from __future__ import annotations

import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ANSWERS = {
    "01": (402, "<error code='E402'/>"),
    "02": (404, "<error code='E17'/>"),
    "03": (429, "<error code='E429'/>"),
    "04": (500, "<error/>"),
}


class Handler(BaseHTTPRequestHandler):
    """Takes ``GET /send?to=…&text=…``."""

    protocol_version = "HTTP/1.1"
    ids = itertools.count(100)
    key = "s3cret"
    taken: list[dict[str, str]] = []  # noqa: RUF012 - shared by all requests on purpose

    def do_GET(self) -> None:
        """Answer one message."""
        fields = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query, strict_parsing=True).items()}
        if self.headers.get("X-Key") != self.key:
            self.say(401, "<error code='E401'/>")
        elif fields["to"][-2:] in ANSWERS:
            self.say(*ANSWERS[fields["to"][-2:]])
        else:
            self.taken.append(fields)
            self.say(200, f"<sent id='x{next(self.ids)}'/>")

    def say(self, status: int, content: str) -> None:
        """Status and content."""
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "30")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: lines would hold numbers."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
