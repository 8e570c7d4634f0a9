"""What the user sees while the drill runs."""

from __future__ import annotations

from harness import display
from tests.faults.drill import ScenarioResult


class Display(display.Display):
    """A context manager."""

    def scenario_ended(self, outcome: ScenarioResult) -> None:
        """One line for a finished scenario, and one for each broken promise."""
        result = outcome.result
        word = "[green]ok[/]  " if outcome.is_good else "[red]FAIL[/]"
        recovery = "–" if result.recovery_seconds is None else f"{result.recovery_seconds:.1f} s"
        counts = (
            f"accepted {result.accepted:>5}  delivered {result.statuses.get('delivered', 0):>5}"
            f"  failed {result.statuses.get('failed', 0):>3}  lost {result.lost}"
            f"  twice {result.sent_twice_explained}+{result.sent_twice_unexplained}"
        )
        pause = f"  longest pause {max(each.seconds for each in result.pauses.values())} s" if result.pauses else ""
        self._console.print(
            f"{word} {outcome.scenario.name:<18} {counts}  recovered in {recovery}{pause}  ({outcome.seconds:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )
        for violation in result.violations:
            self.line(f"       {violation}")
