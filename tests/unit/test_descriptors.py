"""The soft limit of open files is raised where it may be, and never lowered."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("limits", "wanted", "had"), [((64, 256), 128, 128), ((64, 256), 1000, 256), ((200, 256), 100, 200)]
)
def test_the_soft_limit_is_raised_as_far_as_it_may_be(limits: tuple[int, int], wanted: int, had: int) -> None:
    # In a process of its own: a hard limit that was lowered can't be raised again.
    program = f"""
import resource
from wavecom.descriptors import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, {limits})
assert raise_descriptor_limit({wanted}) == {had}
assert resource.getrlimit(resource.RLIMIT_NOFILE) == ({had}, {limits[1]})
assert raise_descriptor_limit({wanted}) == {had}
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
