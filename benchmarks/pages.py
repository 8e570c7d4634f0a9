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
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.table import Table

from benchmarks.listing import stored
from harness.programs import mongo_server
from tests.e2e.pages.served import chromium, served_app
from wavecom.observability import configure_logging
from wavecom.services.web import web_services
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
    with stored(mongo_server(print), count, 0.5, operator_password=_PASSWORD) as (settings, database):
        services = web_services(settings, database)
        with closing(services), served_app(create_app(settings, services)) as address:
            yield address


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
