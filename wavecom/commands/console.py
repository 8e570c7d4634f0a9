"""What the commands for operators share: their services, their words when something is away, and their tables."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NoReturn

import click
import orjson
from rich.console import Console
from rich.table import Table

from wavecom.core.dead_letters import QueueBusyError
from wavecom.errors import BrokerError, StoreError, UnavailableError
from wavecom.observability import configure_logging
from wavecom.services.operator import OperatorServices, operator_services
from wavecom.settings import Settings

#: Exit codes besides 0 (done) and 2 (asked for wrongly).
UNAVAILABLE: Final = 1
INTERRUPTED: Final = 130


def open_services() -> OperatorServices:
    """Made only now that the command line was understood. A test hands in its own as the context's object."""
    context = click.get_current_context()
    root = context.find_root()
    if root.obj is None:
        settings = Settings.from_environment()
        configure_logging(settings.log_level, context.parent.info_name or "" if context.parent else "")
        root.obj = operator_services(settings)
        root.call_on_close(root.obj.close)
    found: OperatorServices = root.obj
    return found


def operator_name() -> str:
    """Who is at the keyboard: ``user@host``, for audit entries."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


@contextmanager
def explaining_errors() -> Iterator[None]:
    """Around everything that needs a server: what went wrong, and what to do about it, instead of a traceback."""
    try:
        yield
    except StoreError as error:
        _exit_unavailable(error, "Check MONGODB_URI and that MongoDB runs")
    except QueueBusyError as error:
        _exit_unavailable(error)
    except BrokerError as error:
        _exit_unavailable(error, "Check AMQP_URL and that RabbitMQ runs")
    except UnavailableError as error:
        _exit_unavailable(error, "Check REDIS_URL and that Redis runs")
    except KeyboardInterrupt:
        click.echo("Interrupted. What is done is done; run the same command again for the rest.", err=True)
        raise SystemExit(INTERRUPTED) from None


def _exit_unavailable(error: UnavailableError, advice: str = "") -> NoReturn:
    what = str(error).rstrip(".") + "."
    click.echo(f"{what} {advice}, then run the same command again: what is done is done." if advice else what, err=True)
    raise SystemExit(UNAVAILABLE)


def console() -> Console:
    """Standard output. A file or a pipe has no width: nothing is folded there."""
    found = Console(highlight=False, markup=False, emoji=False)
    return found if found.is_terminal else Console(width=240, highlight=False, markup=False, emoji=False)


def table_of(*columns: str, whole: frozenset[str] = frozenset()) -> Table:
    """A table without lines; columns in ``whole`` are never folded."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=column in whole)
    return made


def time_text(moment: datetime | None) -> str:
    """A moment for a table, in UTC."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    click.echo(orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z))
