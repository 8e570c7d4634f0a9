"""What the pages tell of a provider: its calls, what came of them, how long they took, and what its receipts say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wavecom.core.measurements import Buckets, Measured, MeasuredKey, Percentiles, added, percentiles
from wavecom.core.receipt_counts import CountKey, ReceiptCounts

#: Receipts are looked at for messages that were taken in this time.
RECEIPTS_WINDOW: Final = timedelta(minutes=15)
NO_TIMES: Final = Percentiles(0, None, None, None)


@dataclass(frozen=True, slots=True)
class CallFigures:
    """Calls of one provider, a second, by outcome (``unavailable``, ``accepted`` …); and how long they took."""

    outcomes: Mapping[str, float] = field(default_factory=dict)
    times: Percentiles = NO_TIMES

    @property
    def rate(self) -> float:
        """Calls a second."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class ReceiptFigures:
    """Of the messages of ``RECEIPTS_WINDOW`` that a provider has taken. None: it took none, or reported none."""

    sent: int
    share: float | None
    delay_seconds: float | None


def calls_by_provider(
    measured: Mapping[datetime, Mapping[MeasuredKey, Buckets]], seconds: float
) -> dict[str, CallFigures]:
    """``measured``: by minute, of ``seconds`` in all."""
    found: dict[str, dict[str, list[Buckets]]] = {}
    for histograms in measured.values():
        for key, buckets in histograms.items():
            if key.measured is Measured.CALLS:
                provider, outcome = key.labels
                found.setdefault(provider, {}).setdefault(outcome, []).append(buckets)
    return {
        provider: CallFigures(
            {outcome: sum(added(many).values()) / seconds for outcome, many in sorted(outcomes.items())},
            percentiles(added(buckets for many in outcomes.values() for buckets in many)),
        )
        for provider, outcomes in found.items()
    }


def receipts_by_provider(counted: Mapping[CountKey, ReceiptCounts]) -> dict[str, ReceiptFigures]:
    """``counted``: of the messages of ``RECEIPTS_WINDOW``."""
    sums: dict[str, ReceiptCounts] = {}
    for key, counts in counted.items():
        sums[key.provider] = sums.get(key.provider, ReceiptCounts()) + counts
    return {
        provider: ReceiptFigures(
            counts.sent,
            min(1.0, counts.reported / counts.sent) if counts.sent else None,
            counts.delay_seconds / (counts.good + counts.late) if counts.good + counts.late else None,
        )
        for provider, counts in sums.items()
    }
