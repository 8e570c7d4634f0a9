"""Tests, benchmark and harness use what others may use: no private name of a module or an object that is not theirs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("tests", "harness", "benchmarks")
#: Of libraries, and why there is no other way.
ALLOWED = {
    "_replace": "public, says the documentation of namedtuple",
    "_filter": "which documents an operation of pymongo is for; it can't be asked otherwise",
    "_setup_transport": "opens a transport of py-amqp, whose reading wavecom.internals.amqp replaces",
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def foreign_private_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each private name that ``source`` neither defines nor reaches through ``self``."""
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)} | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own | _reached_by(node):
            yield node.lineno, node.attr


def _reached_by(node: ast.Attribute) -> set[str]:
    return {node.attr} if _is_self(node.value) else set()


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_nobody_reaches_for_the_private_names_of_others(folder: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {name}"
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for line, name in foreign_private_names(path.read_text(encoding="utf-8"))
        if name not in ALLOWED
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("delivery._tokens.clear()", ["_tokens"]),
        ("pipeline._claimed = 3", ["_claimed"]),
        ("from wavecom.worker.pipeline import _spawn", ["_spawn"]),
        ("class Own:\n    def look(self):\n        return self._kept + super()._kept", []),
        ("class Own:\n    def __init__(self):\n        self._kept = 1\nOwn()._kept", []),
        ("module.__file__", []),
    ],
)
def test_what_counts_as_another_s(source: str, found: list[str]) -> None:
    assert [name for _, name in foreign_private_names(source)] == found
