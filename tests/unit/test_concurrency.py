"""Calls at once, by file descriptors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wavecom.concurrency import DESCRIPTORS_BESIDES, DESCRIPTORS_PER_CALL, CallLimit, calls_within

_FIT = """
import resource, sys
from wavecom.concurrency import call_limit

soft, hard = map(int, sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(*(call_limit(384) for _ in range(2)), resource.getrlimit(resource.RLIMIT_NOFILE), sep="\\n")
"""


def fitted(soft: int, hard: int) -> tuple[str, str, str]:
    """What a process of these limits finds, twice, and its limits then."""
    command = [sys.executable, "-c", _FIT, str(soft), str(hard)]
    first, again, limits = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return first, again, limits


def test_a_soft_limit_is_raised_as_far_as_is_needed() -> None:
    assert fitted(1024, 4096) == (str(CallLimit(384, 384, 2072)),) * 2 + ("(2072, 4096)",)


def test_under_a_low_hard_limit_there_are_fewer_calls() -> None:
    assert fitted(256, 1024) == (str(CallLimit(384, 176, 1024)),) * 2 + ("(1024, 1024)",)


@pytest.mark.parametrize("descriptors", [0, 1, 100, 128, 133, 134, 500, 1024, 2071, 2072, 100_000])
def test_what_fits_is_never_more_than_the_descriptors_or_what_is_wanted(descriptors: int) -> None:
    calls = calls_within(descriptors, 384)

    assert 1 <= calls <= 384
    assert calls == 1 or calls * DESCRIPTORS_PER_CALL + DESCRIPTORS_BESIDES <= descriptors
    assert calls == 384 or (calls + 1) * DESCRIPTORS_PER_CALL + DESCRIPTORS_BESIDES > descriptors
