"""What a drill notes while it runs: what was done, what was broken, who was killed and what that left behind."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done, or that happened. Times in seconds since the epoch."""

    at: float
    text: str


@dataclass(slots=True)
class Trouble:
    """A span of time in which something was broken on purpose."""

    what: str
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was ended with SIGKILL."""

    title: str
    pid: int
    at: float


@dataclass(slots=True)
class Orphan:
    """A job that a dead worker held."""

    job_id: str
    killed_at: float
    last_seen_at: float


@dataclass(frozen=True, slots=True)
class StoreRestore:
    """The store was put back to an earlier copy of itself, and settled. Times in seconds since the epoch."""

    copied_at: float
    #: From when on the copy is there, and until when nothing may be sent.
    restored_at: float
    settled_at: float
    #: Job ids that were listed as lost.
    listed: frozenset[str]


@dataclass(slots=True)
class Notes:
    """What was seen while the deployment ran."""

    marks: list[Mark] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    orphans: dict[str, Orphan] = field(default_factory=dict)
    #: title -> the most memory it ever held, MiB
    memory: dict[str, float] = field(default_factory=dict)
    restarts: int = 0
    restore: StoreRestore | None = None
    #: Promises that a scenario saw broken while it ran.
    broken: list[str] = field(default_factory=list)

    @property
    def healed_at(self) -> float:
        """When the last trouble ended; when the drill began if there was none."""
        ends = [trouble.until or time.time() for trouble in self.troubles]
        return max(ends, default=self.marks[0].at if self.marks else time.time())
