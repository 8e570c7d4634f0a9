"""Every scenario: what it asks of the system, and what it is held against."""

from __future__ import annotations

from wavecom.bench.measure import Figures, Meter
from wavecom.bench.trial import Goal, Scenario, Trial

#: 50,000 a minute.
TARGET_RATE = 833.0
LONGEST_P95_MS = 2000.0

_FIRST_RATE = 150.0
_STEP_UP = 1.4
_PRECISION = 1.06
_PROBE_SECONDS = 12.0
_GIVE_WAY = 0.93


def _holds(figures: Figures) -> bool:
    """The rate was carried: all taken, in time, nothing piling up."""
    return (
        figures.accepted == figures.offered
        and figures.is_whole
        and not figures.is_growing
        and figures.end_to_end.p95 <= LONGEST_P95_MS
        and figures.accept.p95 <= LONGEST_P95_MS
    )


def _hold(trial: Trial, meter: Meter, rate: float, seconds: float) -> Figures:
    name = meter.paced(rate, seconds, name="steady", keys=trial.options.keys)
    meter.wait_answered(name)
    meter.wait_drained()
    return meter.measure(name)


def find_rate(trial: Trial, meter: Meter, *, seconds: float) -> tuple[float, Figures]:
    """The highest rate that holds for ``seconds``, to about 6 %, and its figures."""
    probe_seconds = 3.0 if trial.options.is_quick else _PROBE_SECONDS
    low, high = 0.0, _FIRST_RATE
    while _holds(_hold(trial, meter, high, probe_seconds)):
        low, high = high, high * _STEP_UP
    low = low or _FIRST_RATE / 3
    while high / low > _PRECISION:
        middle = (low * high) ** 0.5
        if _holds(_hold(trial, meter, middle, probe_seconds)):
            low = middle
        else:
            high = middle
    while True:
        figures = _hold(trial, meter, low, seconds)
        if _holds(figures) or low < 5:
            return low, figures
        low *= _GIVE_WAY


def steady(trial: Trial) -> None:
    """Single requests at a fixed rate."""
    options, outcome = trial.options, trial.outcome
    seconds = 6.0 if options.is_quick else 60 * options.minutes
    rate = options.rate or (100.0 if options.is_quick else None)
    with trial.stage() as stage:
        meter = trial.meter(stage)
        trial.warm_up(meter)
        if rate is None:
            rate, figures = find_rate(trial, meter, seconds=seconds)
            outcome.values["highest steady rate, per second"] = round(rate, 1)
        else:
            figures = _hold(trial, meter, rate, seconds)
    outcome.phases["steady"] = figures
    outcome.values["offered, per second"] = round(rate, 1)
    outcome.values["carried end to end, per second"] = figures.end_to_end_per_second
    outcome.goals += [
        Goal("carried end to end", figures.end_to_end_per_second, TARGET_RATE * 0.99, "/s", is_floor=True),
        Goal("end-to-end p95", figures.end_to_end.p95, LONGEST_P95_MS, "ms"),
        Goal("CPU per notification", figures.cpu_ms_total, 2.4, "ms"),
        Goal("backlog grows", float(figures.is_growing), 0),
    ]


def spike(trial: Trial) -> None:
    """As many single requests as are taken, all at once; then the backlog is worked off."""
    count = trial.options.size(50_000, 1_500)
    outcome = trial.outcome
    with trial.stage() as stage:
        meter = trial.meter(stage)
        trial.warm_up(meter)
        name = meter.flood(count, name="spike", keys=trial.options.keys)
        meter.wait_answered(name)
        taken = meter.cost_so_far(name)
        meter.wait_drained()
        figures = meter.measure(name)
    outcome.phases["spike"] = figures
    outcome.values |= {
        "accepted in, seconds": figures.accept_seconds,
        "accepted, per second": figures.accepted_per_second,
        "drained after, seconds": figures.seconds,
        "end to end, per second": figures.end_to_end_per_second,
        "CPU of accepting, ms": taken,
        "refused": figures.offered - figures.accepted,
    }
    outcome.goals += [
        Goal("accepted in", figures.accept_seconds * 50_000 / count, 25, "s for 50,000"),
        Goal("refused", figures.offered - figures.accepted, 0),
        Goal("accept p99", figures.accept.p99, 500, "ms"),
    ]


SCENARIOS = (
    Scenario("steady", "single requests at the highest rate that holds for a minute", steady),
    Scenario("spike", "50,000 single requests as fast as they are taken, then the backlog is worked off", spike),
)


def find(name: str) -> Scenario | None:
    """By name."""
    return next((scenario for scenario in SCENARIOS if scenario.name == name), None)
