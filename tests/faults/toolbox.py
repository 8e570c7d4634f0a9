"""Programs that the drill needs and a machine may lack: found, or built and installed on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.faults.control import CHECKOUT
from tests.faults.house import HouseError

TOOLS = CHECKOUT / "tools" / "bin"
#: facts: 4 minutes on two cores; needs CMake and a C compiler.
_CRATE = ["secantus-mdb", "--version", "0.5.3-beta.196"]
_PROGRAM = "secantusd-rs"
_LIBFAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/local/lib/faketime")

Tell = Callable[[str], None]


def mongo_server(tell: Tell) -> Path:
    """``WAVECOM_MONGO_SERVER``, mongod, or secantusd-rs, which is built when it is missing. Raises ``HouseError``."""
    named = os.environ.get("WAVECOM_MONGO_SERVER")
    if named:
        if not os.access(named, os.X_OK):
            raise HouseError(f"WAVECOM_MONGO_SERVER names {named}, which is no program")
        return Path(named)
    found = shutil.which("mongod") or shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=TOOLS)
    return Path(found) if found else _build_mongo_server(tell)


def _build_mongo_server(tell: Tell) -> Path:
    cargo = shutil.which("cargo") or shutil.which("cargo", path=Path.home() / ".cargo" / "bin")
    if cargo is None:
        raise HouseError(
            "no MongoDB to load: install mongod, or Rust (https://rustup.rs) so that secantusd-rs can be built, "
            "or name a server in WAVECOM_MONGO_SERVER"
        )
    folder = CHECKOUT / "var" / "tools"
    tell(f"building {_PROGRAM} with cargo, once, into {TOOLS}: about 4 minutes on two cores")
    process = subprocess.Popen(
        [cargo, "install", *_CRATE, "--ignore-rust-version", "--root", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    last = ""
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            tell(f"cargo: {last}")
    if process.returncode:
        raise HouseError(f"cargo could not build {_PROGRAM} (it needs CMake and a C compiler): {last}")
    TOOLS.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(folder / "bin" / _PROGRAM, TOOLS / _PROGRAM))


def faketime_library(tell: Tell) -> Path:
    """libfaketime; installed through apt when it is missing and we may. Raises ``HouseError``."""
    found = _find_faketime()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        tell("installing the Debian package faketime, to move one process's clock")
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "faketime"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        found = _find_faketime()
    if found is None:
        raise HouseError("libfaketime is missing: apt-get install faketime (or leave the clock scenarios out)")
    return found


def _find_faketime() -> Path | None:
    # The MT variant is made for programs with threads.
    candidates = (Path(folder) / "libfaketimeMT.so.1" for folder in _LIBFAKETIME)
    return next((path for path in candidates if path.is_file()), None)
