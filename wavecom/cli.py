"""The command ``wavecom``."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import click
from rich.console import Console

import wavecom
from wavecom.errors import ConfigurationError

#: Name of a command → its module in ``wavecom.commands``, and its name there.
_OPERATORS = {
    "audit": "audit",
    "autoscale": "autoscale",
    "callbacks": "callbacks",
    "campaigns": "campaigns",
    "capacity": "capacity",
    "check": "check",
    "dead-letters": "dead_letters",
    "doctor": "doctor",
    "keys": "keys",
    "migrate": "migrate",
    "providers": "providers",
    "restore": "restore",
    "sessions": "sessions",
    "suppressions": "suppressions",
    "templates": "templates",
    "top": "top",
    "unconfirmed": "unconfirmed",
    "users": "users",
}


class _Commands(click.Group):
    """Commands whose wrong set-up is told in words, with exit code 2, as click does for wrong options.

    Those for operators are imported only when they are called: `wavecom run` needs none of what they need.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_OPERATORS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OPERATORS:
            command: click.Command = getattr(
                import_module(f"wavecom.commands.{_OPERATORS[cmd_name]}"), _OPERATORS[cmd_name]
            )
            return command
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            click.echo(str(error), err=True)
            ctx.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(wavecom.__version__, message="WaveCom %(version)s")
def main() -> None:
    """WaveCom delivers notifications: e-mail, SMS and push, once, quickly, provably.

    Everything is set by environment variables; `wavecom run` explains those that matter on one machine.
    """


@main.command()
def run() -> None:
    """Run all of WaveCom on this machine until Ctrl-C.

    Starts a RabbitMQ, a Redis and a MongoDB-wire server of its own on loopback, each unless its address is given, then
    the web app, the workers, the scheduler and Flower, and shows where they and the API key are, and a
    request to try.
    What dies is started again. Data stay in WAVECOM_HOME until the next start. Other users of this machine get into
    none of the servers: each has a password of its own, made on the first start and kept in WAVECOM_HOME.

    \b
    Servers to use instead of private ones:
      AMQP_URL                    amqp://user:password@host:5672/vhost, hosts of a cluster parted by commas
      REDIS_URL                   redis://host:6379/0, or redis+sentinel://host:26379,host2:26379/service/0
      MONGODB_URI                 mongodb://host/wavecom?replicaSet=rs0&w=majority&journal=true
      WAVECOM_MONGO_SERVER        the program to run as private MongoDB (mongod, else SecantusDB)
    \b
    Where and how much:
      WAVECOM_HOME                folder of data, logs and keys (var/ of the checkout)
      WAVECOM_HOST, WAVECOM_PORT  where the web app listens (127.0.0.1, 8000)
      WAVECOM_FLOWER_PORT         where Flower listens (5555)
      WAVECOM_FLOWER_PASSWORD     for Flower's user operator (one is made and kept in WAVECOM_HOME)
      WAVECOM_PROVIDERS           the providers file (none: a sandbox takes every notification)
      WAVECOM_API_KEY             the first API key (one is made, kept in WAVECOM_HOME, and shown once)
      WAVECOM_WEB_WORKERS         web processes (1)
      WAVECOM_WORKERS             delivery worker processes (1); auto: as many as the load needs, between
      WAVECOM_WORKERS_MIN         these (1)
      WAVECOM_WORKERS_MAX         and these (4); on one machine alone of those that share a broker: each with auto
                                  starts the whole number
      WAVECOM_WORKER_CONCURRENCY  calls that each of them makes at once (384)
    \b
    Two copies side by side:
      WAVECOM_HOME=/tmp/second WAVECOM_PORT=8001 WAVECOM_FLOWER_PORT=5556 wavecom run

    Exit code: 0 stopped as asked, 1 did not start, already runs or killed by a second Ctrl-C, 2 wrongly set up.
    """
    # Imported here: the other commands need neither Celery's queues nor rich.
    from wavecom.local.launcher import run as run_everything
    from wavecom.local.screen import Screen

    with Screen(Console()) as screen:
        exit_code = run_everything(os.environ, screen)
    raise SystemExit(exit_code)


@main.command()
@click.argument("process")
@click.option("--show", is_flag=True, help="Print the command instead of running it.")
def start(process: str, show: bool) -> None:
    """Run one PROCESS in the foreground: web, worker, worker-high, ops, beat or flower.

    For containers and service managers: the command is that of the Procfile, with the environment's variables filled
    in, and takes this process's place. HONCHO_PROCESS_NAME names each of several workers of one host.

    Exit code: that of the process, 2 there is no such process.
    """
    import shlex
    import sys

    from wavecom.local.programs import PROGRAMS

    programs = {program.name: program for program in PROGRAMS}
    if process not in programs:
        raise click.UsageError(f"There is no process {process}; there are {', '.join(programs)}.")
    arguments = programs[process].arguments(os.environ)
    if show:
        click.echo(shlex.join(arguments))
        return
    sys.stdout.flush()
    os.execv(arguments[0], arguments)  # noqa: S606 - words of our own table, no shell


@main.command()
@click.argument("node")
@click.option("--fatal", is_flag=True, help="Pass over what starting the worker again would not mend: for probes.")
def health(node: str, fatal: bool) -> None:
    """Say whether the worker NODE makes progress, for supervisors and orchestrators.

    NODE is a name that `celery -A wavecom status` shows, such as worker1@host. To be run where the worker runs: it
    reads the report that the worker writes into WAVECOM_HOME every five seconds, from its start on, whether its
    servers answer or not.

    Exit code: 0 all is well, 1 it hangs, makes no progress or is gone; the reason is printed. On an
    overloaded machine it is well, too, and says so.
    """
    from wavecom.health import health_of
    from wavecom.settings import Settings

    found = health_of(Settings.from_environment().home, node, fatal_only=fatal)
    text = "well" if found.is_well else found.reason
    if found.lag_seconds >= 0.5:
        text += f"; in the last minute it could not run for up to {found.lag_seconds:.1f} s: the machine is overloaded"
    click.echo(text, err=not found.is_well)
    raise SystemExit(0 if found.is_well else 1)


if __name__ == "__main__":
    main()
