"""``wavecom top``: the overview in a terminal."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wavecom.commands.console import console, print_json, table_of, time_text
from wavecom.core.overview import Overview
from wavecom.core.provider_administration import ProviderAvailability
from wavecom.core.states import Status
from wavecom.observability import configure_logging
from wavecom.services.overview import OverviewServices, overview_services
from wavecom.settings import Settings

#: Columns of the rates; other statuses are ways to these.
_STATUSES: Final = (
    Status.QUEUED,
    Status.SENT,
    Status.DELIVERED,
    Status.RETRYING,
    Status.FAILED,
    Status.EXPIRED,
    Status.UNCONFIRMED,
)


@click.command("top", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--once", is_flag=True, help="Show it once and end, for scripts.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object; implies --once.")
@click.option(
    "--every",
    "every_seconds",
    type=click.FloatRange(0.5, 60),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
def top(once: bool, as_json: bool, every_seconds: float) -> None:
    """Watch rates by channel, what waits in each queue, providers and workers. Ctrl-C ends it.

    Reads counters alone, never the jobs: it costs a deployment next to nothing, however much is stored. Rates are a
    second, averaged over the last one to two minutes: how many jobs entered a status. Workers are those of this
    machine; how many there are on all of them, the queues' consumers tell.

    \b
      wavecom top
      wavecom top --once --json | jq '.queues[] | select(.waiting > 1000)'

    Exit code: 0 done, 1 with --once or --json: a server is away, 2 asked for wrongly.
    """
    services = _open()
    out = console()
    if once or as_json:
        overview = services.read()
        if as_json:
            print_json(as_object(overview))
        else:
            out.print(rendered(overview))
        raise SystemExit(int(bool(overview.away)))
    with (
        suppress(KeyboardInterrupt),
        Live(rendered(services.read()), console=out, screen=True, auto_refresh=False) as live,
    ):
        while True:
            time.sleep(every_seconds)
            live.update(rendered(services.read()), refresh=True)


def rendered(overview: Overview) -> Group:
    """The overview as tables, one below the other."""
    return Group(
        _head(overview),
        Text(),
        _rates(overview),
        Text(),
        _queues(overview),
        Text(),
        _providers(overview),
        Text(),
        _workers(overview),
    )


def as_object(overview: Overview) -> dict[str, Any]:
    """The overview for programs."""
    return {
        "at": overview.at,
        "away": list(overview.away),
        "stalled": list(overview.stalled),
        "sweepSeconds": _rounded(overview.sweep_seconds),
        "deadLetters": overview.dead_letters,
        "ratesPerSecond": {
            channel.value: {status.value: round(rate, 3) for status, rate in rates.items()}
            for channel, rates in overview.rates.items()
        },
        "queues": [
            {
                "queue": each.queue,
                "waiting": each.waiting,
                "consumers": each.consumers,
                "oldestSeconds": _rounded(each.oldest_seconds),
                "partitions": list(each.partitions),
            }
            for each in overview.queues
        ],
        "providers": [
            {"provider": each.provider, "state": each.state, "until": each.until, "trouble": each.trouble or None}
            for each in overview.providers
        ],
        "workers": [
            {"node": each.node, "problem": each.problem or None, "lagSeconds": _rounded(each.lag_seconds)}
            for each in overview.workers
        ],
    }


def _open() -> OverviewServices:
    root = click.get_current_context().find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        # What goes wrong is on the screen; lines of the log would go through it.
        configure_logging("error", "top")
        root.obj = overview_services(settings)
        root.call_on_close(root.obj.close)
    found: OverviewServices = root.obj
    return found


def _head(overview: Overview) -> Text:
    text = Text(f"WaveCom  {time_text(overview.at)} UTC")
    if overview.away:
        text.append(f"   away: {', '.join(overview.away)}", style="bold red")
    if overview.stalled:
        text.append(f"   nothing moves in {', '.join(overview.stalled)}", style="bold red")
    swept = "not known" if overview.sweep_seconds is None else f"{overview.sweep_seconds:.0f} s ago"
    text.append(f"   swept {swept}", style="yellow" if (overview.sweep_seconds or 0) > 30 else "")
    text.append(f"   dead letters {_number(overview.dead_letters)}")
    return text


def _rates(overview: Overview) -> Table:
    table = _table("A SECOND", *(status.value.upper() for status in _STATUSES))
    for channel, rates in overview.rates.items():
        table.add_row(channel, *(f"{rates.get(status, 0):.1f}" for status in _STATUSES))
    return table


def _queues(overview: Overview) -> Table:
    is_parted = any(len(each.partitions) > 1 for each in overview.queues)
    table = _table("QUEUE", "WAITING", "OLDEST", "CONSUMERS", *(["IN EACH PARTITION"] if is_parted else []))
    for each in overview.queues:
        age = "" if each.oldest_seconds is None else f"{each.oldest_seconds:.0f} s"
        style = "bold red" if each.queue in overview.stalled or each.consumers == 0 else None
        parts = [" ".join(map(_number, each.partitions))] if is_parted else []
        table.add_row(each.queue, _number(each.waiting), age, _number(each.consumers), *parts, style=style)
    return table


def _providers(overview: Overview) -> Table:
    table = table_of("PROVIDER", "STATE", "UNTIL (UTC)", "WHY")
    for each in overview.providers:
        style = "yellow" if each.state is not ProviderAvailability.IN_USE or each.trouble else None
        why = each.reason or each.receipts
        table.add_row(each.provider, each.state.value, time_text(each.until), why, style=style)
    return table


def _workers(overview: Overview) -> Table:
    table = table_of("WORKER (of this machine)", "STATE", "COULD NOT RUN")
    for each in overview.workers:
        style = "bold red" if each.problem else None
        table.add_row(each.node, each.problem or "well", f"{each.lag_seconds:.1f} s", style=style)
    return table


def _table(first: str, *numbers: str) -> Table:
    table = table_of(first)
    for each in numbers:
        table.add_column(each, justify="right")
    return table


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
