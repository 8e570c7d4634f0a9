"""Another release of WaveCom, checked out beside this one; its processes run with this one's Python and packages."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from harness.control import CHECKOUT
from wavecom.local.programs import Program, ProgramService

_PARTS = ("wavecom", "celeryconfig.py")
#: Asks a release for the command of one of its processes: of its own Procfile, with queues of its own.
_ARGUMENTS = """
import json, os, sys
from wavecom.local.programs import PROGRAMS
[program] = [each for each in PROGRAMS if each.name == sys.argv[1]]
print(json.dumps(program.arguments(os.environ)))
"""


class ReleaseError(Exception):
    """There is no such release, or it does not work with the packages of this one."""


class Release:
    """``folder``: its files. ``name``: for reports."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    @classmethod
    def check_out(cls, revision: str, folder: Path) -> Self:
        """The release ``revision`` of this repository, in a folder of its own below ``folder``.

        Raises ``ReleaseError``.
        """
        commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
        target = folder.absolute() / commit[:12]
        with zipfile.ZipFile(io.BytesIO(_git("archive", "--format=zip", commit, *_PARTS))) as files:
            files.extractall(target)
        return cls(target, commit[:12])

    def arguments(self, program: str, environment: Mapping[str, str]) -> list[str]:
        """The command of one of its processes. Raises ``ReleaseError``."""
        asked = subprocess.run(  # noqa: S603 - the name of a process is ours
            [sys.executable, "-c", _ARGUMENTS, program],
            cwd=self.folder,
            env=self._with_own_modules(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            raise ReleaseError(f"{self.name} does not say how its {program} is started: {asked.stderr.strip()}")
        command: list[str] = json.loads(asked.stdout)
        return command

    def service(self, program: Program, *, title: str, log: Path, environment: Mapping[str, str]) -> ProgramService:
        """Its process of the same name as ``program``."""
        return _ReleasedProgram(self, program, title=title, log=log, environment=self._with_own_modules(environment))

    def _with_own_modules(self, environment: Mapping[str, str]) -> dict[str, str]:
        """``environment`` in which its modules are found before those that are installed."""
        return {**environment, "PYTHONPATH": str(self.folder)}


class _ReleasedProgram(ProgramService):
    def __init__(
        self, release: Release, program: Program, *, title: str, log: Path, environment: Mapping[str, str]
    ) -> None:
        super().__init__(program, title=title, log=log, environment=environment)
        self._release = release

    @property
    def _folder(self) -> Path:
        return self._release.folder

    def _command(self) -> Sequence[str]:
        return self._release.arguments(self.program.name, self._environment())


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(  # noqa: S603 - a revision that isn't one is refused by git itself
            ["git", *arguments],  # noqa: S607 - whichever there is
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ReleaseError(f"git {' '.join(arguments)} found nothing: is it a revision of this repository?") from error
