"""What a reader must know of the machine, and of everything that ran on it, to believe and repeat a measurement."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from wavecom.settings import default_home

_LIBRARIES = ("celery", "kombu", "amqp", "pymongo", "redis", "flask", "granian")


def code() -> str:
    """The commit that this checkout stands at; empty outside of one."""
    return output(["git", "-C", str(default_home().parent), "describe", "--always", "--dirty", "--abbrev=12"])


def machine() -> str:
    """Processor, memory, kernel."""
    return f"{os.cpu_count()} cores ({_processor()}), {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}"


def libraries() -> str:
    """Python, how it was built, and what matters of what it has installed."""
    python = f"{platform.python_version()} ({python_build(sysconfig.get_config_vars())})"
    return ", ".join([python, *(f"{name} {version(name)}" for name in _LIBRARIES)])


def python_build(variables: Mapping[str, object]) -> str:
    """Whether an interpreter of these ``sysconfig`` variables was optimised with a profile, and at link time.

    Worth knowing: a plain build takes a third more processor time. Builds name their options, save Debian's and
    Ubuntu's, which build with a profile by other means and take its flags out of what they install: theirs is the
    only PGO_PROF_USE_FLAG that is empty beside a PGO_PROF_GEN_FLAG. tools/bootstrap asks the same.
    """
    arguments = str(variables.get("CONFIG_ARGS") or "")
    words = []
    if "--enable-optimizations" in arguments:
        words.append("profile-guided")
    elif variables.get("PGO_PROF_GEN_FLAG") and not variables.get("PGO_PROF_USE_FLAG"):
        words.append("profile-guided by its distribution")
    else:
        words.append("a plain build, without profile-guided optimisation")
    if re.search(r"--with-lto(?!=no)", arguments):
        words.append("link-time optimised")
    return ", ".join(words)


def servers(mongo_program: Path | None) -> dict[str, str]:
    """Versions of the programs that are started."""
    found = {"RabbitMQ": _rabbitmq_version(), "Redis": _first(r"v=(\S+)", output(["redis-server", "--version"]))}
    if mongo_program is not None:
        number = _first(r"(\d+\.\d+\.\S+)", output([str(mongo_program), "--version"]))
        found["MongoDB server"] = f"{mongo_program.name} {number}"
    return found


def output(command: Sequence[str]) -> str:
    """What ``command`` prints; empty when there is no such program."""
    try:
        done = subprocess.run(  # noqa: S603 - our own short list of commands
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else text.partition("\n")[0]


def _rabbitmq_version() -> str:
    program = shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    for folder in Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"):
        return folder.name.partition("-")[2]
    return program or "unknown"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return _first(r"model name\s*:\s*(.+)", text)


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
