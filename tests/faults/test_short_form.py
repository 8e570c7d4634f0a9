"""The short form of the fault drill: one kill of each kind, in one run of real processes under a little load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import drill
from tests.faults.scenarios import SHORT
from wavecom.local.servers import PrivateMongo


@pytest.mark.timeout(300)
def test_one_kill_of_each_kind_loses_nothing_and_repeats_nothing_in_silence(
    tmp_path: Path, mongo_server: PrivateMongo
) -> None:
    # As much as the embedded server takes without a queue.
    size = drill.Size(notifications=300, rate=15, pace=0.6)

    outcome = drill.run(
        SHORT,
        tmp_path,
        size=size,
        seed=1,
        mongo_program=mongo_server.program,
        faketime_library=None,
        other_release=None,
        say=print,  # shown when it fails
        progress=print,
    )

    assert outcome.result.violations == []
