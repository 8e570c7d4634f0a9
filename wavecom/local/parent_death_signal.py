"""Run a program that dies with whoever started it: ``parent_death_signal.py SIGNAL PARENT_PID PROGRAM ...``

A script of its own, run by path and without site-packages, so that a child costs one cheap exec instead of a
``preexec_fn``, which Python can't make safe beside threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(death_signal: int, parent: int, command: list[str]) -> None:
    """Become ``command``. The kernel then sends ``death_signal`` when the thread that started us ends (Linux only)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if death_signal and sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
