"""What groups of processes cost: processor time and memory, read from /proc (Linux)."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group has used since its processes began (seconds), and holds now (MiB; ``processes``: of each alone)."""

    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    processes: tuple[float, ...] = ()


#: Of a group that has not been started.
NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Sample:
    """All groups at one moment, and for how many core-seconds everything but this very process has kept the machine."""

    groups: Mapping[str, Usage]
    others_seconds: float


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    #: Its own time and that of its children that have ended.
    cpu_seconds: float
    memory_mib: float


def sample(roots: Mapping[str, Sequence[int]]) -> Sample:
    """``roots``: the processes that each group was started with; all that descends from them counts."""
    processes = dict(_all_processes())
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, process in processes.items():
        children[process.parent].append(pid)
    groups = {}
    for group, pids in roots.items():
        tree = [processes[pid] for root in pids for pid in _descent(root, children) if pid in processes]
        memory = tuple(process.memory_mib for process in tree)
        groups[group] = Usage(sum(process.cpu_seconds for process in tree), sum(memory), memory)
    return Sample(groups, _machine_seconds() - time.process_time())


def _all_processes() -> Iterator[tuple[int, _Process]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold anything: what follows the last one is regular.
            values = (folder / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        except OSError:
            continue
        ticks = sum(int(value) for value in values[11:15])
        yield (
            int(folder.name),
            _Process(int(values[1]), ticks / _TICKS_PER_SECOND, int(values[21]) * _PAGE_BYTES / _MIB),
        )


def _descent(root: int, children: Mapping[int, Sequence[int]]) -> Iterator[int]:
    yield root
    for child in children.get(root, ()):
        yield from _descent(child, children)


def _machine_seconds() -> float:
    with Path("/proc/stat").open(encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = (
            int(value) for value in file.readline().split()[1:]
        )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND
