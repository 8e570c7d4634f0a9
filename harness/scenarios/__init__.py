"""Every scenario: what it asks of the system, and what it is held against."""

from __future__ import annotations

from harness.scenarios import growth, peaks, providers, rates, receipts, resources, templates
from harness.trial import Scenario

SCENARIOS = (
    Scenario("steady", "single requests at the highest rate that holds for a minute", rates.steady, is_comparison=True),
    Scenario("idle", "one request at a time, five a second: what the quiet hours pay", rates.idle),
    Scenario("levels", "one rate after the other, from a quiet morning to the headline", rates.levels),
    Scenario("urgent", "50,000 a minute, one in ten of which has high priority", rates.urgent),
    Scenario(
        "templates",
        "50,000 a minute by template, between the same notifications with their payload",
        templates.templates,
        needs_templates=True,
    ),
    Scenario("clients", "few clients and many, each sending the next when the last is answered", rates.clients),
    Scenario(
        "spike",
        "50,000 single requests as fast as they are taken, then the backlog is worked off; then 400 a second",
        peaks.spike,
    ),
    Scenario(
        "batch", "100,000 notifications in batches, with no workers and beside them", peaks.batch, needs_batch=True
    ),
    Scenario("lanes", "one-time passwords while 50,000 bulk notifications wait", peaks.lanes),
    Scenario("overload", "three times the sustainable rate for a minute", peaks.overload),
    Scenario(
        "storm",
        "the provider answers 503, then 429, for a minute, then it is back",
        providers.storm,
        needs_limits=True,
        is_run_once=True,
    ),
    Scenario(
        "receipts",
        "two receipts for each message; then 100,000 of them in batches, with one-time passwords beside",
        receipts.receipts,
        needs_batch=True,
        needs_receipts=True,
    ),
    Scenario("slow", "a provider that takes 2 s beside one that takes 50 ms", providers.slow),
    Scenario(
        "waiting",
        "50,000 bulk notifications behind an open breaker, then behind a limit of 200/s",
        providers.waiting,
        needs_batch=True,
        needs_limits=True,
        is_run_once=True,
    ),
    Scenario("workers", "one worker and two, with the processor as the limit", resources.workers),
    Scenario(
        "growth",
        "cost and latencies with 1,000, 100,000 and 1,000,000 jobs stored",
        growth.growth,
        is_run_once=True,
    ),
    Scenario("memory", "what the processes hold after 500,000 notifications", resources.memory, is_run_once=True),
)


def find(name: str) -> Scenario | None:
    """The scenario of this name; None: there is none."""
    return next((scenario for scenario in SCENARIOS if scenario.name == name), None)
