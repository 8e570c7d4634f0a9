"""Files of npm packages that tests need, kept in the virtual environment: fetched by npm, held to their SHA-512."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
