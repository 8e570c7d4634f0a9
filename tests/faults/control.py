"""The drill's helper processes, by their short names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import control

CHECKOUT = Path(__file__).resolve().parents[2]

Verb = control.Verb
serve = control.serve


class HelperProcess(control.HelperProcess):
    """``python -m tests.faults.<module>`` with a control port and more arguments."""

    def __init__(
        self, module: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"tests.faults.{module}", arguments, log=log, environment=environment)

    @property
    def _folder(self) -> Path:
        # The tests are not installed: they are found from here.
        return CHECKOUT
