"""Plays each answer that a module of an adapter lists."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "answer_row" in metafunc.fixturenames and metafunc.cls is not None:
        metafunc.parametrize("answer_row", metafunc.cls.rows, ids=str)
