"""What a drill says of campaigns: nothing of one that kept its promise, and each promise that one broke."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.campaigns import ROWS, WRONG_EACH, CampaignEvidence, reconcile_campaigns, rows_of_file

_WRONG = ROWS // WRONG_EACH
_KEYS = [f"campaign/c/{row}" for row in range(ROWS - _WRONG)]
GOOD = CampaignEvidence("finished", ROWS, _WRONG, ROWS - _WRONG, _KEYS)


def test_a_campaign_whose_rows_are_jobs_or_rejected_breaks_nothing() -> None:
    assert rows_of_file().count(b"wrong\n") == _WRONG
    assert reconcile_campaigns([GOOD], 1) == []
    assert reconcile_campaigns([], 0) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"status": "running"}, "is running at the end"),
        ({"rows": ROWS - 1}, "rows were stored"),
        ({"rejected": 0}, "rejected"),
        ({"keys": _KEYS[1:]}, "jobs of"),
        ({"keys": [*_KEYS, _KEYS[0]]}, "jobs of"),
        ({"queued": 1}, "counted as sent on"),
    ],
)
def test_each_broken_promise_is_told(broken: dict[str, object], said: str) -> None:
    [violation] = reconcile_campaigns([replace(GOOD, **broken)], 1)  # type: ignore[arg-type]

    assert said in violation


def test_a_campaign_that_is_gone_is_told() -> None:
    assert reconcile_campaigns([], 1) == ["0 campaigns are stored, and 1 were made"]
