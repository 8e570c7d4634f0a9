"""Every command of ours that a result of ``wavecom doctor`` names is one that there is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import wavecom
from tests.documented_commands import check_command, words_of

PACKAGE = Path(wavecom.__file__).parent
#: What stands for a value that is only known when the command runs, by the command's beginning.
EXAMPLES = {
    "wavecom start ": "worker",
    "wavecom providers check ": "gateway",
    "wavecom restore --copied-at ": "2026-03-14T09:00:00Z",
    "wavecom unconfirmed list --until ": "2026-03-14T09:00:00Z",
}


def commands() -> Iterator[str]:
    for path in (PACKAGE / "core" / "diagnosis.py", *(PACKAGE / "diagnosis").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if node.value.startswith("wavecom ") and node.value not in EXAMPLES:
                    yield node.value
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                beginning = str(node.values[0].value)
                if beginning.startswith("wavecom "):
                    yield beginning + EXAMPLES[beginning]


def test_each_remedy_is_a_command() -> None:
    found = sorted(set(commands()))

    assert {"wavecom start web", "wavecom providers check gateway", "wavecom check"} <= set(found)
    for command in found:
        check_command(words_of(command))
