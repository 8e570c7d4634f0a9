from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment


@pytest.fixture
def environment(tmp_path: Path) -> DashboardEnvironment:
    return DashboardEnvironment(tmp_path)


@pytest.fixture
def browser(environment: DashboardEnvironment) -> Browser:
    """Logged in as the operator."""
    return environment.browser()


@pytest.fixture
def log_lines() -> Iterator[list[EventDict]]:
    """Everything that is logged."""
    with capture_logs() as lines:
        yield lines
