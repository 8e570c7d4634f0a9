"""Programs that the drill needs and a machine may lack: found, or built and installed on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.programs import mongo_server
from tests.faults.plan import DrillError

__all__ = ["faketime_library", "mongo_server"]

_LIBFAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/local/lib/faketime")

OnProgress = Callable[[str], None]


def faketime_library(on_progress: OnProgress) -> Path:
    """libfaketime; installed through apt when it is missing and we may. Raises ``DrillError``."""
    found = _find_faketime()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        on_progress("installing the Debian package faketime, to move one process's clock")
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "faketime"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        found = _find_faketime()
    if found is None:
        raise DrillError("libfaketime is missing: apt-get install faketime (or leave the clock scenarios out)")
    return found


def _find_faketime() -> Path | None:
    # The MT variant is made for programs with threads.
    candidates = (Path(folder) / "libfaketimeMT.so.1" for folder in _LIBFAKETIME)
    return next((path for path in candidates if path.is_file()), None)
