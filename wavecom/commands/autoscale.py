"""``wavecom autoscale``: how many workers there should be, as JSON for any orchestrator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from wavecom.commands.console import explaining_errors, print_json
from wavecom.core.autoscaling import ScalingDecision
from wavecom.core.queue_rates import WINDOW_SECONDS
from wavecom.observability import configure_logging
from wavecom.services.autoscaling import AutoscalingServices, autoscaling_services
from wavecom.settings import Settings

_LOOK_SECONDS = 2.0


@click.command("autoscale", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--over",
    "window_seconds",
    type=click.FloatRange(1, 600),
    default=WINDOW_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to look before the decision: rates are taken over this time.",
)
@click.option("--follow", is_flag=True, help="Go on, with a line every SECONDS, and remember what was needed before.")
def autoscale(window_seconds: float, follow: bool) -> None:
    """Say how many workers each lane group should have, by what waits, what comes and what is carried.

    Prints one JSON object a line: for each group (the process of the Procfile) `desired`, the numbers behind it (a
    second, where they are rates) and the reason in words. `needed` is what this moment asks for; `desired` does not
    fall below what was needed in the last WAVECOM_SCALE_DOWN_SECONDS, nor, in the first line, below what there is: an
    orchestrator with a stabilization window of its own takes `needed`.

    \b
    Settings:
      WAVECOM_RABBITMQ_API_URL     where messages are counted (needed)
      WAVECOM_WORKERS_MIN          the least workers of a group (1)
      WAVECOM_WORKERS_MAX          the most (4)
      WAVECOM_DRAIN_SECONDS        a backlog should be gone after so long (60)
      WAVECOM_SCALE_DOWN_SECONDS   workers that were not needed for so long go (120)
      WAVECOM_PROVIDERS            whose limits bound the number: no worker is asked for that a limit would idle

    Exit code: 0 done, 1 RabbitMQ does not answer, 2 asked for wrongly, 130 interrupted.
    """
    context = click.get_current_context()
    root = context.find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        configure_logging(settings.log_level, "autoscale")
        root.obj = autoscaling_services(settings, window_seconds=window_seconds)
        root.call_on_close(root.obj.close)
    services: AutoscalingServices = root.obj
    with explaining_errors():
        while True:
            until = time.monotonic() + window_seconds
            while (left := until - time.monotonic()) > 0:
                services.autoscaler.look()
                time.sleep(min(_LOOK_SECONDS, left))
            print_json(_as_json(services.autoscaler.decide()))
            if not follow:
                return


def _as_json(decisions: Mapping[str, ScalingDecision]) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC),
        "groups": {
            name: {
                "desired": each.desired,
                "needed": each.needed,
                "workers": each.workers,
                "waiting": each.waiting,
                "inHand": each.in_hand,
                "arrivalsPerSecond": round(each.arrivals_per_second, 2),
                "acksPerSecond": round(each.acks_per_second, 2),
                "wantedPerSecond": round(each.wanted_per_second, 2),
                "workerPerSecond": round(each.worker_per_second, 2),
                "drainSeconds": None if each.drain_seconds is None else round(each.drain_seconds, 1),
                "reason": each.reason,
            }
            for name, each in decisions.items()
        },
    }
