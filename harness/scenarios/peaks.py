"""More than can be worked off at once: spikes, batches, urgent ones behind a backlog, too much for minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from harness.figures import Figures, Latencies, RequestRecord
from harness.load import RequestOutcome
from harness.scenarios.rates import sustainable_rate
from harness.trial import Goal, Trial

BATCH_SIZE = 500
_BATCH_CONNECTIONS = 8

#: Nothing special for a busy hour: accepting must be quick.
_ORDINARY_RATE, _ORDINARY_SECONDS = 400.0, 20.0

OTP_RATE = 10.0
_SETTLED_MS = 100.0
_WINDOW_SECONDS = 5.0


def spike(trial: Trial) -> None:
    """As many single requests as are taken, all at once; then the backlog is worked off. Then a busy hour's rate."""
    count = trial.amount(50_000, 1_500)
    rate, seconds = (60.0, 3.0) if trial.options.is_quick else (_ORDINARY_RATE, _ORDINARY_SECONDS)
    outcome = trial.outcome
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        name = meter.flood(count, name="spike", keys=trial.options.keys)
        meter.wait_answered(name)
        until_taken = meter.cost_so_far(name)
        meter.wait_drained()
        figures = meter.measure(name)
        afterwards = meter.paced(rate, seconds, name="ordinary", keys=trial.options.keys)
        meter.wait_answered(afterwards)
        meter.wait_drained()
        ordinary = meter.measure(afterwards)
    outcome.phases |= {"spike": figures, f"{rate:g}/s": ordinary}
    outcome.values |= {
        "accepted in, seconds": figures.accept_seconds,
        "accepted, per second": figures.accepted_per_second,
        "drained after, seconds": figures.seconds,
        "end to end, per second": figures.end_to_end_per_second,
        "CPU until all were accepted, ms": until_taken,
        "refused": figures.offered - figures.accepted,
        f"accept p95 at {rate:g}/s, ms": ordinary.accept.p95,
    }
    outcome.goals += [
        Goal("accepted in", round(figures.accept_seconds * 50_000 / count, 2), 25, "s for 50,000", aim=15),
        Goal("refused", figures.offered - figures.accepted, 0),
        Goal("accept p99", figures.accept.p99, 500, "ms"),
        Goal(f"accept p95 at {rate:g}/s", ordinary.accept.p95, 30, "ms"),
        Goal(f"refused at {rate:g}/s", ordinary.offered - ordinary.accepted, 0),
    ]
    _add_loss_goals(outcome.goals, figures)


def batch(trial: Trial) -> None:
    """The batch endpoint, twice: with no workers, so that accepting is all that is done; and beside them."""
    count = trial.options.size(100_000, 2_000)
    outcome = trial.outcome
    for phase, with_workers in (("without workers", False), ("beside workers", True)):
        with trial.deployment(with_workers=with_workers) as deployment:
            meter = trial.meter(deployment)
            name = meter.flood(
                count,
                name="batch",
                batch=min(BATCH_SIZE, count // 8),
                connections=_BATCH_CONNECTIONS,
                keys=trial.options.keys,
            )
            meter.wait_answered(name)
            outcome.values[f"CPU of accepting, {phase}, ms"] = meter.cost_so_far(name)
            deployment.start_workers()
            meter.wait_drained()
            figures = meter.measure(name)
        outcome.phases[phase] = figures
        outcome.values[f"accepted {phase}, per second"] = figures.accepted_per_second
    paused = outcome.phases["without workers"]
    outcome.goals.append(Goal("accepted without workers", paused.accepted_per_second, 8000, "/s", is_floor=True))
    for phase, figures in outcome.phases.items():
        outcome.goals.append(Goal(f"refused {phase}", figures.offered - figures.accepted, 0))


def lanes(trial: Trial) -> None:
    """A campaign fills the bulk lane; one-time passwords must not wait behind it."""
    count, seconds = trial.amount(50_000, 1_000), trial.options.size(30, 4)
    # How they came into the queue is nothing to the passwords: the fastest way.
    way = {"batch": 100, "connections": _BATCH_CONNECTIONS} if trial.subject.has_batch else {}
    outcome = trial.outcome
    with trial.deployment(with_workers=False) as deployment:
        meter = trial.meter(deployment)
        bulk = meter.flood(count, name="bulk", priority="bulk", keys=0, **way)
        meter.wait_answered(bulk)
        deployment.start_workers()
        otp = meter.paced(OTP_RATE, seconds, name="otp", priority="high", channels=["sms"], keys=1)
        meter.wait_answered(otp)
        waiting = meter.backlog()
        meter.wait_drained()
        passwords, campaign = meter.measure(otp), meter.measure(bulk)
    outcome.phases |= {"bulk": campaign, "one-time passwords": passwords}
    outcome.values |= {
        "bulk still waiting after the last password": waiting,
        "accept to provider p50, ms": passwords.end_to_end.p50,
        "accept to provider p95, ms": passwords.end_to_end.p95,
    }
    outcome.goals.append(Goal("accept to provider p95 of passwords", passwords.end_to_end.p95, 1000, "ms"))
    outcome.costless.append("one-time passwords")


def overload(trial: Trial) -> None:
    """Three times what can be carried. Then a third of it, to see how soon all is as it was."""
    sustainable = sustainable_rate(trial)
    outcome, options = trial.outcome, trial.options
    seconds = options.size(60, 5)
    with trial.deployment() as deployment:
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        burst = meter.paced(3 * sustainable, seconds, name="overload", keys=options.keys)
        meter.wait_answered(burst)
        after = meter.paced(sustainable / 3, seconds, name="after", keys=options.keys)
        meter.wait_answered(after)
        meter.wait_drained()
        figures, calm = meter.measure(burst), meter.measure(after)
        settled = settled_after(meter.requests(after))
        answers = Answers.of(meter.requests(burst), seconds)
    outcome.phases |= {"overload": figures, "after": calm}
    outcome.costless.append("after")
    timed_out = figures.answers.get(RequestOutcome.TIMED_OUT.name.lower(), 0)
    broken = figures.answers.get(RequestOutcome.BROKEN.name.lower(), 0)
    drained = round(max(0.0, figures.seconds - seconds), 1)
    outcome.values |= {
        "sustainable, per second": round(sustainable, 1),
        "offered, per second": round(3 * sustainable, 1),
        "accepted, per second offered": round(answers.accepted_per_second, 1),
        "answered 503": answers.refused,
        "answered neither 202 nor 503": answers.odd,
        "503 without Retry-After": answers.unpromised,
        "slowest 503 from sending, ms": answers.slowest_refusal_ms,
        "slowest 202 from sending, ms": answers.slowest_acceptance_ms,
        "timed out": timed_out,
        "broken connections": broken,
        "never sent, all connections busy": figures.answers.get(RequestOutcome.NEVER_SENT.name.lower(), 0),
        "accepting as usual again after, seconds": settled,
        "backlog worked off after, seconds": drained,
    }
    outcome.goals += [
        Goal("answered neither 202 nor 503", answers.odd, 0),
        Goal("503 without Retry-After", answers.unpromised, 0),
        Goal("slowest 503, from sending", answers.slowest_refusal_ms, 1000, "ms"),
        Goal("slowest 202, from sending", answers.slowest_acceptance_ms, 1000, "ms"),
        Goal("time-outs and broken connections", timed_out + broken, 0),
        Goal(
            "accepted of what can be carried",
            round(answers.accepted_per_second / sustainable, 3),
            0.9,
            is_floor=True,
        ),
        Goal("accepting as usual again after", settled, 60, "s"),
        Goal("backlog worked off after", drained, 60, "s"),
    ]
    _add_loss_goals(outcome.goals, figures)


@dataclass(frozen=True, slots=True)
class Answers:
    """How an overload was answered; what was given up or never sent has no answer."""

    #: Notifications taken while there was too much, not after it.
    accepted_per_second: float
    refused: int
    #: Answers that are neither an acceptance nor a refusal for want of room.
    odd: int
    #: Refusals that don't say when to come again.
    unpromised: int
    slowest_refusal_ms: float
    slowest_acceptance_ms: float

    @classmethod
    def of(cls, requests: Sequence[RequestRecord], seconds: float) -> Answers:
        """``requests`` that were offered over so long."""
        until = min((request.intended for request in requests), default=0.0) + seconds
        accepted = [request for request in requests if request.status == HTTPStatus.ACCEPTED]
        refused = [request for request in requests if request.status == HTTPStatus.SERVICE_UNAVAILABLE]
        return cls(
            accepted_per_second=sum(len(each.job_ids) for each in accepted if each.answered <= until) / seconds,
            refused=len(refused),
            odd=sum(request.status > 0 for request in requests) - len(accepted) - len(refused),
            unpromised=sum(not request.has_retry_after for request in refused),
            slowest_refusal_ms=_slowest(refused),
            slowest_acceptance_ms=_slowest(accepted),
        )


def _slowest(requests: Sequence[RequestRecord]) -> float:
    return Latencies.of([request.answered - request.sent for request in requests]).most


def settled_after(requests: Sequence[RequestRecord]) -> float:
    """Seconds into the phase after which hardly any acceptance takes long any more; looked at in windows of 5 s."""
    began = requests[0].intended
    windows: dict[int, list[float]] = {}
    for request in requests:
        windows.setdefault(int((request.intended - began) / _WINDOW_SECONDS), []).append(
            request.answered - request.intended
        )
    slow = [window for window, seconds in windows.items() if Latencies.of(seconds).p95 > _SETTLED_MS]
    return (max(slow) + 1) * _WINDOW_SECONDS if slow else 0.0


def _add_loss_goals(goals: list[Goal], figures: Figures) -> None:
    goals.append(Goal("lost", figures.lost, 0))
    goals.append(Goal("received twice", figures.repeated, 0))
