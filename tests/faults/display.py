"""What the user sees while the drill runs."""

from __future__ import annotations

from harness import display
from tests.faults.drill import Outcome


class Display(display.Display):
    """A context manager."""

    def verdict(self, outcome: Outcome) -> None:
        """One line for a finished scenario, and one for each broken promise."""
        ledger = outcome.ledger
        word = "[green]ok[/]  " if outcome.is_good else "[red]FAIL[/]"
        recovery = "–" if ledger.recovery_seconds is None else f"{ledger.recovery_seconds:.1f} s"
        counts = (
            f"accepted {ledger.accepted:>5}  delivered {ledger.statuses.get('delivered', 0):>5}"
            f"  failed {ledger.statuses.get('failed', 0):>3}  lost {ledger.lost}"
            f"  twice {ledger.sent_twice_explained}+{ledger.sent_twice_unexplained}"
        )
        self._console.print(
            f"{word} {outcome.scenario.name:<18} {counts}  recovered in {recovery}  ({outcome.seconds:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )
        for violation in ledger.violations:
            self.line(f"       {violation}")
