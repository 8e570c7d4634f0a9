"""Log lines of a process, by a process of its own: what is configured holds for the whole of it."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = r"""
import logging
import structlog
from wavecom.observability import configure_logging

configure_logging("info", "web")
log = structlog.get_logger()
log.warning("plain", count=1)
log.warning("odd", text="half \ud83d", number=10**30, names={7: "seven"})
try:
    raise ValueError("half \udc80")
except ValueError:
    log.exception("failed")
logging.getLogger("library").warning("half %s", "\udfff")
log.warning("last")
"""


def test_whatever_a_line_tells_it_is_json_and_costs_its_teller_nothing() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["plain", "odd", "failed", "half \udfff", "last"]
    assert lines[1]["text"] == "half \ud83d"
    assert lines[1]["number"] == 10**30
    assert "ValueError: half" in lines[2]["exception"]
    assert {line["process"] for line in lines} == {"web"}
