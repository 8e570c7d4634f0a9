"""What goes on behind the pages, in two threads: messages are sent, and what becomes of them is followed.

Neither needs WaveCom to be there. While it is away, orders are taken and their messages wait in the database.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from .client import EventsExpiredError, RefusedError, WaveCom
from .store import Store

MESSAGES = Path(__file__).parent / "messages"
#: What the shop writes: about orders whatever a customer chooses, news to who has asked for them.
CATEGORIES: dict[str, dict[str, Any]] = {
    "orders": {"title": "Your orders", "isRequired": True},
    "news": {
        "title": "News",
        "description": "Once a week at most, and never at night.",
        "default": "opt_in",
        "quietHours": {"from": "20:00", "to": "08:00"},
        "frequencyCap": {"count": 1, "seconds": 604_800},
    },
}
PAUSE_SECONDS = 2
MOST_BEFORE_RECORDING_SECONDS = 10


class Background:
    """Sends what waits in ``store``, and follows it. ``callback_url`` is the shop's endpoint as WaveCom sees it."""

    def __init__(self, store: Store, wavecom: WaveCom, callback_url: str) -> None:
        self._store = store
        self._wavecom = wavecom
        self._callback_url = callback_url
        self._wanted = threading.Event()
        self._said = ""

    def start(self, url: str, key: str) -> None:
        """Begin; ``url`` and ``key`` are for the command that pushes the templates. Ends with the process."""
        threading.Thread(target=self._run, args=(url, key), daemon=True).start()

    def wake(self) -> None:
        """There is something to send."""
        self._wanted.set()

    def send_waiting(self) -> None:
        """Send each message that WaveCom has not answered yet. Raises ``requests.RequestException``."""
        for message in self._store.messages("waiting"):
            body = json.loads(message["body"])
            customer = body.pop("customer", None)
            try:
                if customer is not None:
                    self._wavecom.register(customer["id"], customer["fields"])
                job = self._wavecom.send(message["key"], body)
            except RefusedError as error:
                self._store.refused(message["key"], str(error))
            else:
                self._store.accepted(message["key"], job["jobId"], job["status"])

    def follow(self) -> None:
        """Note events until the connection ends. Raises ``requests.RequestException``."""
        position = self._store.setting("position") or self._begin()
        try:
            for at, event in self._wavecom.events(position):
                if event is None:
                    self._store.keep(position=at)
                else:
                    self._store.record(event, "stream", at)
        except EventsExpiredError:
            # Away for more than a week, or WaveCom's data is another's: ask how each message stands.
            self._store.keep(position=None)

    def connect(self) -> None:
        """Say what the shop writes, have it called and events recorded. Raises ``requests.RequestException``."""
        for name, fields in CATEGORIES.items():
            self._wavecom.categorize(name, fields)
        try:
            callback_id, secret = self._wavecom.callback(self._callback_url, self._store.setting("callback"))
        except RefusedError as error:
            self._say(
                f"No callbacks, events alone: WaveCom says {error}. To have both, start it with "
                "WAVECOM_CALLBACK_PRIVATE_HOSTS=127.0.0.1 and then start the shop again."
            )
        else:
            self._store.keep(callback=callback_id, **({"secret": secret} if secret else {}))
            self._say(f"Callbacks come to {self._callback_url}.")
        if self._store.setting("position") is None:
            self._begin()

    def _begin(self) -> str:
        """Go on from now, and ask about what may have happened before."""
        # Seconds after the first call; no longer, whatever the two machines' clocks say.
        since = datetime.fromisoformat(self._wavecom.recorded_since())
        time.sleep(min(max(0.0, (since - datetime.now(UTC)).total_seconds()), MOST_BEFORE_RECORDING_SECONDS))
        position = self._wavecom.newest_position()
        for status in ("queued", "scheduled", "retrying", "sent", "unconfirmed"):
            for message in self._store.messages(status):
                if known := self._wavecom.status(message["job_id"]):
                    self._store.correct(message, known)
        self._store.keep(position=position)
        return position

    def _run(self, url: str, key: str) -> None:
        while not (self._push_templates(url, key) and self._succeeds(self.connect)):
            time.sleep(PAUSE_SECONDS)
        threading.Thread(target=self._send_all, daemon=True).start()
        while True:
            self._succeeds(self.follow)
            time.sleep(PAUSE_SECONDS)

    def _send_all(self) -> None:
        while True:
            self._wanted.clear()
            self._succeeds(self.send_waiting)
            self._wanted.wait(PAUSE_SECONDS)

    def _push_templates(self, url: str, key: str) -> bool:
        # The key goes by the environment: on a command line other users of the machine would see it.
        command = [sys.executable, "-m", "wavecom.cli", "templates", "push", str(MESSAGES), "--url", url, "--publish"]
        environment = {**os.environ, "WAVECOM_API_KEY": key}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        self._say((done.stdout if done.returncode == 0 else f"Templates can't be pushed: {done.stderr}").strip())
        return done.returncode == 0

    def _succeeds(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except (requests.RequestException, sqlite3.OperationalError) as error:
            self._say(f"It will be tried again: {error.__class__.__name__} ({step.__name__}).")
            return False
        return True

    def _say(self, text: str) -> None:
        # Once, however often it happens.
        if text != self._said:
            self._said = text
            print(text, flush=True)
