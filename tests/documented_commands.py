"""Commands that docs and results name, read as the command line reads them, and not run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import click

from wavecom.cli import main
from wavecom.local.programs import PROGRAMS

_ASSIGNMENT = re.compile(r"[A-Z_]+=")


def words_of(line: str) -> list[str]:
    """The words of a line of a shell, without variables that are set before it, and without what it is piped into."""
    words = shlex.split(line)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    return words[: words.index("|")] if "|" in words else words


def check_command(words: Sequence[str]) -> None:
    """Raises ``click.UsageError`` for a ``wavecom`` command that the command line would refuse."""
    [_, *rest] = words
    command: click.Command | None = main
    context: click.Context | None = None
    name = "wavecom"
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=name)
        name, *rest = rest or [""]
        command = command.get_command(context, name)
    if command is None:
        raise click.UsageError(f"There is no command {name}.")
    context = command.make_context(name, rest, parent=context)
    if name == "start" and context.params["process"] not in {each.name for each in PROGRAMS}:
        raise click.UsageError(f"There is no process {context.params['process']}.")
