"""What errors tell of: a wrong input, what is left under a limit. ``wavecom.errors`` has the errors themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input; of one input at most ``LIMIT`` are told.

    ``where``: a JSON pointer (``/to/email``), an environment variable or ``file.toml:12``; ``code`` is stable."""

    LIMIT = 100
    where: str
    message: str
    code: str = "invalid"


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """How much is left under one limit: ``quota`` in every ``window_seconds``, ``remaining`` until ``reset_seconds``
    from now."""

    name: str
    quota: int
    window_seconds: int
    remaining: int
    reset_seconds: int
