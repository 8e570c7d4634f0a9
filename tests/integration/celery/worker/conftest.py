"""The worker of these tests: four at a time, and figures to read."""

from __future__ import annotations

import pytest

from tests.peers import free_port


@pytest.fixture
def worker_environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return worker_environment | {
        "WAVECOM_WORKER_CONCURRENCY": "4",
        "WAVECOM_RETRY_BASE_SECONDS": "8",
        "WAVECOM_METRICS_PORT": str(free_port()),
    }
