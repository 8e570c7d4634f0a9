"""``wavecom providers``: see how providers stand for all workers, pause one, open one again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click

from wavecom.commands.changed_weights import ChangedWeights
from wavecom.commands.console import console, explaining_errors, operator_name, print_json, table_of, time_text
from wavecom.commands.explain_route import explain
from wavecom.commands.parameters import duration
from wavecom.commands.provider_accounts import check, send_test
from wavecom.commands.provider_services import open_services
from wavecom.routing.breaker import ProviderHealth
from wavecom.routing.summary import ProviderSummary
from wavecom.services.provider_control import ProviderServices

#: What keeps a provider closed for longer belongs into the providers file.
LONGEST_PAUSE = timedelta(days=1)
#: As in the providers file.
HIGHEST_WEIGHT = 1_000_000


def _pause(value: str | timedelta) -> timedelta:
    pause = duration(value)
    if not timedelta(seconds=1) <= pause <= LONGEST_PAUSE:
        raise click.BadParameter("A pause lasts from 1s to 1d; for longer, take the provider out of the routes.")
    return pause


def _weight(value: str) -> float | None:
    if value == "file":
        return None
    if not re.fullmatch("[0-9]{1,7}", value) or int(value) > HIGHEST_WEIGHT:
        raise click.BadParameter(f'A weight is a whole number from 0 to {HIGHEST_WEIGHT}, or "file".')
    return float(value)


def _reason(value: str) -> str:
    if not value.strip() or len(value) > 200 or not value.isprintable():
        raise click.BadParameter("A reason has 1 to 200 printable characters.")
    return value.strip()


_OPERATOR = click.option("--operator", metavar="NAME", default=operator_name, help="For the audit entry (user@host).")
_REASON = click.option(
    "--reason", type=_reason, metavar="TEXT", required=True, help="For the audit entry, the log and whoever looks next."
)


@click.group("providers", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def providers() -> None:
    """See how providers stand for all workers; pause one, open one again.

    A provider is left alone while its breaker is open (too many calls failed) or while a pause lasts: it asked for one,
    or somebody here did. Notifications wait meanwhile, or go to the next provider of their route.

    \b
    Which are closed, why, since and until when:
      wavecom providers list
    The gateway is well again; don't wait for the end of its pause:
      wavecom providers reopen gateway --reason "limit raised, ticket 4711"
    Another share of the traffic, until "file" takes it back:
      wavecom providers weight gateway 20 --reason "trying the new contract"
    Maintenance:
      wavecom providers pause gateway --for 30m --reason "announced maintenance"
    Do they know our keys and senders, and is there credit? And does one message get through?
      wavecom providers check
      wavecom providers send-test gateway --to +447700900123

    It acts on all workers within a second, and holds over restarts. Whatever is done leaves an audit entry.

    \b
    Exit code: 0 done, 1 a server is away, 2 asked for wrongly.
    """


providers.add_command(check)
providers.add_command(explain)
providers.add_command(send_test)


@providers.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List the providers of the file, with their state, why, since and until when.

    Below are those that don't have the weight of the file: somebody has set another, or their receipts are slow or bad.
    """
    services = open_services()
    with explaining_errors():
        healths = services.switch.health()
        now = services.clock.now()
    weights = ChangedWeights.read(services)
    summaries = [ProviderSummary.of(health, now) for health in healths]
    if as_json:
        for summary, health in zip(summaries, healths, strict=True):
            print_json(_as_json(summary, health, weights))
        return
    table = table_of(
        "PROVIDER", "STATE", "SINCE (UTC)", "UNTIL (UTC)", "REASON", whole=frozenset({"PROVIDER", "STATE"})
    )
    for line in summaries:
        table.add_row(line.provider, line.state, time_text(line.since), time_text(line.until), line.reason)
    console().print(table)
    for line in summaries:
        if line.provider in weights:
            click.echo(f"{line.provider}: weight {weights.text(line.provider)}")


@providers.command()
@click.argument("provider")
@click.option("--for", "pause_for", type=_pause, metavar="TIME", required=True, help="How long: 90s, 30m, 2h.")
@_REASON
@_OPERATOR
def pause(provider: str, pause_for: timedelta, reason: str, operator: str) -> None:
    """Let nobody call PROVIDER for a while.

    Its notifications wait or go to the next provider of their route; what must arrive earlier expires. Given again, the
    new time counts.
    """
    services = open_services()
    _check_name(services, provider)
    with explaining_errors():
        until = services.clock.now() + pause_for
        services.control.pause(provider, until, actor=operator, reason=reason)
    click.echo(f"{provider} is not called until {time_text(until)} UTC.")


@providers.command()
@click.argument("provider")
@_REASON
@_OPERATOR
def reopen(provider: str, reason: str, operator: str) -> None:
    """Let PROVIDER be called again now: ends a pause and closes the breaker.

    Calls begin slowly (slow start). If it still fails, it is left alone again, as after a first failure.
    """
    services = open_services()
    _check_name(services, provider)
    with explaining_errors():
        services.control.reopen(provider, actor=operator, reason=reason)
    click.echo(f"{provider} is open; calls begin slowly.")


@providers.command()
@click.argument("provider")
@click.argument("weight", type=_weight, metavar="WEIGHT")
@_REASON
@_OPERATOR
def weight(provider: str, weight: float | None, reason: str, operator: str) -> None:
    """Give PROVIDER another share of the steps that it stands in, from now on: a number, or "file".

    0: only when the others of its step can't be called. It holds over restarts until "file" takes it back.
    """
    services = open_services()
    _check_name(services, provider)
    if not any(each.shares_a_step(provider) for each in services.routes.values()):
        raise click.UsageError(f"{provider} shares no step of a route: its weight changes nothing. Pause it instead.")
    with explaining_errors():
        services.control.weigh(provider, weight, actor=operator, reason=reason)
    what = "has the weight of the file again" if weight is None else f"has the weight {weight:g}"
    click.echo(f"{provider} {what}, in all workers within a second.")


def _as_json(summary: ProviderSummary, health: ProviderHealth, weights: ChangedWeights) -> Mapping[str, Any]:
    factor = weights.factors.get(summary.provider)
    return {
        "provider": summary.provider,
        "state": summary.state,
        "breaker": health.state.value,
        "since": summary.since and summary.since.isoformat(),
        "until": summary.until and summary.until.isoformat(),
        "reason": summary.reason or None,
        "account": health.account or None,
        "calls": round(health.calls),
        "failures": round(health.failures),
        "weight": weights.by_hand.get(summary.provider),
        "weight_percent": 100 if factor is None else factor.percent,
        "receipts": factor and factor.reason,
    }


def _check_name(services: ProviderServices, provider: str) -> None:
    if provider not in services.switch.names:
        names = ", ".join(services.switch.names)
        raise click.BadParameter(f"There is no provider {provider!r} in the providers file; there are: {names}.")
