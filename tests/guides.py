"""The guides of docs/guides as they stand: their examples, and a shell that runs them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "docs" / "guides"


def page_of(name: str) -> str:
    """The whole text of a guide."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def examples_in(page: str, language: str = "sh") -> list[str]:
    """The blocks of a page that are written in this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def run_commands(commands: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
    """Run them in one shell, as a reader pastes them; fails where one of them does."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        env=dict(variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
