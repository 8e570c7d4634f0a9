"""A minute of `make fuzz`: generated calls of every operation, against the real web app and real servers.

Without the phase "coverage", which takes minutes to think of its cases.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.fuzzing import fuzz
from tests.web_process import WebProcess


@pytest.mark.timeout(240)
def test_generated_calls_find_no_undocumented_answer(
    tmp_path: Path, prepared_amqp_url: str, redis_url: str, mongodb_uri: str
) -> None:
    servers = {"AMQP_URL": prepared_amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as web:
        found = fuzz(web.url, web.key, tmp_path, examples=4, seed=5, phases=("examples", "fuzzing", "stateful"))

        assert found.is_clean, found.output
        assert found.cases > 100
        assert "unhandled_error" not in web.logged()
