"""The Celery application: ``celery -A wavecom worker`` needs no flag.

What celeryconfig.py can't say is set by the start-up handlers below.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning

from wavecom.collector import collect_seldom
from wavecom.concurrency import CallLimit, call_limit
from wavecom.internals import celery as internals
from wavecom.niceness import niceness_for, step_back
from wavecom.observability import configure_logging
from wavecom.settings import Settings

# Root in a container is usual. What Celery warns root of is pickled messages, and only JSON is accepted here.
warnings.filterwarnings("ignore", "You're running the worker with superuser privileges", SecurityWarning)

log = structlog.get_logger()

app = Celery(
    "wavecom",
    include=[
        f"wavecom.tasks.{name}"
        for name in ("deliver", "sweep", "dead_letters", "weights", "events", "campaigns", "fallbacks")
    ],
)
app.config_from_object("celeryconfig")
if "flower" in sys.argv[1:]:
    # Here, because nobody else needs what it imports.
    from wavecom.flower import install as lock_flower

    lock_flower()
app.steps["consumer"].update(
    {
        "wavecom.worker.consumed_queues:ConsumedQueuesStep",
        "wavecom.worker.delivery_consumer:DeliveryConsumerStep",
        "wavecom.worker.watchdog:Watchdog",
    }
)


@signals.worker_init.connect
def _quieten(sender: Any, **_: Any) -> None:
    """No gossip and no mingle: workers have nothing to tell each other, and each costs messages and start-up time."""
    internals.disable_gossip(sender)


#: What came of it, to be said once there is a log.
_call_limits: list[CallLimit] = []


@signals.worker_init.connect
def _fit_descriptors(sender: Any, **_: Any) -> None:
    """Before the pool is made: no more calls at once than this process can hold connections for."""
    _call_limits.append(call_limit(sender.concurrency))
    internals.set_concurrency(sender, _call_limits[-1].calls)


@signals.celeryd_after_setup.connect
def _log_call_limit(**_: Any) -> None:
    for found in _call_limits:
        if found.calls < found.wanted:
            log.warning(
                "concurrency_lowered",
                wanted=found.wanted,
                calls=found.calls,
                open_files=found.descriptors,
                fix=f"raise the hard limit of open files (ulimit -Hn, LimitNOFILE) to {found.needed}",
            )
        else:
            log.info("concurrency", calls=found.calls, open_files=found.descriptors)


@signals.celeryd_after_setup.connect
def _step_back(instance: Any, **_: Any) -> None:
    """Before any thread of the worker's is started: they inherit it."""
    queues = instance.app.amqp.queues.consume_from
    step_back(niceness_for(queues, Settings.from_environment().worker_niceness))


@signals.celeryd_after_setup.connect
def _collect_seldom(**_: Any) -> None:
    collect_seldom()


@signals.worker_ready.connect
def _print_ready(sender: Any, **_: Any) -> None:
    """One line for people and supervisors; Celery's own is at level INFO, which would log every task, too."""
    print(f"{sender.hostname} ready.", flush=True)


@signals.setup_logging.connect
def _log_json(loglevel: int | None = None, **_: Any) -> None:
    """Our JSON lines instead of Celery's format; a receiver here also keeps Celery from touching the root logger."""
    settings = Settings.from_environment()
    configure_logging(settings.log_level, "celery")
