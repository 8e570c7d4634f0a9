from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.unit.dashboard.environment import Browser, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def browser(world: World) -> Browser:
    """Logged in as the operator."""
    return world.browser()


@pytest.fixture
def log_lines() -> Iterator[list[EventDict]]:
    """Everything that is logged."""
    with capture_logs() as lines:
        yield lines
