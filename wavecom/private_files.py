"""Files that only their owner may read: secrets that are made once, settings with passwords in them, logs."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wavecom.core.strength import LEAST_BITS, estimated_bits
from wavecom.errors import Problem, SettingsError

#: What all that we start creates is for its owner alone.
UMASK = 0o077
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def new_secret() -> str:
    """256 bits of chance, in characters that need no quoting in an address, a shell or a configuration file."""
    return secrets.token_urlsafe(32)


def kept(path: Path, make: Callable[[], str]) -> str:
    """The one line in ``path``; made by ``make`` when there is none yet."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        text = ""
    if not text:
        text = make()
        write(path, f"{text}\n")
    return text


def shared_secret(path: Path) -> str:
    """The secret in ``path``, made on first use; several processes at once agree on one.

    Raises ``SettingsError`` where the file holds none that is hard to guess.
    """
    try:
        return _strong_secret_in(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        _write_new(draft, new_secret())
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its secret is the one
    finally:
        draft.unlink(missing_ok=True)
    return _strong_secret_in(path)


def _strong_secret_in(path: Path) -> str:
    # Never shown: what is there may be a part of the secret.
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if estimated_bits(text) < LEAST_BITS:
        message = (
            f"holds no secret of {LEAST_BITS} bits or more: it is empty, cut off or easy to guess. Put the one that "
            "was there back, from another machine or a backup; or delete the file, and a new one is made, which knows "
            "nothing that was signed with the old one."
        )
        raise SettingsError([Problem(str(path), message)])
    return text


def write(path: Path, text: str) -> None:
    """Whole or not at all: nobody ever reads half a file."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    _write_new(draft, text)
    draft.replace(path)


def _write_new(path: Path, text: str) -> None:
    """Durably: what is given a name after this is not found empty after a crash."""
    with open(path, "x", encoding="utf-8", opener=opener) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def masked() -> Iterator[None]:
    """Whatever this process creates meanwhile, is its owner's alone."""
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


def opener(path: str, flags: int) -> int:
    """For ``open``: a file that is created, is its owner's alone."""
    return os.open(path, flags, 0o600)


def close_to_others(paths: Iterable[Path]) -> None:
    """Take every right of group and others from these files and folders and all that is in them.

    What an older version or another umask has left open. Links are not followed, what belongs to somebody else stays.
    """
    for path in paths:
        _close(path)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                _close(Path(folder, name))


def _close(path: Path) -> None:
    # Gone meanwhile, or somebody else's: neither is ours to close.
    with contextlib.suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
