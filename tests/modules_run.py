"""Which modules of wavecom run while something is done: how many places a reader has to visit to follow it.

``modules_run(call)`` is for tests, which hold the numbers that docs/architecture.md states.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import wavecom

_ROOT = Path(wavecom.__file__).parent


def modules_run(call: Callable[[], object]) -> list[str]:
    """The modules of wavecom in which a function runs while ``call`` does, in this thread or in one that it starts.

    By their dotted names below ``wavecom``, sorted; a package stands for its ``__init__``. Imports that ``call`` makes
    count as well: call it once before, so that they have been made. Threads that run already are not seen.
    """
    files: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    paths = [Path(file) for file in files if Path(file).is_relative_to(_ROOT)]
    return sorted(_name(path) for path in paths)


def _name(path: Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
