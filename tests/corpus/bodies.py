"""Reads the two corpora: bodies that must be refused, each with its errors, and bodies that must be delivered.

Long texts are written as ``{"$repeat": "a", "times": 100}``, with ``before`` and ``after`` where there is more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def bad_notifications() -> list[dict[str, Any]]:
    """``name``; ``body`` (JSON) or ``raw`` (text, in ``encoding``); ``headers``, ``contentType``; what is expected."""
    return _read("bad_notifications.json")


def good_notifications() -> list[dict[str, Any]]:
    """``name`` and ``body``; for some ``stored``, the parts of ``to`` and ``payload`` that are kept in another form."""
    return _read("good_notifications.json")


def _read(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = expand(json.loads((_FOLDER / name).read_text(encoding="utf-8")))
    return entries


def expand(value: Any) -> Any:
    """``value`` with every long text written out."""
    if isinstance(value, dict):
        if "$repeat" in value:
            return value.get("before", "") + value["$repeat"] * value["times"] + value.get("after", "")
        return {name: expand(item) for name, item in value.items()}
    if isinstance(value, list):
        return [expand(item) for item in value]
    return value
