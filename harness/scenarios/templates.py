"""Notifications by template: what they cost more than the same ones with their payload."""

from __future__ import annotations

import json
import urllib.request
from typing import Final

from harness.deployment import Deployment
from harness.figures import Figures
from harness.measure import Meter
from harness.notifications import TEMPLATE_NAME, TEMPLATE_SOURCE
from harness.scenarios.rates import TARGET_RATE
from harness.trial import Goal, Trial

_QUICK_RATE: Final = 100.0
#: Of the CPU of all processes, to the same with payloads.
_MOST: Final = 1.05


def templates(trial: Trial) -> None:
    """Payloads, templates, payloads, templates, at one rate: what drifts meanwhile meets both."""
    options, outcome = trial.options, trial.outcome
    rate = options.rate or (_QUICK_RATE if options.is_quick else TARGET_RATE)
    seconds = float(options.size(30, 4))
    with trial.deployment() as deployment:
        _publish(deployment)
        meter = trial.meter(deployment)
        trial.warm_up(meter)
        measured = {
            f"{word}, {turn}": _at_rate(meter, rate, seconds, keys=options.keys, by_template=word == "template")
            for turn in ("first", "again")
            for word in ("payload", "template")
        }
    outcome.phases |= measured
    cost = {
        word: sum(each.cpu_ms_total for name, each in measured.items() if name.startswith(word))
        for word in ("payload", "template")
    }
    slowest = max(each.end_to_end.p95 for name, each in measured.items() if name.startswith("template"))
    refused = sum(each.offered - each.accepted for each in measured.values())
    outcome.goals += [
        Goal("CPU by template, to that by payload", round(cost["template"] / cost["payload"], 3), _MOST),
        Goal("not accepted", float(refused), 0),
        Goal("end-to-end p95 by template", slowest, 2000, "ms"),
    ]


def _at_rate(meter: Meter, rate: float, seconds: float, *, keys: float, by_template: bool) -> Figures:
    name = meter.paced(rate, seconds, name="template" if by_template else "payload", keys=keys, by_template=by_template)
    meter.wait_answered(name)
    meter.wait_drained()
    return meter.measure(name)


def _publish(deployment: Deployment) -> None:
    """The template that the load names, once."""
    versions = f"{deployment.config.url}/api/templates/{TEMPLATE_NAME}/versions"
    for address, body in ((versions, TEMPLATE_SOURCE), (f"{versions}/1/publish", None)):
        headers = {"Authorization": f"Bearer {deployment.config.api_key}", "Content-Type": "application/json"}
        data = b"" if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(  # noqa: S310 - of our own deployment
            urllib.request.Request(address, data, headers, method="POST"),  # noqa: S310 - as above
            timeout=10,
        ) as answer:
            answer.read()
