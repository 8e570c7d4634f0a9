"""The guide docs/guides/templates.md as it stands: each of its examples runs, its tables are the code's."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import requests

from tests.guides import examples_in, page_of, run_commands
from tests.web_process import WebProcess
from wavecom.core.templates.filters import FILTERS, TYPED_FILTERS
from wavecom.core.templates.variables import VariableType

PAGE = page_of("templates.md")
COMMANDS = examples_in(PAGE)


def _words(heading: str) -> set[str]:
    """What stands in the first column of the table with this heading."""
    [table] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return {word for row in table.splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1])}


@pytest.mark.timeout(120)
def test_every_example_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    with WebProcess(tmp_path) as web:
        run_commands(COMMANDS, tmp_path, {**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key})
        job_id = json.loads((tmp_path / "sent.json").read_text())["jobId"]
        job = requests.get(f"{web.url}/api/notifications/{job_id}", headers=web.authorization, timeout=10).json()

    assert job["payload"]["text"] == "Bo, Ihr Auftrag über EUR 20.00 kommt am 20.03.2026."
    assert job["template"] == {"name": "order-shipped", "version": 1, "locale": "de"}


def test_the_guide_has_every_type_and_every_filter() -> None:
    assert _words("type") == set(VariableType)
    assert _words("filter") == {*FILTERS, *TYPED_FILTERS}
