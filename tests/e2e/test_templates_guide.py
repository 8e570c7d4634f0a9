"""The guide docs/guides/templates.md as it stands: each of its examples runs, its tables are the code's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.web_process import WebProcess
from wavecom.core.templates.filters import FILTERS, TYPED_FILTERS
from wavecom.core.templates.variables import VariableType

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "templates.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def _words(heading: str) -> set[str]:
    """What stands in the first column of the table with this heading."""
    [table] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return {word for row in table.splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.mark.timeout(120)
def test_every_example_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    with WebProcess(tmp_path) as web:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(COMMANDS)],
            env={**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        job_id = json.loads((tmp_path / "sent.json").read_text())["jobId"]
        job = requests.get(f"{web.url}/api/notifications/{job_id}", headers=web.authorization, timeout=10).json()

    assert job["payload"]["text"] == "Bo, Ihr Auftrag über EUR 20.00 kommt am 20.03.2026."
    assert job["template"] == {"name": "order-shipped", "version": 1, "locale": "de"}


def test_the_guide_has_every_type_and_every_filter() -> None:
    assert _words("type") == set(VariableType)
    assert _words("filter") == {*FILTERS, *TYPED_FILTERS}
