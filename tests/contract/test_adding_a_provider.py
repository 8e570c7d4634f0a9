"""Adding a provider: a file, two lines, a page and a test, by the words of docs/adding-a-provider.md, in a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "adding-a-provider.md"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "var", "build", "dist", "htmlcov")
#: What tests wait seconds for is tried with the providers that are really there.
NOT_SLOW = "not silent and not drips and not more and not breaks"


def code_of(guide: str, word: str) -> str:
    """The block of code in the guide that holds ``word``."""
    [block] = [each for each in re.findall(r"```\w+\n(.*?)```", guide, re.DOTALL) if word in each]
    return str(block)


def insert_after(path: Path, line_start: str, added: str) -> None:
    """Add a line to a file, after the last one that begins so."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    index = max(number for number, line in enumerate(lines) if line.startswith(line_start))
    path.write_text("".join([*lines[: index + 1], added, *lines[index + 1 :]]), "utf-8")


def test_a_provider_is_added_by_the_words_of_the_guide(tmp_path: Path) -> None:
    guide = GUIDE.read_text("utf-8")
    tree = tmp_path / "tree"
    for name in ("wavecom", "tests", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=NOT_COPIED)
    for name in ("pyproject.toml", "setup.cfg", "providers.example.toml"):
        shutil.copy(ROOT / name, tree)

    (tree / "wavecom/providers/pigeon.py").write_text(code_of(guide, "class PigeonProvider"), "utf-8")
    insert_after(tree / "wavecom/providers/registry.py", '    "smtp": ', code_of(guide, '"pigeon": "PigeonProvider"'))
    insert_after(tree / "docs/adding-a-provider.md", "| `smtp` |", code_of(guide, "([pigeon.md]"))
    (tree / "docs/providers/pigeon.md").write_text(code_of(guide, "# Pigeon"), "utf-8")
    insert_after(tree / "docs/providers.md", "| `messagebird` |", code_of(guide, "| [Pigeon]"))
    (tree / "tests/contract/providers/test_pigeon.py").write_text(code_of(guide, "class TestPigeonProvider"), "utf-8")

    tests = ["tests/contract/providers/test_pigeon.py", "tests/contract/providers/test_every_provider.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NOT_SLOW]
    done = subprocess.run(
        [*command, *tests, "tests/unit/providers/test_registry.py", "tests/unit/providers/test_provider_pages.py"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "test_pigeon" not in done.stdout  # nothing skipped, nothing failed
