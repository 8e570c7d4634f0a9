"""What answers of account APIs tell, and what they leave open."""

from __future__ import annotations

import pytest

from wavecom.providers.account import AccountAnswer, AccountAspect
from wavecom.providers.account.findings import sender_finding


@pytest.mark.parametrize("status", [302, 400, 401, 403, 429, 500, 503])
def test_a_sender_that_could_not_be_asked_about_is_neither_good_nor_bad(status: int) -> None:
    answers = AccountAnswer(404, None), AccountAnswer(status, None)

    finding = sender_finding(False, "not verified", *answers)

    assert (finding.aspect, finding.is_good) == (AccountAspect.SENDER, None)
    assert finding.text == f"can't be asked about: HTTP {status}"


def test_a_sender_is_bad_where_every_answer_says_so_and_good_where_one_does() -> None:
    unknown, empty, away = (AccountAnswer(status, None) for status in (404, 200, 503))

    assert sender_finding(False, "not verified", unknown, empty).is_good is False
    assert sender_finding(True, "verified", empty, away).is_good is True
