"""One trial: a scenario, played once with one subject; and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.deployment import Deployment
from harness.display import Display
from harness.figures import Figures
from harness.measure import Meter
from harness.speed import SpeedProbe
from harness.subject import MAIN, WAVECOM, ApplicationSetup, ProviderPlan, Subject

#: Of an amount, as much is enough for those who are there to compare with: rates and costs don't depend on it.
_YARDSTICK_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose."""

    #: A tour of everything in small; its figures say that it works, no more.
    is_quick: bool = False
    #: Notifications a second, where a scenario would search for the highest or derive it from that.
    rate: float | None = None
    #: How long the steady rate is held.
    minutes: float = 1.0
    latency_seconds: float = 0.05
    #: The share of the provider's calls that it answers 503.
    failing: float = 0.0
    #: The share of the requests that carry an Idempotency-Key.
    keys: float = 0.5
    mongo_program: Path | None = None
    #: Servers to use instead of private ones: AMQP_URL, REDIS_URL, MONGODB_URI.
    addresses: Mapping[str, str] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        """``full``, or ``quick`` on a quick tour: a number of whatever is asked for."""
        return quick if self.is_quick else full


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and the limit that it is held against. ``limit`` is the most, or with ``is_floor`` the least.

    ``aim`` is what we would rather see; nothing is missed when it is not reached.
    """

    what: str
    value: float
    limit: float
    unit: str = ""
    is_floor: bool = False
    aim: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the value is within the limit."""
        return self.is_met_by(self.value)

    def is_met_by(self, value: float, limit: float | None = None) -> bool:
        """Whether ``value`` would be within the limit, or within this other one."""
        limit = self.limit if limit is None else limit
        return value >= limit if self.is_floor else value <= limit


@dataclass(slots=True)
class ScenarioResult:
    """What one scenario came to for one subject, in one repeat."""

    scenario: str
    subject: str
    #: Name of a phase -> its figures.
    phases: dict[str, Figures] = field(default_factory=dict)
    #: What the scenario is about, in its own words -> value.
    values: dict[str, float] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    #: Phases beside which others went on: what they cost alone can't be said.
    costless: list[str] = field(default_factory=list)
    #: What happened from when until when, seconds since the beginning of the first phase.
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    #: Name of a picture -> curves: name -> (x, y).
    pictures: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    seconds: float = 0.0
    #: Why it could not be run to its end; empty: it was.
    failure: str = ""

    @property
    def is_whole(self) -> bool:
        """Everything that was accepted was received exactly once, in every phase."""
        return not self.failure and all(figures.is_whole for figures in self.phases.values())


class SharedDeployment:
    """A context manager: keeps the deployment of a scenario open for the next, on a quick tour."""

    def __init__(self) -> None:
        self._deployment: Deployment | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, wanted: Deployment) -> Deployment:
        """``wanted``, or the one that stands already if it is alike; closes that if it isn't."""
        kept = self._deployment
        if kept is not None and kept.subject is wanted.subject and kept.shape == wanted.shape:
            kept.reset_behaviour()
            return kept
        self.close()
        self._deployment = wanted.__enter__()
        return wanted

    def close(self) -> None:
        """Close what is kept. May be called twice."""
        if self._deployment is not None:
            self._deployment.close()
            self._deployment = None


class Trial:
    """What a scenario works with: deployments of the subject, meters, the user's options."""

    def __init__(
        self,
        home: Path,
        subject: Subject,
        options: Options,
        display: Display,
        scenario: str,
        rates: MutableMapping[str, float],
        shared: SharedDeployment,
        probe: SpeedProbe,
    ) -> None:
        self.subject = subject
        self.options = options
        #: Subject -> the highest rate that it held in this run.
        self.rates = rates
        self.outcome = ScenarioResult(scenario, subject.name)
        self._home = home
        self._shared = shared
        self._probe = probe
        self._display = display

    @contextmanager
    def deployment(
        self, shape: ApplicationSetup | None = None, *, with_workers: bool = True, beside: bool = False
    ) -> Iterator[Deployment]:
        """Everything started and ready; empty, save on a quick tour. Ended afterwards, its logs kept.

        ``beside``: a second one, while the first stands; only where servers are not the user's own.
        """
        options = self.options
        shape = shape or ApplicationSetup({MAIN: ProviderPlan(options.latency_seconds, options.failing)})
        deployment = Deployment(
            self._home / self.subject.name.lower() / (self.outcome.scenario + ("-beside" if beside else "")),
            self.subject,
            shape,
            mongo_program=options.mongo_program,
            progress=self._display.progress,
            with_workers=with_workers,
            addresses=options.addresses,
        )
        if options.is_quick and with_workers and not beside:
            yield self._shared.open(deployment)
            return
        with deployment:
            yield deployment

    def meter(self, deployment: Deployment) -> Meter:
        """Measures phases on ``deployment``, and shows how far they are."""
        return Meter(deployment, self._watch, self._probe)

    def _watch(self, what: str, begun: int, accepted: int, received: int) -> None:
        self._display.progress(
            f"{what}: {begun:,} submitted, {accepted:,} accepted, {received:,} received by the provider"
        )

    def amount(self, full: int, quick: int, *, share: float = _YARDSTICK_SHARE) -> int:
        """So many notifications: ``full``, ``quick`` on a quick tour; only a share of ``full`` for a yardstick."""
        is_wavecom = self.subject.name == WAVECOM
        return self.options.size(full if is_wavecom else round(full * share), quick)

    def progress(self, text: str) -> None:
        """What is being done now."""
        self._display.progress(text)

    def warm_up(self, meter: Meter) -> None:
        """Connections are made, code is loaded, indexes exist: nobody's latency is that of the first requests."""
        name = meter.paced(50, 1 if self.options.is_quick else 3, name="warm-up", keys=0.5)
        meter.wait_answered(name)
        meter.wait_drained()


RunScenario = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done and measured, and which subjects it needs."""

    name: str
    what: str
    run: RunScenario
    needs_batch: bool = False
    needs_limits: bool = False
    needs_receipts: bool = False
    needs_templates: bool = False
    #: Too long to be repeated, and not worth it: what it shows hardly depends on the machine's mood.
    is_run_once: bool = False
    #: A goal is a ratio to the others, so they are repeated as well; elsewhere they are measured once.
    is_comparison: bool = False

    def is_possible_for(self, subject: Subject) -> bool:
        """Whether ``subject`` has what it is about."""
        return (
            (subject.has_batch or not self.needs_batch)
            and (subject.has_limits or not self.needs_limits)
            and (subject.has_receipts or not self.needs_receipts)
            and (subject.has_templates or not self.needs_templates)
        )

    def times(self, subject: Subject, repeats: int) -> int:
        """How often it is run with ``subject`` in a run of so many repeats."""
        if not self.is_possible_for(subject):
            return 0
        is_repeated = not self.is_run_once and (self.is_comparison or subject.name == WAVECOM)
        return repeats if is_repeated else 1
