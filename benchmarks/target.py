"""``python -m benchmarks --target URL``: what a deployment of the user's own carries, seen from outside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from harness.figures import Latencies
from harness.lock import alone_in
from harness.target import DRAIN_SECONDS, MOST_POLLED, TargetFigures, TargetOptions, measure
from wavecom.commands.parameters import interrupt_on_termination
from wavecom.errors import ConfigurationError, Problem

API_KEY = "WAVECOM_API_KEY"
#: Notifications a second, where none are named: what the deployment carries is not ours to try out.
USUAL_RATE = 20.0


def measure_target(
    url: str, *, rate: float | None, minutes: float, keys: float, listen: str | None, folder: Path | None, home: Path
) -> None:
    """Measure the deployment at ``url`` and show it; ends the process.

    Exit code: 0 everything accepted and ended, 1 something was not, 2 it could not be measured.
    """
    interrupt_on_termination()
    try:
        options = TargetOptions(
            url=url,
            api_key=_api_key(),
            rate=rate or USUAL_RATE,
            seconds=minutes * 60,
            keys=keys,
            recorder=None if listen is None else _address(listen),
        )
        with alone_in(home):
            figures = measure(options, home / "target", lambda text: click.echo(text, err=True))
    except ConfigurationError as error:
        click.echo(f"The deployment could not be measured: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("Interrupted; everything that was started has been ended.", err=True)
        sys.exit(130)
    for line in lines(options, figures):
        click.echo(line)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "target.json"
        content = {"url": url, "rate": options.rate, "seconds": options.seconds, **figures.as_json()}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        click.echo(f"report: {path}")
    sys.exit(0 if figures.is_whole else 1)


def lines(options: TargetOptions, figures: TargetFigures) -> list[str]:
    """What a person is shown."""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(figures.statuses.items())) or "none"
    shown = [
        f"offered        {figures.offered} notifications, {options.rate:g} a second",
        f"accepted       {figures.accepted}, {figures.accepted_per_second:g} a second",
        f"answers        {', '.join(f'{name}: {count}' for name, count in sorted(figures.answers.items()))}",
        f"accept         {_shown(figures.accept)}",
        f"until the end  {_shown(figures.polled)}, by the deployment's clock",
        f"asked for      {statuses} (at most {MOST_POLLED}, for {DRAIN_SECONDS:g} s)",
    ]
    if figures.end_to_end is not None:
        shown.append(f"end to end     {_shown(figures.end_to_end)}")
        shown.append(f"lost {figures.lost}, received more than once {figures.repeated}")
    return shown


def _shown(latencies: Latencies) -> str:
    return f"p50 {latencies.p50:g} ms, p95 {latencies.p95:g} ms, p99 {latencies.p99:g} ms, most {latencies.most:g} ms"


def _api_key() -> str:
    key = os.environ.get(API_KEY, "")
    if not key:
        raise ConfigurationError([Problem(API_KEY, "is not set: name a key of the deployment that may send and read")])
    return key


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigurationError([Problem("--listen", f"{listen!r} is no HOST:PORT, as 0.0.0.0:9000")])
    return host, int(port)
