"""How heavy pages are and how soon they are painted, with few and with many notifications stored.

    python -m benchmarks.pages [--jobs 1000 1000000] [--rounds 5] [--json FILE]

Starts a MongoDB-wire server of its own (mongod or secantusd-rs; WAVECOM_MONGO_SERVER names another) and a Redis, stores
the jobs as benchmarks.listing does, serves the pages and opens each in Debian's Chromium with an empty cache: bytes of
the page with all that it loads, as sent, and the time from the request to the first contentful paint.

Exit code: 0 within the goals (100 KB, 200 ms in the median), 1 not, for the pages that are named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table
from werkzeug.serving import make_server

from benchmarks.listing import store
from harness.programs import mongo_server
from tests.e2e.pages.served import QuietHandler, chromium, in_one_piece
from wavecom.local.servers import PrivateMongo, PrivateRedis
from wavecom.observability import configure_logging
from wavecom.services.web import web_services
from wavecom.settings import Settings
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.web import create_app

MOST_BYTES = 100_000
MOST_MILLISECONDS = 200.0

_PASSWORD = "Jm4-pages-benchmark-only-8Qz"  # noqa: S105 - of a deployment that lives for minutes
_PAGES = (
    "/overview",
    "/overview?range=month",
    "/status",
    "/notifications",
    "/notifications?status=failed",
    "/notifications?provider=nobody",
    "/notifications?metadataKey=campaign&metadataValue=spring",
    "/notifications/cancel?type=sms",
    "/dead-letters",
    "/operations",
    "/providers",
    "/suppressions",
    "/callbacks",
    "/templates",
    "/outbox",
    "/send",
    "/system",
    "/clients",
    "/audit",
    "/sessions",
    "/users",
    "/settings",
)
_MEASURE = """async () => {
    const painted = () => performance.getEntriesByName("first-contentful-paint")[0];
    for (let wait = 0; !painted() && wait < 200; wait += 1) await new Promise((done) => setTimeout(done, 25));
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    return { paint: painted()?.startTime, bytes: entries.reduce((sum, each) => sum + each.transferSize, 0) };
}"""


@dataclass(frozen=True, slots=True)
class PageFigure:
    """One page with so many jobs stored: bytes as sent, milliseconds to the first contentful paint."""

    jobs: int
    page: str
    kilobytes: float
    paint_p50_ms: float
    paint_most_ms: float

    @property
    def is_within_goals(self) -> bool:
        """Whether it is as light and quick as it should be."""
        return self.kilobytes * 1000 <= MOST_BYTES and self.paint_p50_ms <= MOST_MILLISECONDS


def main() -> None:
    """Measure, by the arguments of the command line, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1_000, 1_000_000], help="how many are stored")
    parser.add_argument("--rounds", type=int, default=5, help="how often each page is opened")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    configure_logging("error", "web")
    figures: list[PageFigure] = []
    for count in options.jobs:
        with _served(count) as address, chromium() as browser:
            figures += measure(browser, address, count, options.rounds)
    _print(figures)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n", encoding="utf-8")
    slow = [f"{each.page} ({each.jobs} jobs)" for each in figures if not each.is_within_goals]
    if slow:
        sys.exit(f"not within {MOST_BYTES // 1000} KB and {MOST_MILLISECONDS:g} ms: {', '.join(slow)}")


@contextmanager
def _served(count: int) -> Iterator[str]:
    program = mongo_server(print)
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateMongo(Path(folder) / "mongo", program=program) as mongo,
        PrivateRedis(Path(folder) / "redis") as redis_server,
    ):
        settings = Settings(
            mongodb_uri=mongo.url,
            redis_url=redis_server.url,
            amqp_url="amqp://guest:guest@127.0.0.1:1//",
            operator_password=_PASSWORD,
            secret_key="b" * 32,
            home=Path(folder),
        )
        database = default_database(connect(mongo.url))
        ensure_indexes(database)
        store(database["jobs"], count, 0.5)
        services = web_services(settings, database)
        app: Any = in_one_piece(create_app(settings, services))
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            services.close()


def measure(browser: Browser, address: str, count: int, rounds: int) -> Iterator[PageFigure]:
    """Each page in turn, each time with an empty cache; the first visit of all is not counted."""
    _visit(browser, address, _PAGES[0])
    for path in _PAGES:
        taken = [_visit(browser, address, path) for _ in range(rounds)]
        yield PageFigure(
            count,
            path,
            round(max(each["bytes"] for each in taken) / 1000, 1),
            round(statistics.median(each["paint"] for each in taken), 1),
            round(max(each["paint"] for each in taken), 1),
        )


def _visit(browser: Browser, address: str, path: str) -> dict[str, float]:
    context = browser.new_context()
    try:
        page: Page = context.new_page()
        page.goto(f"{address}/login")
        page.locator("#secret").fill(_PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/status")
        # What the login has loaded must be loaded again.
        context.new_cdp_session(page).send("Network.clearBrowserCache")
        page.goto(address + path, wait_until="load")
        found: dict[str, float] = page.evaluate(_MEASURE)
        return found
    finally:
        context.close()


def _print(figures: list[PageFigure]) -> None:
    table = Table("page", "jobs", "KB", "first paint p50 (ms)", "most (ms)")
    for each in figures:
        table.add_row(
            each.page, f"{each.jobs:,}", f"{each.kilobytes:g}", f"{each.paint_p50_ms:g}", f"{each.paint_most_ms:g}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
