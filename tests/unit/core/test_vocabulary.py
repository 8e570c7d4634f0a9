"""What is written into jobs is what the document of the API lists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from wavecom.core.vocabulary import JobErrorCode, LogEvent
from wavecom.web.dashboard.words import EVENTS

CORE = Path(__file__).parents[3] / "wavecom" / "core"


def _texts(function: str, place: int, keyword: str) -> Iterator[str]:
    """The texts that calls of ``function`` anywhere in the core have at ``place`` or as ``keyword``."""
    for module in CORE.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
                given = [*node.args[place : place + 1], *(each.value for each in node.keywords if each.arg == keyword)]
                yield from (each.value for each in given if isinstance(each, ast.Constant) and each.value)


def test_every_event_that_is_written_is_listed() -> None:
    written = set(_texts("LogEntry", 1, "event"))

    assert len(written) > 5
    assert written <= set(LogEvent)


def test_every_error_code_that_is_written_is_listed() -> None:
    written = set(_texts("JobError", 0, "code"))

    assert len(written) > 2
    assert written <= set(JobErrorCode)


def test_the_pages_have_a_look_for_every_event() -> None:
    assert set(EVENTS) == set(LogEvent)
