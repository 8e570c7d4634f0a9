"""The worker of these tests: four at a time, and figures to read."""

from __future__ import annotations

import pytest

from tests.peers import free_port


@pytest.fixture
def retry_base_seconds() -> int:
    """Until the first retry, without its jitter; a test may give another one as its parameter."""
    return 8


@pytest.fixture
def worker_environment(worker_environment: dict[str, str], retry_base_seconds: int) -> dict[str, str]:
    return worker_environment | {
        "WAVECOM_WORKER_CONCURRENCY": "4",
        "WAVECOM_RETRY_BASE_SECONDS": str(retry_base_seconds),
        "WAVECOM_METRICS_PORT": str(free_port()),
    }
