from __future__ import annotations

from collections.abc import Iterator

import pytest

from wavecom.internals import fast_paths


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Each test leaves the process's fast paths switched on, as they are by default."""
    yield
    fast_paths.switch(is_on=True)
