"""Another release beside this one: its files, its commands, its modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.release import Release, ReleaseError
from wavecom.local.programs import PROGRAMS

WEB = next(program for program in PROGRAMS if program.name == "web")
REPORT = "import sys, wavecom; sys.stdout.write(wavecom.__file__)"


def test_a_process_is_started_as_its_release_says(tmp_path: Path) -> None:
    release = Release.check_out("HEAD", tmp_path)
    programs = release.folder / "wavecom" / "local" / "programs.py"
    programs.write_text(
        programs.read_text(encoding="utf-8").replace("--backlog 4096", "--backlog 77"), encoding="utf-8"
    )

    command = release.arguments("web", {**os.environ, "WAVECOM_PORT": "8123"})

    assert command[:3] == [sys.executable, "-m", "granian"]
    assert command[command.index("--port") + 1] == "8123"
    assert command[command.index("--backlog") + 1] == "77"


def test_its_modules_are_found_before_those_that_are_installed(tmp_path: Path) -> None:
    release = Release.check_out("HEAD", tmp_path)
    (release.folder / "granian.py").write_text(REPORT, encoding="utf-8")
    service = release.service(WEB, title="web", log=tmp_path / "web.log", environment=os.environ)

    service.launch()

    assert service.wait(30)
    assert (tmp_path / "web.log").read_text(encoding="utf-8") == str(release.folder / "wavecom" / "__init__.py")


def test_a_revision_that_there_is_not_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is it a revision of this repository"):
        Release.check_out("no-such-branch", tmp_path)
