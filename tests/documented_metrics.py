"""The tables of docs/metrics.md, for the tests that hold them against code, processes, alerts and board."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_GUIDE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(wavecom_\w+)` \| (\w+) \|([^|]*)\| (.*) \|$", re.MULTILINE)


class DocumentedMetric(NamedTuple):
    """A row: ``type`` is Prometheus's word for it."""

    type: str
    labels: tuple[str, ...]
    meaning: str


@cache
def documented_metrics() -> dict[str, DocumentedMetric]:
    """Name, as it is scraped (a histogram's without ``_bucket``) → its row."""
    found = {}
    for name, kind, labels, meaning in _ROW.findall(_GUIDE.read_text(encoding="utf-8")):
        assert name not in found, f"{name} has two rows"
        found[name] = DocumentedMetric(kind, tuple(filter(None, labels.strip().split(", "))), meaning)
    return found
