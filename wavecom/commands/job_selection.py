"""Which jobs a command is about: their ids, or options that they have in common. For several commands alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn

import click

from wavecom.commands.console import UNAVAILABLE, explaining_errors, open_services
from wavecom.commands.parameters import When, at, counted, moment
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChoice:
    """What was given on the command line: ids, or filters, of which None means "any"; neither means all jobs."""

    job_ids: tuple[JobId, ...] = ()
    error_code: str | None = None
    provider: str | None = None
    channel: Channel | None = None
    client: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Whether neither ids nor filters were given."""
        return self == JobChoice()


def choosing_jobs(
    *, provider_help: str, times_of: str, has_error_code: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The argument and the options that say which jobs are meant; the command gets ``services`` and a ``choice``.

    ``times_of``: what happened to the jobs at the times of --since and --until. What goes wrong with a server meanwhile
    is said in words (``console.explaining_errors``).
    """
    error_code_option: Callable[[Callable[..., Any]], Callable[..., Any]] = _unchanged
    if has_error_code:
        error_code_option = click.option(
            "--error-code", metavar="CODE", help="Failed for this reason (rejected, attempts_exhausted, ...)."
        )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
        @error_code_option
        @click.option("--provider", metavar="NAME", help=provider_help)
        @click.option("--type", "channel", type=click.Choice([each.value for each in Channel]), help="Of this channel.")
        @click.option("--client", metavar="NAME", help="Of this client.")
        @click.option(
            "--since", type=moment, metavar="TIME", help=f"{times_of} then or later: 2h, 3d, 2026-03-14T09:00Z."
        )
        @click.option("--until", type=moment, metavar="TIME", help=f"{times_of} before then.")
        @wraps(command)
        def with_choice(
            job_ids: tuple[str, ...],
            provider: str | None,
            channel: str | None,
            client: str | None,
            since: When | None,
            until: When | None,
            error_code: str | None = None,
            **options: Any,
        ) -> Any:
            if job_ids and any(each is not None for each in (error_code, provider, channel, client, since, until)):
                raise click.UsageError("Give job ids or filters, not both.")
            services = open_services()
            now = services.clock.now()
            choice = JobChoice(
                job_ids=tuple(map(JobId, job_ids)),
                error_code=error_code,
                provider=provider,
                channel=None if channel is None else Channel(channel),
                client=client,
                since=at(since, now),
                until=at(until, now),
            )
            with explaining_errors():
                return command(services, choice=choice, **options)

        return with_choice

    return decorate


def _unchanged(command: Callable[..., Any]) -> Callable[..., Any]:
    return command


def exit_for_unknown_ids(count: int) -> NoReturn:
    """Say on standard error that so many ids are unknown, and end the command with an error."""
    click.echo(f"{counted(count, 'job id')} unknown: check them, or they were purged.", err=True)
    raise SystemExit(UNAVAILABLE)
