"""When a message whose receipts were all answered counts as one that has had them."""

from __future__ import annotations

import pytest

from harness.scenarios.receipts import is_rightly_applied
from tests.factories import NOW, make_job
from wavecom.core.job import LogEntry
from wavecom.core.states import Status

TAKEN = LogEntry(NOW, "sent", 1, "main", "accepted", "http_202")
IN_DOUBT = LogEntry(NOW, "outcome_unknown", 1, "main", "unknown", "timeout")
PASSED_ON = LogEntry(NOW, "receipt", provider="main", outcome="progress", receipt_id="p")
DELIVERED = LogEntry(NOW, "receipt", provider="main", outcome="delivered", receipt_id="d")


@pytest.mark.parametrize(
    ("logs", "is_right"),
    [
        ((TAKEN, DELIVERED), True),
        ((IN_DOUBT, PASSED_ON, DELIVERED), True),
        ((IN_DOUBT, DELIVERED), True),
        ((TAKEN,), False),
        ((TAKEN, DELIVERED, DELIVERED), False),
        ((TAKEN, PASSED_ON, DELIVERED), False),
        ((IN_DOUBT, PASSED_ON, PASSED_ON, DELIVERED), False),
    ],
)
def test_receipts_are_applied_rightly(logs: tuple[LogEntry, ...], is_right: bool) -> None:
    job = make_job(status=Status.DELIVERED, logs=logs)

    assert is_rightly_applied(job) is is_right


def test_a_message_that_is_gone_or_not_known_to_be_delivered_has_not_had_them() -> None:
    sent = make_job(status=Status.SENT, logs=(TAKEN, DELIVERED))

    assert not is_rightly_applied(sent)
    assert not is_rightly_applied(None)
