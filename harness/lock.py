"""One benchmark at a time in a home: the second would delete the data under the servers of the first."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from wavecom.errors import ConfigurationError, Problem


@contextlib.contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Be the only benchmark in ``home``; raises ``ConfigurationError``, with the other's pid, when one runs there.

    The lock is the kernel's: it ends with this process however that ends.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "bench.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise ConfigurationError(
                [
                    Problem(
                        "bench",
                        f"another benchmark runs in {home} (pid {pid}), and this one would delete its servers' data; "
                        "wait for it, or set WAVECOM_HOME to a folder of its own",
                    )
                ]
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)
