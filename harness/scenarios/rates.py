"""Even rates: the highest that holds, one so low that nothing has company, and what lies between; and even clients."""

from __future__ import annotations

from itertools import combinations, pairwise

from harness.figures import Figures
from harness.goal_results import STEADY_RATE
from harness.measure import Meter
from harness.subject import WAVECOM
from harness.trial import Goal, Trial

#: 50,000 a minute.
TARGET_RATE = 833.0
#: Half of the machine for that.
AIM_RATE, AIM_CPU_MS = 1600.0, 1.2
LONGEST_P95_MS = 2000.0

#: On a quick tour nothing is searched for.
_QUICK_RATE = 100.0
_FIRST_RATE = 150.0
_STEP_UP = 1.5
_PRECISION = 1.06
_RAMP_SECONDS, _PROBE_SECONDS = 6.0, 10.0
#: Where a repeat begins, of what was found before, and in which steps it goes up.
_BELOW_THE_LAST, _SMALL_STEP_UP = 0.85, 1.12
_GIVE_WAY = 0.93
_LOWEST_RATE = 5.0

#: From a quiet morning to the headline; what is only there to compare with is spared what it can't carry.
_RATES = (25.0, 50.0, 100.0, 150.0, 200.0, 400.0, 800.0)
#: Played twice, after a lower rate and after a higher one.
_AGAIN = 400.0
_YARDSTICK_RATE = 150.0
#: Rate -> p95 in ms from due to the provider, and from created to recorded with the provider's 50 in it: what waiting
#: for company may cost.
_LATENCY_GOALS = {400.0: (20.0, 110.0), 800.0: (30.0, 110.0)}
#: The same for clients that send the next when the last is answered, so many of them.
_CLIENT_LATENCY_GOALS = {1: (15.0, 80.0), 8: (30.0, 110.0)}
#: Of notifications, one-time passwords above all.
_URGENT_SHARE = 0.1
_RATE_SECONDS = 12.0
#: Clients that send the next when the last is answered, and how many requests there are of all together.
_CLIENTS = ((1, 800), (2, 1_200), (4, 1_600), (8, 2_400), (16, 3_200), (64, 6_400))
#: So many of them, with others beside them that come now and then.
_MIXED_CLIENTS, _OTHERS_RATE = 4, 20.0


def steady(trial: Trial) -> None:
    """Single requests at a fixed rate."""
    options, outcome = trial.options, trial.outcome
    seconds = 6.0 if options.is_quick else 60 * options.minutes
    rate = options.rate or (_QUICK_RATE if options.is_quick else None)
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        if rate is None:
            rate, figures = find_rate(trial, meter, seconds=seconds)
            trial.rates[trial.subject.name] = rate
            outcome.values[STEADY_RATE] = round(rate, 1)
        else:
            figures = hold(trial, meter, rate, seconds)
    outcome.phases["steady"] = figures
    outcome.values["offered, per second"] = round(rate, 1)
    outcome.values["carried end to end, per second"] = figures.end_to_end_per_second
    outcome.goals += [
        Goal(
            "offered and carried end to end",
            round(rate, 1) if _holds(figures) else 0,
            TARGET_RATE,
            "/s",
            is_floor=True,
            aim=AIM_RATE,
        ),
        Goal("end-to-end p95", figures.end_to_end.p95, LONGEST_P95_MS, "ms"),
        Goal("CPU per notification", figures.cpu_ms_total, 2.4, "ms", aim=AIM_CPU_MS),
        Goal("backlog grows", float(figures.is_growing), 0),
    ]


def idle(trial: Trial) -> None:
    """One request at a time: nothing may wait for company that does not come."""
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        name = meter.paced(5, trial.options.size(40, 6), name="idle", keys=trial.options.keys)
        meter.wait_answered(name)
        meter.wait_drained()
        figures = meter.measure(name)
    trial.outcome.phases["idle"] = figures
    trial.outcome.values["accept p95, ms"] = figures.accept.p95
    trial.outcome.goals.append(Goal("accept p95", figures.accept.p95, 15, "ms"))


def levels(trial: Trial) -> None:
    """The same load at one rate after the other: what a notification costs and how long it takes."""
    outcome, is_quick = trial.outcome, trial.options.is_quick
    chosen = [rate for rate in _RATES if trial.subject.name == WAVECOM or rate <= _YARDSTICK_RATE]
    seconds = 2 if is_quick else _RATE_SECONDS
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        measured = {rate: hold(trial, meter, rate, seconds) for rate in (chosen[:2] if is_quick else chosen)}
        again = hold(trial, meter, _AGAIN, seconds) if _AGAIN in measured else None
    outcome.phases |= {f"{rate:g}/s": figures for rate, figures in measured.items()}
    outcome.pictures |= {
        "CPU ms per notification, by rate": {"CPU": [(rate, each.cpu_ms_total) for rate, each in measured.items()]},
        "p95 in ms, by rate": {
            "accept": [(rate, each.accept.p95) for rate, each in measured.items()],
            "deliver": [(rate, each.end_to_end.p95) for rate, each in measured.items()],
        },
    }
    # Less to do must not be more work: what is grouped less costs more each, but not in all.
    steps = [(each.used_cores / more.used_cores) for each, more in combinations(measured.values(), 2)]
    goals = [Goal("cores in use, at any of these rates to any higher", round(max(steps), 3), 1.25)]
    for rate, limits in _LATENCY_GOALS.items():
        if rate in measured:
            goals += _latency_goals(f"{rate:g}/s", measured[rate], *limits)
    if again is not None:
        outcome.phases[f"{_AGAIN:g}/s again"] = again
        ratio = round(measured[_AGAIN].cpu_ms_total / again.cpu_ms_total, 3)
        goals.append(Goal(f"CPU at {_AGAIN:g}/s after a lower rate, to that after a higher", ratio, 1.25))
    outcome.goals += goals


def urgent(trial: Trial) -> None:
    """One in ten is urgent: these may wait for no company, and the others stay as cheap as they are."""
    options, outcome = trial.options, trial.outcome
    rate = options.rate or (_QUICK_RATE if options.is_quick else TARGET_RATE)
    seconds = options.size(30, 4)
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        normal = meter.paced(rate * (1 - _URGENT_SHARE), seconds, name="normal", keys=options.keys)
        high = meter.paced(
            rate * _URGENT_SHARE, seconds, name="urgent", priority="high", channels=["sms"], keys=options.keys
        )
        meter.wait_answered(normal)
        meter.wait_answered(high)
        meter.wait_drained()
        others, figures = meter.measure(normal), meter.measure(high)
    outcome.phases |= {"others": others, "urgent": figures}
    # Both took place at once: what was used stands beside the many.
    outcome.costless.append("urgent")
    outcome.goals += [
        Goal("urgent, due to the provider, p95", figures.due_to_provider.p95, 15, "ms"),
        Goal("urgent, due to the provider, p99", figures.due_to_provider.p99, 30, "ms"),
    ]


def clients(trial: Trial) -> None:
    """So many clients, each of which sends the next notification when the last has been answered."""
    outcome = trial.outcome
    measured: dict[int, Figures] = {}
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        for connections, count in _CLIENTS[:3] if trial.options.is_quick else _CLIENTS:
            measured[connections] = _from_clients(trial, meter, connections, count)
        count = dict(_CLIENTS)[_MIXED_CLIENTS]
        meter.paced(_OTHERS_RATE, trial.options.size(4, 2), name="others", keys=trial.options.keys)
        mixed = _from_clients(trial, meter, _MIXED_CLIENTS, count)
    outcome.phases |= {f"{number} clients": figures for number, figures in measured.items()}
    beside = f"{_MIXED_CLIENTS} clients beside others"
    outcome.phases[beside] = mixed
    outcome.costless.append(beside)
    rates = [(float(number), figures.accepted_per_second) for number, figures in measured.items()]
    outcome.pictures["accepted per second, by clients"] = {"accepted": rates}
    steps = [more / fewer for (_, fewer), (_, more) in pairwise(rates)]
    kept = mixed.accepted_per_second / measured[_MIXED_CLIENTS].accepted_per_second
    for number, limits in _CLIENT_LATENCY_GOALS.items():
        if number in measured:
            outcome.goals += _latency_goals(
                f"{number} clients" if number > 1 else "1 client", measured[number], *limits
            )
    outcome.goals += [
        Goal("accepted, from any of these numbers to the next smaller", round(min(steps), 3), 1.0, is_floor=True),
        Goal(f"accepted from {_MIXED_CLIENTS} beside others, to alone", round(kept, 3), 0.7, is_floor=True),
    ]


def _latency_goals(load: str, figures: Figures, to_provider_ms: float, to_recorded_ms: float) -> list[Goal]:
    return [
        Goal(f"{load}, due to the provider, p95", figures.due_to_provider.p95, to_provider_ms, "ms"),
        Goal(f"{load}, created to recorded, p95", figures.created_to_recorded.p95, to_recorded_ms, "ms"),
    ]


def _from_clients(trial: Trial, meter: Meter, connections: int, count: int) -> Figures:
    name = meter.flood(trial.amount(count, 60), name="clients", connections=connections, keys=trial.options.keys)
    meter.wait_drained()
    return meter.measure(name)


def sustainable_rate(trial: Trial) -> float:
    """Notifications a second: what ``steady`` has found in this run, or the user named.

    Else a search, on a deployment of its own.
    """
    if trial.options.rate is not None:
        return trial.options.rate
    if trial.options.is_quick:
        return _QUICK_RATE
    if trial.subject.name not in trial.rates:
        with trial.deployment() as deployment:
            meter = trial.meter(deployment)
            trial.warm_up(meter)
            trial.rates[trial.subject.name] = find_rate(trial, meter, seconds=_PROBE_SECONDS)[0]
    return trial.rates[trial.subject.name]


def find_rate(trial: Trial, meter: Meter, *, seconds: float) -> tuple[float, Figures]:
    """The highest rate that holds for ``seconds``, to about 6 %, and its figures.

    Short trials find it: upwards in large steps, a repeat's in small ones from where it was last; then between the last
    that held and the first that did not. What they found must then hold for all of ``seconds``.
    """
    last = trial.rates.get(trial.subject.name)
    first, step = (last * _BELOW_THE_LAST, _SMALL_STEP_UP) if last else (_FIRST_RATE, _STEP_UP)
    low, high = 0.0, first
    while _holds(hold(trial, meter, high, _PROBE_SECONDS if last else _RAMP_SECONDS)):
        low, high = high, high * step
    low = low or first / 3
    while high / low > _PRECISION:
        middle = (low * high) ** 0.5
        if _holds(hold(trial, meter, middle, _PROBE_SECONDS)):
            low = middle
        else:
            high = middle
    while True:
        figures = hold(trial, meter, low, seconds)
        if _holds(figures) or low < _LOWEST_RATE:
            return low, figures
        low *= _GIVE_WAY


def hold(trial: Trial, meter: Meter, rate: float, seconds: float) -> Figures:
    """``rate`` for ``seconds``, drained and measured."""
    meter.label(f"{rate:,.0f}/s for {seconds:g} s")
    name = meter.paced(rate, seconds, name="steady", keys=trial.options.keys)
    meter.wait_answered(name)
    meter.wait_drained()
    return meter.measure(name)


def _holds(figures: Figures) -> bool:
    """The rate was carried: all taken, in time, nothing piling up."""
    return (
        figures.accepted == figures.offered
        and figures.is_whole
        and not figures.is_growing
        and figures.end_to_end.p95 <= LONGEST_P95_MS
        and figures.accept.p95 <= LONGEST_P95_MS
    )
