"""What processes cost: two workers against one, and memory over many notifications."""

from __future__ import annotations

import time

from harness.figures import cost_ratio_at_full_speed
from harness.scenarios.rates import sustainable_rate
from harness.subject import MAIN, WEB, WORKER, ApplicationSetup, ProviderPlan
from harness.trial import Goal, Trial

#: So short that a worker's threads are never all waiting for the provider: the processor is the limit.
_SHORT_LATENCY_SECONDS = 0.005
_SAMPLE_SECONDS = 5.0
#: An hour of the reference application would tell no more than some minutes of it.
_YARDSTICK_SHARE = 0.05


def workers(trial: Trial) -> None:
    """The same spike for one worker process and for two."""
    count = trial.amount(20_000, 800)
    outcome = trial.outcome
    for number, phase in ((1, "one worker"), (2, "two workers")):
        with trial.deployment(
            ApplicationSetup({MAIN: ProviderPlan(_SHORT_LATENCY_SECONDS)}, workers=number)
        ) as deployment:
            meter = trial.meter(deployment)
            trial.warm_up(meter)
            name = meter.flood(count, name="spike", keys=trial.options.keys)
            meter.wait_answered(name)
            meter.wait_drained()
            figures = outcome.phases[phase] = meter.measure(name)
        outcome.values[f"CPU per notification, {phase}, ms"] = figures.cpu_ms_total
        outcome.values[f"end to end, {phase}, per second"] = figures.end_to_end_per_second
    one, two = outcome.phases["one worker"], outcome.phases["two workers"]
    outcome.values["CPU of two workers, to that of one, at full speed"] = cost_ratio_at_full_speed(two, one)
    outcome.goals.append(Goal("CPU of two workers, to that of one", round(two.cpu_ms_total / one.cpu_ms_total, 3), 1.1))


def memory(trial: Trial) -> None:
    """A long run at four fifths of what can be carried, with the memory of web and workers read all the time."""
    count = trial.amount(500_000, 1_500, share=_YARDSTICK_SHARE)
    rate = 0.8 * sustainable_rate(trial)
    outcome = trial.outcome
    curves: dict[str, list[tuple[float, float]]] = {WEB: [], WORKER: []}
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        name = meter.paced(rate, count / rate, name="long", keys=trial.options.keys)
        while not meter.is_answered(name):
            usage = deployment.sample().groups
            for group, curve in curves.items():
                curve.append((meter.accepted(name), max(usage[group].processes, default=0.0)))
            time.sleep(1 if trial.options.is_quick else _SAMPLE_SECONDS)
        meter.wait_drained()
        figures = outcome.phases["long"] = meter.measure(name)
    outcome.goals.append(Goal("accepted", figures.accepted, count, "notifications", is_floor=True))
    outcome.pictures["MiB of the largest process, by notifications"] = curves
    for group, limit in ((WEB, 150), (WORKER, 200)):
        trend = slope(curves[group][len(curves[group]) // 2 :]) * 100_000
        largest = max(mib for _, mib in curves[group])
        outcome.values[f"{group}: largest process, MiB"] = round(largest, 1)
        outcome.values[f"{group}: growth in the second half, MiB per 100,000"] = round(trend, 2)
        outcome.goals.append(Goal(f"{group}: largest process", round(largest, 1), limit, "MiB"))
        outcome.goals.append(Goal(f"{group}: growth in the second half", round(trend, 2), 1, "MiB per 100,000"))


def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line nearest to ``points``; 0 when they say nothing."""
    count = len(points)
    mean_x, mean_y = (sum(point[axis] for point in points) / max(1, count) for axis in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
