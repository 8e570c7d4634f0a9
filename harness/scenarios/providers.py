"""Providers that fail or dawdle."""

from __future__ import annotations

import time

from harness.deployment import Deployment, DeploymentError
from harness.figures import Figures, spent_between
from harness.subject import MAIN, ApplicationSetup, ProviderPlan
from harness.trial import Goal, Trial

_LIMIT = 200.0
_OFFERED = 120.0
#: Twice what the arithmetic says: 60 s of backlog, worked off with the 80/s that the limit leaves beside the load.
_RECOVERY_SECONDS = 180.0
#: A job that was refused four times may rest for some minutes; what comes later than that does not come.
_PATIENCE_SECONDS = 150.0

#: A breaker stays open for a minute at most.
_FLOWING_SECONDS = 180.0

#: One-time passwords a second beside a campaign.
_OTP_RATE = 10.0

FAST, SLOW = "fast", "slow"


def storm(trial: Trial) -> None:
    """Half of the storm 503, half 429. When it is over, the backlog must not be let loose on the provider."""
    quick, outcome = trial.options.is_quick, trial.outcome
    limit = _LIMIT / 4 if quick else _LIMIT
    offered = limit * _OFFERED / _LIMIT
    before, half, after = (2, 2, 3) if quick else (10, 30, 50)
    latency = trial.options.latency_seconds
    shape = ApplicationSetup({MAIN: ProviderPlan(latency, rate_per_second=limit)})
    with trial.deployment(shape) as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        name = meter.paced(offered, before + 2 * half + after, name="storm", keys=trial.options.keys)
        began = time.monotonic()
        meter.wait(name, before)
        deployment.behave(MAIN, latency_seconds=latency, failing=1.0, status=503)
        meter.wait(name, half)
        deployment.behave(MAIN, latency_seconds=latency, failing=1.0, status=429, retry_after_seconds=1)
        meter.wait(name, half)
        deployment.behave(MAIN, latency_seconds=latency)
        healed = time.monotonic()
        calls_in_storm = deployment.provider.ask("progress")["refused"]
        meter.wait_answered(name)
        meter.wait_drained(still_seconds=10 if quick else _PATIENCE_SECONDS)
        figures = meter.measure(name)
        calls = deployment.provider.ask("calls", provider=MAIN, since=began)
        caught_up = meter.caught_up(name, healed)
    outcome.phases["storm"] = figures
    outcome.spans.append(("the provider refuses everything", before, before + 2 * half))
    outcome.values |= {
        "the provider's limit, per second": limit,
        "busiest second at the provider": calls["busiest"],
        "calls refused in the storm": calls_in_storm,
        "all that was accepted before had arrived after healing, seconds": round(caught_up, 1),
        "lost": figures.lost,
    }
    outcome.goals += [
        Goal("busiest second at the provider", calls["busiest"], round(1.2 * limit, 1), "calls"),
        Goal("all that had waited has arrived after", round(caught_up, 1), _RECOVERY_SECONDS, "s"),
        Goal("received twice", figures.repeated, 0),
        Goal("lost", figures.lost, 0),
    ]


def slow(trial: Trial) -> None:
    """First the fast provider alone, then with a slow one beside it that has more to do than it can."""
    quick, outcome = trial.options.is_quick, trial.outcome
    seconds, rate = (4, 20.0) if quick else (30, 100.0)
    shape = ApplicationSetup(
        {
            FAST: ProviderPlan(0.05, channels=("sms",)),
            SLOW: ProviderPlan(2.0, channels=("email", "push")),
        }
    )
    with trial.deployment(shape) as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        alone = meter.paced(rate, seconds, name="alone", channels=["sms"], keys=trial.options.keys)
        meter.wait_answered(alone)
        meter.wait_drained()
        without = meter.measure(alone)
        slow_ones = meter.paced(rate / 5, seconds + 2, name="slow", channels=["email"], keys=trial.options.keys)
        meter.wait(slow_ones, 2)
        beside = meter.paced(rate, seconds, name="beside", channels=["sms"], keys=trial.options.keys)
        meter.wait_answered(beside)
        meter.wait_answered(slow_ones)
        meter.wait_drained()
        with_slow, slow_figures = meter.measure(beside), meter.measure(slow_ones)
    outcome.phases |= {"fast alone": without, "fast beside slow": with_slow, "slow": slow_figures}
    outcome.costless += ["fast beside slow", "slow"]
    outcome.values |= {
        "fast alone, end-to-end p95, ms": without.end_to_end.p95,
        "fast beside slow, end-to-end p95, ms": with_slow.end_to_end.p95,
    }
    outcome.goals.append(Goal("end-to-end p95 of the fast one grows by", _growth(without, with_slow), 100, "ms"))


def waiting(trial: Trial) -> None:
    """What a campaign costs while it can't go out, and what stands in the way of one-time passwords: nothing should.

    First nobody wants anything; then the campaign waits behind an open breaker; then, the provider well again, behind
    its rate limit, while one-time passwords are sent through the same provider. Raises ``DeploymentError`` where the
    campaign stays behind the breaker.
    """
    quick, outcome = trial.options.is_quick, trial.outcome
    count, seconds = trial.options.size(50_000, 1_000), trial.options.size(20, 4)
    latency = trial.options.latency_seconds
    with trial.deployment(ApplicationSetup({MAIN: ProviderPlan(latency, rate_per_second=_LIMIT)})) as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        idle = _load(deployment, seconds)
        deployment.behave(MAIN, latency_seconds=latency, failing=1.0, status=503)
        bulk = meter.flood(count, name="bulk", channels=["sms"], priority="bulk", keys=0, batch=100)
        meter.wait_answered(bulk)
        # The breaker has opened for its longest, and the first attempts have been recorded.
        time.sleep(3 if quick else 20)
        refused = deployment.provider.ask("progress")["refused"]
        shut = _load(deployment, seconds)
        probes = deployment.provider.ask("progress")["refused"] - refused
        deployment.behave(MAIN, latency_seconds=latency)
        # Until the breaker has found out, and the campaign is at the provider's limit.
        flowing_from = deployment.provider.ask("progress")["received"] + 2 * _LIMIT
        deadline = time.monotonic() + _FLOWING_SECONDS
        while deployment.provider.ask("progress")["received"] < flowing_from:
            if time.monotonic() > deadline:
                raise DeploymentError(f"the campaign did not flow again within {_FLOWING_SECONDS:g} s")
            time.sleep(0.5)
            deployment.check()
        otp = meter.paced(_OTP_RATE, seconds, name="otp", channels=["sms"], priority="high", keys=1)
        meter.wait_answered(otp)
        time.sleep(2)
        passwords, left = meter.measure(otp), meter.backlog()
    outcome.phases["one-time passwords"] = passwords
    outcome.costless.append("one-time passwords")
    outcome.values |= {
        "waiting": count,
        "calls while the breaker was open": probes,
        **{f"idle, {group}, ms of CPU a second": value for group, value in idle.items()},
        **{f"breaker open, {group}, ms of CPU a second": value for group, value in shut.items()},
        "still waiting after the last password": left,
        "accept to provider p95 of passwords, ms": passwords.end_to_end.p95,
    }
    outcome.goals += [
        Goal("waiting costs more than idling", round(sum(shut.values()) - sum(idle.values()), 1), 50, "ms/s"),
        Goal("accept to provider p95 of passwords", passwords.end_to_end.p95, 1000, "ms"),
    ]


def _load(deployment: Deployment, seconds: float) -> dict[str, float]:
    """Group -> milliseconds of processor time a second, of what WaveCom and its servers are made of."""
    before = deployment.sample()
    time.sleep(seconds)
    spent = spent_between(before, deployment.sample())
    return {
        group: round(used * 1000 / seconds, 1) for group, used in spent.items() if group not in {"load", "provider"}
    }


def _growth(before: Figures, after: Figures) -> float:
    return round(max(0.0, after.end_to_end.p95 - before.end_to_end.p95), 1)
