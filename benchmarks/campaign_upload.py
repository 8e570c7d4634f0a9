"""``python -m benchmarks.campaign_upload``: a large campaign at a running WaveCom, and what others feel of it.

Uploads the rows as fast as they are taken, starts the campaign, and sends a one-time password each second meanwhile.
Prints how long the upload and the queueing took, what the web processes grew by, and the percentiles of one-time
passwords from request to delivery. With a test key nobody is reached; ``make run`` keeps a live one in var/api-key.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import requests

_PIECE: Final = 500
_TIMEOUT_SECONDS: Final = 120
_GIVE_UP_SECONDS: Final = 900


class Measurement:
    """One campaign, and the one-time passwords beside it."""

    def __init__(self, url: str, key: str, rows: int, pids: Sequence[int]) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._rows = rows
        self._pids = pids
        self._is_over = threading.Event()
        #: Seconds from request to delivery of each one-time password.
        self.waits: list[float] = []
        #: By process, in MiB: before, and at most.
        self.memory: dict[int, tuple[float, float]] = {}

    def run(self, *, only_upload: bool) -> None:
        """Do it all, and print what came of it."""
        notification = {"type": "sms", "payload": {"text": "Our spring offer begins today."}}
        made = self._ask("POST", "/api/campaigns", json={"name": "benchmark", "notification": notification})
        address = f"/api/campaigns/{made['campaignId']}"
        passwords = threading.Thread(target=self._send_passwords, daemon=True)
        if not only_upload:
            passwords.start()
        self._look()
        began = time.monotonic()
        headers = {"Content-Type": "text/csv", "Upload-Complete": "?1"}
        uploaded = self._ask("PATCH", f"{address}/rows", data=self._file(), headers=headers)
        # Rows are checked behind those that were sent.
        self._look()
        print(f"uploaded and checked: {uploaded['rows']:,} rows in {time.monotonic() - began:.1f} s")
        if not only_upload:
            self._ask("POST", f"{address}/start")
            while self._ask("GET", address)["status"] != "finished" and time.monotonic() - began < _GIVE_UP_SECONDS:
                time.sleep(0.5)
            queued = self._ask("GET", address)["counts"]["queued"]
            print(f"queued: {queued:,} after {time.monotonic() - began:.1f} s in all")
        self._is_over.set()
        if passwords.ident is not None:
            passwords.join(_TIMEOUT_SECONDS)
        for pid, (before, most) in self.memory.items():
            print(f"memory of process {pid}: {before:.0f} MiB before, at most {most - before:.0f} more")
        if len(self.waits) > 1:
            p95 = statistics.quantiles(self.waits, n=20)[-1]
            print(f"one-time passwords: {len(self.waits)}, p50 {statistics.median(self.waits):.2f} s, p95 {p95:.2f} s")

    def _file(self) -> Iterator[bytes]:
        yield b"phone\n"
        for begin in range(0, self._rows, _PIECE):
            yield b"".join(b"+4477%08d\n" % row for row in range(begin, min(self._rows, begin + _PIECE)))
            if begin % 10_000 == 0:
                self._look()

    def _look(self) -> None:
        for pid in self._pids:
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
            size = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
            before, most = self.memory.get(pid, (size, size))
            self.memory[pid] = before, max(most, size)

    def _send_passwords(self) -> None:
        body = {
            "type": "sms",
            "to": {"phone": "+447700900123"},
            "payload": {"text": "Your code is 421337"},
            "priority": "high",
        }
        while not self._is_over.wait(1):
            began = time.monotonic()
            sent = self._ask("POST", "/api/notifications", json=body)
            while self._ask("GET", f"/api/notifications/{sent['jobId']}")["status"] not in {"delivered", "sent"}:
                time.sleep(0.05)
            self.waits.append(time.monotonic() - began)

    def _ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        answer = requests.request(
            method,
            f"{self._url}{path}",
            headers=self._headers | (headers or {}),
            timeout=_GIVE_UP_SECONDS if "data" in options else _TIMEOUT_SECONDS,
            **options,
        )
        answer.raise_for_status()
        return answer.json()


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign_upload")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pid", type=int, nargs="*", default=[], help="web processes whose memory is looked at")
    parser.add_argument("--only-upload", action="store_true", help="start nothing: for the memory of a million rows")
    options = parser.parse_args()
    key = os.environ.get("WAVECOM_API_KEY")
    if not key:
        parser.error("set WAVECOM_API_KEY to a key with the scopes read and send")
    Measurement(options.url, key, options.rows, options.pid).run(only_upload=options.only_upload)


if __name__ == "__main__":
    main()
