"""What the user sees while benchmark or drill run: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

_PLAIN_SECONDS = 15.0


class Display:
    """A context manager."""

    def __init__(self, console: Console, *, is_talkative: bool = False) -> None:
        self._console = console
        self._is_talkative = is_talkative
        self._status: Status | None = None
        self._title = ""
        self._began = time.monotonic()
        self._said_at = 0.0
        self._said = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, title: str) -> None:
        """A new scenario, or another thing that takes its time."""
        self._title, self._began = title, time.monotonic()

    def say(self, text: str) -> None:
        """Something happened."""
        if self._is_talkative:
            self._print(f"  {time.monotonic() - self._began:6.1f} s  {text}")

    def progress(self, text: str) -> None:
        """What is being done now; shown on a terminal, and elsewhere from time to time."""
        seconds = time.monotonic() - self._began
        if self._status is not None:
            self._status.update(f"{self._title}: {text} ({seconds:.0f} s)")
        elif text.partition(":")[0] != self._said or time.monotonic() - self._said_at > _PLAIN_SECONDS:
            self._said, self._said_at = text.partition(":")[0], time.monotonic()
            self._print(f"{self._title}: {text} ({seconds:.0f} s)")

    def line(self, text: str) -> None:
        """A line that stays."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
