"""``wavecom capacity``: what a deployment needs for a rate, with the arithmetic."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import click
import orjson

from wavecom.commands.console import console, print_json, table_of
from wavecom.core.capacity import ASSUMED, CapacityNeed, CapacityPlan, plan
from wavecom.core.costs import MeasuredCosts
from wavecom.core.simulation import SimulatedDeployment, SimulatedLoad, StoreOutage, simulate

_UNITS_OF_RATE = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_UNITS_OF_TIME = {"ms": 0.001, "s": 1, "d": 86_400}
_LONGEST_SECONDS = 36_500 * _UNITS_OF_TIME["d"]
_SHARE_SECONDS = 20.0
#: An election of MongoDB.
_OUTAGE = StoreOutage(at=8.0, seconds=5.0)


class _Rate(click.ParamType[float]):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Notifications a second of ``50000/min`` and the like."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*/\s*(s|min|h|d)", str(value))
        rate = float(re.sub("[_,]", "", found[1])) / _UNITS_OF_RATE[found[2]] if found else 0.0
        if not 0 < rate <= 1e8:
            self.fail(
                f"{value!r} is no rate: give one such as 50000/min or 800/s, up to 100 million a second", param, ctx
            )
        return rate


class _Seconds(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of ``80ms``, ``2s`` or ``30d``."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|d)", str(value))
        seconds = float(found[1]) * _UNITS_OF_TIME[found[2]] if found else 0.0
        if not 0 < seconds <= _LONGEST_SECONDS:
            self.fail(f"{value!r} is no time: give one such as 80ms, 2s or 30d, up to 36500d", param, ctx)
        return seconds


@click.command("capacity", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--rate", type=_Rate(), required=True, help="Notifications at the busiest time, such as 50000/min.")
@click.option(
    "--latency", type=_Seconds(), default="50ms", show_default=True, help="How long a provider's answer takes."
)
@click.option("--retention", type=_Seconds(), default="30d", show_default=True, help="How long notifications are kept.")
@click.option(
    "--receipts", type=click.FloatRange(0, 10), default=0, show_default=True, help="Receipts for each notification."
)
@click.option(
    "--calls-at-once",
    type=click.IntRange(1, 512),
    default=384,
    show_default=True,
    help="WAVECOM_WORKER_CONCURRENCY.",
)
@click.option(
    "--busiest-lane",
    type=click.FloatRange(0.01, 1),
    default=1.0,
    show_default=True,
    help="Share of all that goes through one lane, such as sms.normal.",
)
@click.option("--simulate", "simulates", is_flag=True, help="Also play the share of one web process, second by second.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def capacity(
    rate: float,
    latency: float,
    retention: float,
    receipts: float,
    calls_at_once: int,
    busiest_lane: float,
    simulates: bool,
    as_json: bool,
) -> None:
    """Say what a deployment needs: processes, cores, queue partitions, connections, storage, with the arithmetic.

    Reckoned from what the last performance report has measured, with a third of everything to spare. It asks no server.

    \b
      wavecom capacity --rate 50000/min --latency 80ms --retention 30d --receipts 2

    Exit code: 0 done, 2 asked for wrongly.
    """
    costs = measured_costs()
    need = CapacityNeed(
        rate_per_second=rate,
        latency_seconds=latency,
        retention_days=retention / _UNITS_OF_TIME["d"],
        receipts=receipts,
        calls_at_once=calls_at_once,
        busiest_lane=busiest_lane,
    )
    found = plan(need, costs)
    simulated = _simulated(need, costs, found) if simulates else None
    if as_json:
        print_json(_as_json(found, costs, simulated))
        return
    table = table_of("what", "how much", "", "because", whole=frozenset({"what", "how much"}))
    for line in found.lines:
        table.add_row(line.what, _amount_text(line.amount), line.unit, line.arithmetic)
    console().print(table)
    limits = table_of("limit of", "notifications/s", "", "then", whole=frozenset({"limit of"}))
    for limit in found.limits:
        state = "passed" if limit.rate_per_second < rate else ""
        limits.add_row(limit.what, f"{limit.rate_per_second:,.0f}", state, limit.remedy)
    click.echo()
    console().print(limits)
    if simulated is not None:
        click.echo(
            f"\nSimulated, the share of one web process, {simulated['rate']:,.0f}/s for {_SHARE_SECONDS:g} s: accepted"
            f" after {simulated['acceptP50Ms']} ms (p50) and {simulated['acceptP95Ms']} ms (p95), called"
            f" {simulated['deliverP95Ms']} ms later (p95), {simulated['cores']} cores in use. A store that is away for"
            f" {_OUTAGE.seconds:g} s makes {simulated['waitingAfterOutage']:,} wait, for whom"
            f" {simulated['outageOverAfterSeconds']} s more are needed."
        )
    click.echo(f"\nMeasured {costs.source['date']} on {costs.source['machine']}. Assumed: {'; '.join(ASSUMED)}.")


def measured_costs() -> MeasuredCosts:
    """What the last performance report has measured, as it is kept in the package."""
    return MeasuredCosts.of(orjson.loads((files("wavecom.commands") / "measured_costs.json").read_bytes()))


def _simulated(need: CapacityNeed, costs: MeasuredCosts, found: CapacityPlan) -> dict[str, Any]:
    """The share of one web process on cores of its own: what it waits for, which means do not show."""
    webs = max(1, int(found.amount("web processes")) - 1)
    workers = max(1, round((found.amount("workers") - 1) / webs))
    rate = need.rate_per_second / webs
    load = SimulatedLoad(rate=rate, seconds=_SHARE_SECONDS, connections=8_192)
    deployment = SimulatedDeployment(
        cores=max(2.0, found.amount("cores") / webs),
        core_speed=costs.seen["steady"]["speed"],
        workers=workers,
        calls_at_once=need.calls_at_once,
        latency_seconds=need.latency_seconds,
    )
    outcome = simulate(deployment, costs, [load])
    disturbed = simulate(replace(deployment, outages=[_OUTAGE]), costs, [load])
    return {
        "rate": round(rate, 1),
        "workers": workers,
        "acceptP50Ms": round(1_000 * outcome.percentile(outcome.accept_seconds, 50)),
        "acceptP95Ms": round(1_000 * outcome.percentile(outcome.accept_seconds, 95)),
        "deliverP95Ms": round(1_000 * outcome.percentile(outcome.deliver_seconds, 95)),
        "cores": round(outcome.cpu_seconds / _SHARE_SECONDS, 2),
        "waitingAfterOutage": disturbed.longest_queue,
        "outageOverAfterSeconds": round(max(0.0, disturbed.emptied_at - _OUTAGE.at - _OUTAGE.seconds), 1),
    }


def _amount_text(amount: float) -> str:
    return f"{amount:,.0f}" if amount == int(amount) or amount >= 100 else f"{amount:,.2f}"


def _as_json(found: CapacityPlan, costs: MeasuredCosts, simulated: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "needs": [
            {"what": line.what, "amount": round(line.amount, 3), "unit": line.unit, "arithmetic": line.arithmetic}
            for line in found.lines
        ],
        "limits": [
            {"what": each.what, "ratePerSecond": round(each.rate_per_second, 1), "remedy": each.remedy}
            for each in found.limits
        ],
        "simulated": simulated,
        "measured": dict(costs.source),
        "assumed": list(ASSUMED),
    }
