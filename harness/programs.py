"""Programs that the benchmark needs and a machine may lack."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from wavecom.errors import ConfigurationError, Problem
from wavecom.settings import default_home

#: Where a checkout keeps programs that are built for it.
TOOLS = default_home().parent / "tools" / "bin"

#: Built in 4 minutes on two cores; needs CMake and a C compiler.
_CRATE = ["secantus-mdb", "--version", "0.5.3-beta.196"]
_PROGRAM = "secantusd-rs"

OnProgress = Callable[[str], None]


def mongo_server(on_progress: OnProgress) -> Path:
    """``WAVECOM_MONGO_SERVER``, mongod, or secantusd-rs, which is built when it is missing.

    Not the embedded Python server: it costs many times what a MongoDB does, and no figure would mean anything. Raises
    ``ConfigurationError``.
    """
    named = os.environ.get("WAVECOM_MONGO_SERVER")
    if named:
        path = shutil.which(named)
        if path is None:
            raise ConfigurationError([Problem("WAVECOM_MONGO_SERVER", f"names {named}, which is no program")])
        return Path(path).absolute()
    found = shutil.which("mongod") or shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=TOOLS)
    return Path(found).absolute() if found else _build_mongo_server(on_progress)


def _build_mongo_server(on_progress: OnProgress) -> Path:
    cargo = shutil.which("cargo") or shutil.which("cargo", path=Path.home() / ".cargo" / "bin")
    if cargo is None:
        raise ConfigurationError(
            [
                Problem(
                    "MongoDB",
                    "there is none to load: install mongod, or Rust (https://rustup.rs) so that secantusd-rs can be "
                    "built, or name a server in WAVECOM_MONGO_SERVER",
                )
            ]
        )
    folder = default_home() / "tools"
    on_progress(f"building {_PROGRAM} with cargo, once, into {TOOLS}: about 4 minutes on two cores")
    process = subprocess.Popen(  # noqa: S603 - cargo is the machine's own
        [cargo, "install", *_CRATE, "--ignore-rust-version", "--root", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    last = ""
    with process:
        for line in process.stdout or ():
            last = line.strip() or last
            on_progress(f"cargo: {last}")
    if process.returncode:
        message = f"cargo could not build {_PROGRAM} (it needs CMake and a C compiler): {last}"
        raise ConfigurationError([Problem("MongoDB", message)])
    TOOLS.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(folder / "bin" / _PROGRAM, TOOLS / _PROGRAM))
