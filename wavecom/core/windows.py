"""For how long work waits for company, so that a round trip is shared (``wavecom.batching``, ADR 11). Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """At most so long, in seconds, the first of a group waits for others at each step of a notification."""

    #: Before it is stored: a client waits for the answer.
    accept: float
    #: Before its claim: what was accepted together comes together, so there is hardly anything to wait for.
    claim: float
    #: Before what came of its call is recorded: nobody waits for that.
    record: float
    #: Nor any longer before its claim once nothing has come for so long: what was accepted together has come by then.
    #: Infinite: the whole window is waited for.
    claim_gap: float = math.inf

    @property
    def delivery(self) -> float:
        """Of a worker's two steps, the mean."""
        return (self.claim + self.record) / 2


WINDOWS: Final = Windows(accept=0.015, claim=0.025, record=0.025, claim_gap=0.003)
