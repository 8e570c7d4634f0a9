"""The folder ``WAVECOM_HOME``: who runs in it, the secrets that are made once, where to find the private servers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from wavecom import private_files
from wavecom.errors import ConfigurationError, Problem
from wavecom.settings import SERVERS_FILE

#: All that is made in a home, by whoever.
_CONTENTS = (
    *("run.lock", "api-key", "secret-key", "unsubscribe-key", "flower-password", SERVERS_FILE),
    *("logs", "health", "rabbitmq", "redis", "mongodb"),
)


@dataclass(frozen=True, slots=True)
class RunningLauncher:
    """The launcher that runs in a home."""

    pid: int
    url: str


class AlreadyRunningError(Exception):
    """A launcher already runs in this home; None: it was just starting and had not said who it is."""

    def __init__(self, launcher: RunningLauncher | None) -> None:
        super().__init__("a launcher already runs in this home")
        self.launcher = launcher


@dataclass(frozen=True, slots=True)
class Home:
    """``path`` and the files in it; nobody but their owner can read what is made here."""

    path: Path

    @property
    def logs(self) -> Path:
        """The folder of all processes' logs."""
        return self.path / "logs"

    @property
    def api_key_file(self) -> Path:
        """The file of the first API key."""
        return self.path / "api-key"

    @property
    def _servers_file(self) -> Path:
        return self.path / SERVERS_FILE

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Callable[[RunningLauncher], None]]:
        """Be the only launcher in this home, and say who; raises ``AlreadyRunningError``.

        The lock is the kernel's: it ends with this process however that ends. ``ConfigurationError`` when the folder is
        one that everybody uses.
        """
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise AlreadyRunningError(_parse_launcher(file.read())) from error

            def announce(launcher: RunningLauncher) -> None:
                file.truncate(0)
                json.dump({"pid": launcher.pid, "url": launcher.url}, file)
                file.flush()

            file.truncate(0)
            yield announce
            file.truncate(0)

    def _lock_file(self) -> TextIO:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._close_to_others()
            return open(self.path / "run.lock", "a+", encoding="utf-8", opener=private_files.opener)
        except OSError as error:
            reason = f"is {self.path}, which can't be used ({error.strerror}); give the path of a folder that you own"
            raise ConfigurationError([Problem("WAVECOM_HOME", reason)]) from error

    def _close_to_others(self) -> None:
        """An older version may have made it, or another umask. Only what is ours: people put other things beside it."""
        if self.path.stat().st_mode & stat.S_ISVTX:
            reason = f"is {self.path}, which all users of this machine share; give WaveCom a folder of its own"
            raise ConfigurationError([Problem("WAVECOM_HOME", reason)])
        try:
            self.path.chmod(0o700)
        except PermissionError as error:
            reason = f"is {self.path}, which belongs to another user; give WaveCom a folder of its own"
            raise ConfigurationError([Problem("WAVECOM_HOME", reason)]) from error
        private_files.close_to_others(self.path / name for name in _CONTENTS)

    def has_api_key(self) -> bool:
        """Whether the first API key was made, by an earlier start for one."""
        return self.api_key_file.exists()

    def api_key(self) -> str:
        """The first API key; made once. 256 bits of chance: a key is a password that nobody has to remember."""
        return private_files.kept(self.api_key_file, lambda: f"wc_live_{private_files.new_secret()}")

    def secret_key(self) -> str:
        """What signs the pages' session cookies; made once."""
        return private_files.kept(self.path / "secret-key", private_files.new_secret)

    @property
    def flower_password_file(self) -> Path:
        """The file of Flower's password."""
        return self.path / "flower-password"

    def flower_password(self) -> str:
        """For Flower's user; made once."""
        return private_files.kept(self.flower_password_file, private_files.new_secret)

    def forget_servers(self) -> None:
        """Commands typed beside us no longer find private servers. May be called twice."""
        self._servers_file.unlink(missing_ok=True)

    def publish_servers(self, addresses: Mapping[str, str]) -> None:
        """Let commands typed beside us find the private servers (``Settings`` reads the file)."""
        lines = ["# Where the servers of the running `wavecom run` are; removed when it stops."]
        lines += [f"{name}={value}" for name, value in addresses.items()]
        private_files.write(self._servers_file, "\n".join(lines) + "\n")


def _parse_launcher(text: str) -> RunningLauncher | None:
    try:
        entry = json.loads(text)
        return RunningLauncher(int(entry["pid"]), str(entry["url"]))
    except (ValueError, KeyError, TypeError):
        return None
