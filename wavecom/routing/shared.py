"""The messages between a ``RedisGate`` and its scripts in Redis: ``gate_acquire``, ``gate_sync``, ``gate_override``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import Any, Protocol

from wavecom.core.lanes import Priority
from wavecom.routing.breaker import PROBES_TAKEN_SECONDS, BreakerState, ProviderHealth
from wavecom.routing.evidence import CallCounts
from wavecom.routing.gate import GateSettings
from wavecom.routing.pause import PauseRequest
from wavecom.routing.ramp import WAIT_SECONDS
from wavecom.routing.ratelimit import MEMORY_SECONDS, SHARES

#: A worker that has not reported for so long doesn't count when a limit must be divided.
WORKERS_SECONDS = 15.0
#: One hash tag, so that on a cluster all of it lives together.
KEY_PREFIX = "{wavecom:gate}:"


class Scripts(Protocol):
    """Runs an atomic step on the shared server (``wavecom.storage.redis.scripts``)."""

    def run(self, name: str, keys: Sequence[str], arguments: object) -> Any:
        """Plain JSON values in and out. Raises ``UnavailableError`` in bounded time."""
        ...


@dataclass(frozen=True, slots=True)
class StateChange:
    """A breaker's new state, or a pause that began ("throttled") or ended ("unthrottled")."""

    kind: str
    reason: str
    #: How long it will last; 0: that isn't known.
    seconds: float = 0
    #: It goes on with trouble of our account that was told of before.
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class SharedState:
    """A provider's state as the whole fleet shares it. Durations are from the moment of the reply."""

    state: BreakerState = BreakerState.CLOSED
    epoch: int = 0
    open_for_seconds: float = 0
    throttled_for_seconds: float = 0
    calls: float = 0
    failures: float = 0
    slow: float = 0
    is_ramping: bool = False
    #: Why the state last changed, and how long ago.
    reason: str = ""
    since_seconds: float = 0
    #: Of the pause that is on, if one is.
    throttled_reason: str = ""
    throttled_since_seconds: float = 0
    #: As ``ProviderHealth`` has it.
    account: str = ""
    #: The changes that our own request caused, in order.
    changes: tuple[StateChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """Permits for calls now."""

    permits: int
    is_probe: bool
    view: SharedState


@dataclass(frozen=True, slots=True)
class Denial:
    """No permit, and nothing consumed."""

    reason: str
    retry_after_seconds: float
    view: SharedState


@dataclass(frozen=True, slots=True)
class ReturnedProbe:
    """``outcome`` is "success", "failure" or "unused"; ``recipient`` as ``Breaker.return_probe`` has it."""

    name: str
    outcome: str
    recipient: str = ""
    code: str = ""
    #: What the answer said is wrong with our account; "" for nothing.
    account: str = ""


@dataclass(slots=True)
class StateDelta:
    """What one process has counted for one provider since it last reported."""

    tally: CallCounts
    epoch: int = 0
    #: Whether a call was taken, and who asked for a pause after that.
    was_taken: bool = False
    pauses: tuple[PauseRequest, ...] = ()
    #: Permits used beyond those that were granted.
    debt: int = 0
    probes: tuple[ReturnedProbe, ...] = ()


class SharedProvider:
    """One provider as the scripts know it: its keys, and its settings under the names that the scripts use."""

    def __init__(self, name: str, settings: GateSettings) -> None:
        self.keys = (f"{KEY_PREFIX}provider:{name}", f"{KEY_PREFIX}probes:{name}")
        self._breaker = asdict(settings.breaker)
        rate = settings.rate
        self._cells = rate and {
            priority.value: {
                "interval": rate.interval_seconds(priority),
                "capacity": rate.capacity(priority),
                "memory": MEMORY_SECONDS[priority],
            }
            for priority in SHARES
        }

    def acquire(self, scripts: Scripts, priority: Priority, cost: int, ahead: int, probe: str) -> Grant | Denial:
        """Ask for ``cost`` permits and up to ``ahead`` more. Raises ``UnavailableError``."""
        arguments = {
            "breaker": self._breaker,
            "cells": self._cells,
            "lane": priority.value,
            "cost": cost,
            "ahead": ahead,
            "probe": probe,
            "probes_taken_seconds": PROBES_TAKEN_SECONDS,
            "slow_start_seconds": WAIT_SECONDS,
        }
        reply = scripts.run("gate_acquire", self.keys, arguments)
        view = _view(reply["view"])
        if "reason" in reply:
            return Denial(reply["reason"], reply["retry_after"], view)
        return Grant(int(reply["granted"]), reply["is_probe"], view)

    def pause(self, scripts: Scripts, seconds: float, reason: str, *, is_followed: bool = False) -> SharedState:
        """Pause it for ``seconds``, as an operator says; ``is_followed``: as everybody reads, so that nothing changes
        where it is paused for as long already. Raises ``UnavailableError``.
        """
        return self._override(scripts, "set_pause" if is_followed else "pause", seconds, reason, 0)

    def reopen(self, scripts: Scripts, reason: str, at: datetime) -> SharedState:
        """Open it again, as an operator said ``at`` this moment (aware); nothing changes where that was done already,
        whoever did it, and what began after ``at`` goes on. Raises ``UnavailableError``.
        """
        return self._override(scripts, "reopen", 0, reason, at.timestamp())

    def _override(self, scripts: Scripts, action: str, seconds: float, reason: str, at: float) -> SharedState:
        arguments = {"breaker": self._breaker, "action": action, "seconds": seconds, "reason": reason, "at": at}
        return _view(scripts.run("gate_override", self.keys, arguments))

    def report_of(self, delta: StateDelta) -> Mapping[str, object]:
        """``delta`` under the names that the script uses."""
        return {
            "breaker": self._breaker,
            "cells": self._cells,
            "tally": {"epoch": delta.epoch, **asdict(delta.tally)},
            "was_taken": delta.was_taken,
            "pauses": [astuple(each) for each in delta.pauses],
            "debt": delta.debt,
            "probes": [astuple(each) for each in delta.probes],
        }


def sync(
    scripts: Scripts, deltas: Sequence[tuple[SharedProvider, StateDelta]], *, worker: str | None, is_leaving: bool
) -> tuple[int, list[SharedState]]:
    """Report the delta of every provider; returns how many workers live, and the views. Raises ``UnavailableError``.

    ``worker`` is counted among the living unless it ``is_leaving``; None: who asks calls no provider.
    """
    keys = [f"{KEY_PREFIX}workers", *(key for provider, _ in deltas for key in provider.keys)]
    arguments = {
        "worker": worker,
        "is_leaving": is_leaving,
        "workers_seconds": WORKERS_SECONDS,
        "providers": [provider.report_of(delta) for provider, delta in deltas],
    }
    reply = scripts.run("gate_sync", keys, arguments)
    # An empty list comes back as an empty object: Lua knows only tables.
    return int(reply["workers"]), [_view(view) for view in reply["views"]]


def health_of(name: str, view: SharedState, in_flight: int = 0) -> ProviderHealth:
    """``view`` as pages and the router read it."""
    return ProviderHealth(
        provider=name,
        state=view.state,
        epoch=view.epoch,
        open_for_seconds=view.open_for_seconds,
        throttled_for_seconds=view.throttled_for_seconds,
        calls=view.calls,
        failures=view.failures,
        slow_calls=view.slow,
        in_flight=in_flight,
        is_shared=True,
        reason=view.reason,
        throttled_reason=view.throttled_reason,
        since_seconds=view.since_seconds,
        throttled_since_seconds=view.throttled_since_seconds,
        is_ramping=view.is_ramping,
        account=view.account,
    )


def _view(reply: Mapping[str, Any]) -> SharedState:
    return SharedState(
        state=BreakerState(reply["state"]),
        epoch=int(reply["epoch"]),
        open_for_seconds=reply["open_for"],
        throttled_for_seconds=reply["throttled_for"],
        calls=reply["calls"],
        failures=reply["failures"],
        slow=reply["slow"],
        is_ramping=reply["is_ramping"],
        reason=reply["reason"],
        since_seconds=reply["since"],
        throttled_reason=reply["throttled_reason"],
        throttled_since_seconds=reply["throttled_since"],
        account=reply["account"],
        changes=tuple(StateChange(**change) for change in reply.get("changes", ())),
    )
