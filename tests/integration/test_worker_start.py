"""A worker's start and end while its servers are away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS, wait_until
from wavecom.health import health_of, report_path
from wavecom.local.ports import free_ports

NODE = "worker@local"


@contextmanager
def started_worker(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker whose servers are away, once it has reported for the first time."""
    broker, store, limits = free_ports(3)
    environment = os.environ | {
        "WAVECOM_HOME": str(home),
        "AMQP_URL": f"amqp://127.0.0.1:{broker}/",
        "MONGODB_URI": f"mongodb://127.0.0.1:{store}/wavecom",
        "REDIS_URL": f"redis://127.0.0.1:{limits}/0",
    }
    command = [sys.executable, "-m", "celery", "-A", "wavecom", "worker", "-P", "solo", "-n", NODE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            wait_until(lambda: health_of(home, NODE, fatal_only=True).is_well, "the first report")
            yield worker
        finally:
            worker.kill()


def test_a_worker_that_waits_for_the_broker_is_well(tmp_path: Path) -> None:
    with started_worker(tmp_path) as worker:
        assert worker.poll() is None


@pytest.mark.parametrize(("asked_by", "is_left"), [(signal.SIGTERM, False), (signal.SIGKILL, True)])
def test_a_worker_that_ends_as_it_was_asked_to_leaves_no_report_and_one_that_was_killed_does(
    tmp_path: Path, asked_by: signal.Signals, is_left: bool
) -> None:
    path = report_path(tmp_path, NODE)
    with started_worker(tmp_path) as worker:
        # The first report comes before Celery handles signals.
        first = path.stat().st_mtime_ns
        wait_until(lambda: path.stat().st_mtime_ns != first, "the second report")
        worker.send_signal(asked_by)
        worker.wait(PATIENCE_SECONDS)

    assert path.exists() is is_left
