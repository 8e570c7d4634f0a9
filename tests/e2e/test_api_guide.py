"""The guide in docs/api.md, pasted as it stands: each of its examples runs, against a running WaveCom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web_process import WebProcess, workers

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def _blocks(language: str) -> str:
    """The guide's blocks of ``language``, one after another, as one script."""
    guide = re.search(r"^## In ten minutes\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    assert guide is not None
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", guide[1], re.DOTALL | re.MULTILINE))


@pytest.fixture
def variables(tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str) -> Iterator[dict[str, str]]:
    """What who reads the guide has set: where WaveCom runs, and a key."""
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as web, workers(tmp_path, servers):
        yield {**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key}


@pytest.mark.timeout(180)
def test_every_example_of_the_guide_does_what_it_says(tmp_path: Path, variables: dict[str, str]) -> None:
    for command in (["bash", "-euo", "pipefail", "-c", _blocks("sh")], [sys.executable, "-c", _blocks("python")]):
        done = subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
        )

        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert "delivered" in done.stdout


def test_the_guide_shows_both_ways() -> None:
    assert _blocks("sh").count("curl") >= 6
    assert _blocks("python").count("post(") >= 3
