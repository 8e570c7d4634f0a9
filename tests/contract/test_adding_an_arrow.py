"""An arrow takes two files and its test: docs/architecture.md, followed in a copy of the tree.

The example lets people start a cancelled job again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")

TABLE = ("wavecom/core/states.py", "Status.CANCELLED: frozenset(),", "Status.CANCELLED: frozenset({Status.QUEUED}),")
RULE = (
    "wavecom/core/operator_rules.py",
    "if job.status is not Status.FAILED and not is_doubtful:",
    "if job.status not in {Status.FAILED, Status.CANCELLED} and not is_doubtful:",
)
#: The test: the table of what each event does in each status. Both kinds of replay have a row for it.
TEST = "tests/unit/core/engine/test_every_event_in_every_status.py"


@pytest.mark.parametrize(
    ("edits", "fails"),
    [
        pytest.param([TABLE, RULE], [], id="both files"),
        pytest.param([TABLE], ["test_every_declared_arrow_is_taken", "test_an_event_does"], id="the table alone"),
        pytest.param([RULE], ["test_an_event_does"], id="the rule alone"),
    ],
)
def test_an_arrow_is_two_files_and_its_test(
    tmp_path: Path, edits: list[tuple[str, str, str]], fails: list[str]
) -> None:
    for name in ("wavecom", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=NOT_COPIED)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, old, new in edits:
        text = (tmp_path / name).read_text("utf-8")
        assert text.count(old) == 1, f"{name} has another form by now"
        (tmp_path / name).write_text(text.replace(old, new), "utf-8")
    before, rows, after = re.split(
        r'(    "replay": .*?)(?=    "settle)', (tmp_path / TEST).read_text("utf-8"), flags=re.S
    )
    rows = rows.replace("Status.CANCELLED: NOT_FAILED", "Status.CANCELLED: Status.QUEUED")
    (tmp_path / TEST).write_text(before + rows + after, "utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-k", "replay or arrow"]
    done = subprocess.run(
        [*command, TEST, "tests/unit/core/engine/test_arrows.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == (1 if fails else 0), done.stdout
    for each in fails:
        assert f"::{each}" in done.stdout
