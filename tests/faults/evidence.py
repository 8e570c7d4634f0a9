"""What a scenario is judged by: everything that was seen of it from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.callbacks import CallbackEvidence
from tests.faults.campaigns import CampaignEvidence
from tests.faults.fallbacks import FallbackEvidence
from tests.faults.notes import Notes
from tests.faults.receipts import ReceiptEvidence

Document = Mapping[str, Any]


@dataclass(slots=True)
class Evidence:
    """All that is known of one scenario, read from outside."""

    notifications: Sequence[Document]
    jobs: Sequence[Document]
    records: Sequence[Document]
    #: Job ids of the dead letters, in the order of the queue; "" for one that names none.
    dead_letters: Sequence[str]
    notes: Notes
    began_at: float
    load_ended_at: float
    settled_at: float | None
    #: Delivery workers that claimed nothing within 60 s of the last recovery.
    stuck_workers: Sequence[str] = ()
    receipts: ReceiptEvidence = field(default_factory=ReceiptEvidence)
    callbacks: CallbackEvidence = field(default_factory=CallbackEvidence)
    campaigns: Sequence[CampaignEvidence] = ()
    fallbacks: Sequence[FallbackEvidence] = ()
