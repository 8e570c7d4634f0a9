"""How a deployment is built for a drill, and how its providers behave on their best day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.provider_server import Behaviour, Fault, FaultKind
from harness.release import Release
from harness.subject import MONGODB, RABBITMQ, REDIS, ApplicationSetup, ProviderPlan

SERVERS = (RABBITMQ, REDIS, MONGODB)
FIRST, SECOND = "first", "second"

#: The longest that one provider call may take; short, so that a hanging provider shows its effects soon.
PROVIDER_TIMEOUT_SECONDS = 3
PROVIDER_RATE = 200
CONCURRENCY = 16
#: A worker has its start behind it by then, and work in its hands.
SETTLED_SECONDS = 6

#: What every provider does to a few requests on its best day.
NOISE = (
    Fault(FaultKind.STATUS, 0.006, status=503),
    Fault(FaultKind.STATUS, 0.004, status=500),
    Fault(FaultKind.STATUS, 0.0005, status=429, retry_after_seconds=1),
    Fault(FaultKind.STATUS, 0.001, status=502),
    Fault(FaultKind.RESET, 0.002),
    Fault(FaultKind.EARLY_RESET, 0.002),
    Fault(FaultKind.SILENCE, 0.002),
)
HEALTHY = Behaviour(0.05, NOISE)


#: Settings that every drill is played with; whatever else is set in our environment holds as well.
DRILL_SETTINGS = {
    "WAVECOM_WORKER_CONCURRENCY": str(CONCURRENCY),
    "WAVECOM_RETRY_BASE_SECONDS": "1",
    "WAVECOM_RETRY_CAP_SECONDS": "8",
}


class DrillError(Exception):
    """Something that the drill itself needs does not work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a deployment is built."""

    providers: Sequence[str] = (FIRST,)
    workers: int = 2
    rate: float = 110.0
    seed: int = 0
    #: Multiplies every duration of a scenario.
    pace: float = 1.0
    #: The process whose clock can be moved.
    fake_clock_of: str | None = None
    faketime_library: Path | None = None
    #: Providers report what became of messages.
    has_receipts: bool = False
    #: The client that submits has fifty endpoints, which are sent what becomes of its notifications.
    has_callbacks: bool = False
    #: RabbitMQ is three nodes, with a proxy between every two of them.
    has_cluster: bool = False
    #: Several are behind nginx.
    webs: int = 1
    #: Another release than the one that is checked out; and whether the processes are first of that one.
    other_release: Release | None = None
    starts_with_other: bool = False

    @property
    def shape(self) -> ApplicationSetup:
        """The application, told of the providers."""
        provider = ProviderPlan(
            rate_per_second=PROVIDER_RATE,
            timeout_seconds=PROVIDER_TIMEOUT_SECONDS,
            has_receipts=self.has_receipts,
        )
        return ApplicationSetup(dict.fromkeys(self.providers, provider), workers=self.workers, webs=self.webs)
