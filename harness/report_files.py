"""The files of a report, of benchmark and fault drill alike.

``NAME.md`` is for people, ``NAME.json`` for programs; the folder ``NAME`` has the pictures that the page shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import machine


def write_page(folder: Path, name: str, lines: Sequence[str], pictures: Mapping[str, str]) -> Path:
    """Write the page and its pictures (name -> SVG) into ``folder``, which is made; answers the path of the page."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for title, picture in pictures.items():
        (folder / name / f"{title}.svg").write_text(picture, encoding="utf-8")
    page = folder / f"{name}.md"
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return page


def write_figures(folder: Path, name: str, figures: Mapping[str, object]) -> None:
    """Write the figures whole or not at all: who is interrupted here has lost nothing of the last time."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{name}.json.new"
    draft.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / f"{name}.json")


def run_facts(command: str, began: datetime, mongo_program: Path | None) -> dict[str, str]:
    """What a reader must know of a run that ends now, to believe and repeat it. ``mongo_program``: if it was ours."""
    minutes = (datetime.now(UTC) - began).total_seconds() / 60
    return {
        "command": f"`{command}`",
        "date": f"{began.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes",
        "code": machine.code(),
        "machine": machine.machine(),
        "Python": machine.libraries(),
        **machine.servers(mongo_program),
    }


def run_section(facts: Mapping[str, str]) -> list[str]:
    """The page's lines about the run."""
    return ["## The run", "", *(f"- {name}: {value}" for name, value in facts.items())]
