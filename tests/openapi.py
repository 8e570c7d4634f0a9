"""``python -m tests.openapi``: writes docs/openapi.json, the copy of what a running WaveCom serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.web.conftest import make_environment

COPY = Path(__file__).parents[1] / "docs" / "openapi.json"


def served_document() -> dict[str, Any]:
    """What ``/api/openapi.json`` answers."""
    document: dict[str, Any] = make_environment().client(None).get("/api/openapi.json").json
    return document


def as_text(document: dict[str, Any]) -> str:
    """The copy: indented, so that a change of the API can be read in a diff."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    COPY.write_text(as_text(served_document()), encoding="utf-8")
