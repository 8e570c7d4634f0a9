"""Jinja for sources that others write: sandboxed, strict about missing names, without globals."""

from __future__ import annotations

from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment


def sandboxed_environment(**options: Any) -> ImmutableSandboxedEnvironment:
    """An environment whose templates reach what they are given and nothing else. ``options`` are Jinja's own.

    A name that is missing is an error when it is used; nothing that is given can be changed.
    """
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, **options)
    made.globals.clear()
    return made
