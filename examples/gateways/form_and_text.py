"""A gateway as many early ones are: a form with HTTP Basic, and a line of text with status 200 whatever happened.

Numbers ending in 01: no credit; 02: no such number; 03: too many messages; 04: a page of a proxy.
"""

from __future__ import annotations

import base64
import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ANSWERS = {"01": "ERR 3 no credit left", "02": "ERR 7 unknown subscriber", "03": "ERR 9 slow down, wait 20 s"}


class Handler(BaseHTTPRequestHandler):
    """Takes ``POST /send`` with the fields ``To``, ``From`` and ``Text``."""

    protocol_version = "HTTP/1.1"
    ids = itertools.count(4711)
    user = "shop:s3cret"
    taken: list[dict[str, str]] = []  # noqa: RUF012 - shared by all requests on purpose

    def do_POST(self) -> None:
        """Answer one message."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
        wanted = "Basic " + base64.b64encode(self.user.encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.say("ERR 1 wrong user or password")
        elif fields["To"][-2:] in ANSWERS:
            self.say(ANSWERS[fields["To"][-2:]])
        elif fields["To"].endswith("04"):
            self.say("<html>maintenance</html>")
        else:
            self.taken.append(fields)
            self.say(f"OK {next(self.ids)}")

    def say(self, line: str) -> None:
        """Status 200 and the line."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(line)))
        self.end_headers()
        self.wfile.write(line.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: lines would hold numbers."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
