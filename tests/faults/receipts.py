"""What the provider knows of its receipts, held against the logs of the jobs. Pure, as ``reconcile``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.receipts import DELAYS, event_id_of
from wavecom.core.states import FINAL, Status

#: The receipts of a message, in the order in which they come: it was passed on, it was delivered.
PASSED_ON, DELIVERED = RECEIPTS = tuple(DELAYS)
#: Statuses of messages of which it is known that they were passed on, or how they ended.
_BEYOND = frozenset(FINAL | {Status.SENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptEvidence:
    """What is known of receipts, read from outside."""

    #: Receipts that were to be posted. Those that were answered 200: which of ``RECEIPTS``, and the id of the job.
    due: int = 0
    confirmed: Sequence[tuple[str, str]] = ()
    #: Event ids of receipts that the application keeps, to try them again; read later than ``confirmed``.
    pending: Sequence[str] = ()

    @property
    def unsettled(self) -> int:
        """How many receipts are not answered 200 yet, or kept to be tried again."""
        return self.due - len(self.confirmed) + len(self.pending)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFindings:
    """What became of the receipts that were answered 200."""

    #: Event ids of those that are neither in their job's log nor kept, and of those that are in it more than once.
    lost: Sequence[str]
    twice: Sequence[str]


def reconcile_receipts(evidence: ReceiptEvidence, jobs: Mapping[str, Mapping[str, Any]]) -> ReceiptFindings:
    """``jobs``: job id -> document of the store, read later than the evidence."""
    pending = set(evidence.pending)
    lost: list[str] = []
    twice: list[str] = []
    for word, job_id in evidence.confirmed:
        job = jobs.get(job_id, {})
        event_id = event_id_of(job_id, word)
        times = sum(entry.get("receiptId") == event_id for entry in job.get("logs", ()))
        # Where it is known that a message is with the provider, or how it ended, nobody needs to note it.
        is_known = word == PASSED_ON and job.get("status") in _BEYOND
        if times > 1:
            twice.append(event_id)
        elif not times and event_id not in pending and not is_known:
            lost.append(event_id)
    return ReceiptFindings(lost=lost, twice=twice)
