"""``python -m tests.screenshots``: pictures of every page, in docs/screenshots, with a page that shows them all.

The pages are served from memory, in the middle of an incident: what stands on them is made up, and the same each time.
"""

from __future__ import annotations

import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from tests.e2e.pages.served import chromium, served
from tests.factories import NOW, make_job
from tests.unit.web.dashboard.busy_servers import busy
from tests.unit.web.dashboard.environment import PASSWORD, DashboardEnvironment
from wavecom.core.job import JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.roles import Role
from wavecom.core.states import Status

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
SIZE: Final = {"width": 1280, "height": 900}
#: In place of the folder that the pages have while they are pictured.
HOME: Final = "/var/lib/wavecom"
JOB: Final = make_job(
    type=Channel.EMAIL,
    status=Status.RETRYING,
    to={"email": "amina.haddad@example.com", "name": "Amina Haddad"},
    payload={"subject": "Your order has been shipped", "html": "<h1>On its way</h1><p>Order A-42 has left our house."},
    metadata={"order": "A-42"},
    provider="gateway",
    attempts=2,
    error=JobError("provider_unavailable", "http_503: Service Unavailable", "gateway"),
    next_attempt_at=NOW + timedelta(minutes=1),
    logs=(
        LogEntry(NOW - timedelta(minutes=2), "accepted"),
        LogEntry(NOW - timedelta(minutes=1), "unavailable", 1, "gateway", "unavailable", "http_503", None, 120.0),
    ),
)

#: The name of each picture → the address of what it shows, and what that is.
PICTURES: Final = {
    "overview": ("/overview", "Overview: what is late, in which lane, since when"),
    "status": ("/status", "Status: what became of a client's notifications"),
    "notifications": ("/notifications?type=sms", "Notifications, filtered"),
    "cancel-many": ("/notifications/cancel?type=sms", "Cancelling all that wait and match"),
    "notification": (f"/notifications/{JOB.job_id}", "One notification with its history"),
    "preview": (f"/notifications/{JOB.job_id}/preview", "A mail as its recipient sees it"),
    "dead-letters": ("/dead-letters", "Dead letters by reason"),
    "dead-letters-again": ("/dead-letters/again", "Starting dead letters again"),
    "operations": ("/operations", "Operations on many notifications"),
    "providers": ("/providers", "Providers"),
    "provider-pause": ("/providers/sandbox/pause", "A lever, with what would follow"),
    "suppressions": ("/suppressions", "Suppressions"),
    "suppressions-add": ("/suppressions/add", "Adding a suppression"),
    "callbacks": ("/callbacks", "Callbacks"),
    "callbacks-add": ("/callbacks/add", "Adding a callback"),
    "templates": ("/templates", "Templates"),
    "outbox": ("/outbox", "Outbox of the sandbox"),
    "send": ("/send?type=sms", "Sending by hand"),
    "system": ("/system", "Workers and queues"),
    "clients": ("/clients", "Clients, keys and use today"),
    "settings": ("/settings", "Settings in force"),
    "audit": ("/audit", "Audit"),
    "sessions": ("/sessions", "Sessions"),
    "users": ("/users", "Users"),
}
#: Replaces a text wherever it stands on the page.
_REPLACE: Final = """([text, other]) => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(text, other);
}"""


def main() -> None:
    """Make them all anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_of(Path(folder))
        with served(environment) as address, chromium() as browser:
            page = browser.new_context(viewport=SIZE, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
            sign_in(page, address)
            for name, (path, _) in PICTURES.items():
                page.goto(address + path)
                page.evaluate(_REPLACE, [folder, HOME])
                page.screenshot(path=FOLDER / f"{name}.png")
    (FOLDER / "README.md").write_text(index(), encoding="utf-8")


def environment_of(folder: Path) -> DashboardEnvironment:
    """What the pages show."""
    environment = DashboardEnvironment(folder)
    jobs = [
        make_job(status=status, type=channel, created_at=NOW - timedelta(minutes=number))
        for number, (status, channel) in enumerate((status, channel) for status in Status for channel in Channel)
    ]
    failed = [
        make_job(
            type=Channel.SMS,
            status=Status.FAILED,
            error=JobError(code, "told so", "gateway"),
            dead_lettered_at=NOW,
            finished_at=NOW,
        )
        for code in ("rejected", "rejected", "attempts_exhausted")
    ]
    environment.put(JOB, *jobs, *failed)
    for job in jobs[:5]:
        environment.deliver(job)
    busy(environment)
    environment.user("ada", Role.OPERATOR)
    environment.audit_entries.entries = [
        {
            "entryId": "e-1",
            "action": "pause_provider",
            "operator": "user ada",
            "provider": "gateway",
            "reason": "answers 503 since 09:12",
            "startedAt": NOW - timedelta(minutes=10),
        },
        {
            "entryId": "e-2",
            "action": "begin_release",
            "operator": "wavecom",
            "version": "1.1",
            "startedAt": NOW - timedelta(minutes=30),
        },
    ]
    return environment


def sign_in(page: Page, address: str) -> None:
    """As the operator."""
    page.goto(f"{address}/login")
    page.fill("input[name=secret]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/status"))


def index() -> str:
    """The page that shows the pictures."""
    parts = ["# The pages\n\nMade by `python -m tests.screenshots`, of pages whose content is made up.\n"]
    parts += [f"## {title}\n\n![{title}]({name}.png)\n" for name, (_, title) in PICTURES.items()]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
