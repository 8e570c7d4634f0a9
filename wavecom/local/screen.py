"""What ``wavecom run`` shows: progress and a panel on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.status import Status
from rich.table import Table


class Screen:
    """Not thread-safe. As a context manager it leaves no spinner behind."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it."""
        return self._console.is_terminal

    def say(self, text: str) -> None:
        """One message; on a terminal above the progress line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def done(self, text: str) -> None:
        """One step that is behind us."""
        mark = "[green]✓[/green]" if self._console.is_terminal else "-"
        self._console.print(f"{mark} {escape(text)}", highlight=False, soft_wrap=True)

    def waiting_for(self, titles: Sequence[str], seconds: float) -> None:
        """What is still to come; shown on terminals only, where it moves."""
        if not self._console.is_terminal:
            return
        text = f"Waiting for {escape(', '.join(titles))} ({seconds:.0f} s)"
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def settled(self) -> None:
        """Nothing is waited for any more."""
        if self._status:
            self._status.stop()
            self._status = None

    def panel(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values, one pair a line; in a frame on a terminal."""
        if not self._console.is_terminal:
            width = max(len(name) for name, _ in rows)
            self.say("\n".join([f"\n{title}", *(f"  {name:<{width}}  {value}" for name, value in rows)]))
            return
        table = Table.grid(padding=(0, 2))
        for name, value in rows:
            table.add_row(f"[bold]{escape(name)}[/bold]", escape(value))
        self._console.print(Panel(table, title=f"[green]{escape(title)}[/green]", expand=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.settled()
