"""The README, followed to the letter in a fresh clone: what it says to type is what is run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.launched import Launched

ROOT = Path(__file__).parents[2]

_MARKED_BLOCK = re.compile(r"<!-- test: (?P<name>[\w-]+) -->\n```sh\n(?P<commands>.*?)```", re.DOTALL)


def marked_commands() -> dict[str, str]:
    """Blocks of the README by the name in the comment before them, as ``<!-- test: run -->``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return {block["name"]: block["commands"].strip() for block in _MARKED_BLOCK.finditer(text)}


def outside(environment: dict[str, str]) -> dict[str, str]:
    """Without the virtual environment that the tests run in: who follows the README has none yet."""
    own = os.environ.get("VIRTUAL_ENV")
    path = [folder for folder in environment["PATH"].split(os.pathsep) if not own or not folder.startswith(own)]
    return {name: value for name, value in environment.items() if name != "VIRTUAL_ENV"} | {
        "PATH": os.pathsep.join(path)
    }


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    commands = marked_commands()

    for name in ("run", "test"):
        program, target = commands[name].split()
        assert program == "make"
        assert target in targets


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: there is nothing to clone")
@pytest.mark.timeout(900)
def test_a_fresh_clone_runs_with_the_one_command(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    # Without hard links to, or a look at, anything but what is committed.
    subprocess.run(["git", "clone", "--quiet", "--no-local", "--depth=1", ROOT.as_uri(), str(clone)], check=True)
    command = ["sh", "-c", f"exec {marked_commands()['run']}"]
    launched = Launched(command, tmp_path / "home", clone, environment=outside(dict(os.environ)))
    try:
        launched.start(seconds=600)
        assert "Installing Python packages" in launched.output

        job_id = launched.paste_curl_line()["jobId"]
        launched.wait_for_status(job_id, "delivered")

        launched.interrupt()
        assert "Stopped." in launched.output
        assert launched.left_behind() == []
    finally:
        launched.end()
