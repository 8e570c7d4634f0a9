from __future__ import annotations

import pytest

from wavecom.core.states import (
    ARROWS,
    CLAIMABLE,
    FINAL,
    HANDED_OVER,
    NOT_FINAL,
    ORIGINS,
    WAITING,
    Status,
    is_arrow,
)


def test_the_table_names_every_status() -> None:
    assert set(ARROWS) == set(Status)


def test_a_final_status_is_left_by_replay_alone() -> None:
    ways_out = {(old, new) for old in FINAL for new in ARROWS[old]}

    assert ways_out == {(Status.FAILED, Status.QUEUED)}


def test_every_status_is_final_waiting_in_a_worker_s_hands_or_handed_over_and_only_one_of_them() -> None:
    parts = [FINAL, WAITING, {Status.PROCESSING}, HANDED_OVER]

    assert sorted(status for part in parts for status in part) == sorted(Status)


def test_a_job_in_doubt_or_in_a_worker_s_hands_is_not_claimed() -> None:
    assert CLAIMABLE < WAITING


def test_from_every_status_that_is_not_final_a_final_one_can_be_reached() -> None:
    reaches_an_end = set(FINAL)
    for _ in Status:
        reaches_an_end |= {old for old in NOT_FINAL if ARROWS[old] & reaches_an_end}

    assert reaches_an_end == set(Status)


@pytest.mark.parametrize("status", Status)
def test_staying_put_is_allowed(status: Status) -> None:
    assert is_arrow(status, status)


@pytest.mark.parametrize("new", Status)
def test_the_origins_are_the_arrows_read_backwards(new: Status) -> None:
    assert ORIGINS[new] == {old for old in Status if new in ARROWS[old]} | {new}
