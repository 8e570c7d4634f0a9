"""A worker's start while its servers are away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import wait_until
from wavecom.health import health_of
from wavecom.local.ports import free_ports


def test_a_worker_that_waits_for_the_broker_is_well(tmp_path: Path) -> None:
    broker, store, limits = free_ports(3)
    environment = os.environ | {
        "WAVECOM_HOME": str(tmp_path),
        "AMQP_URL": f"amqp://127.0.0.1:{broker}/",
        "MONGODB_URI": f"mongodb://127.0.0.1:{store}/wavecom",
        "REDIS_URL": f"redis://127.0.0.1:{limits}/0",
    }
    command = [sys.executable, "-m", "celery", "-A", "wavecom", "worker", "-P", "solo", "-n", "worker@local"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            wait_until(lambda: health_of(tmp_path, "worker@local", fatal_only=True).is_well, "the first report")

            assert worker.poll() is None
        finally:
            worker.kill()
