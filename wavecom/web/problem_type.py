"""How one class of errors is answered: an entry of the table in ``problems.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemType:
    """How one class of errors is answered.

    ``remedy`` tells what to do, for ``REFERENCE`` and docs/api.md. ``detail`` None: the error's own text is the detail
    of the answer, because it is meant for clients.
    """

    status: int
    title: str
    remedy: str
    detail: str | None = None
    #: Where ``detail`` is None: what an error's text may be, for the OpenAPI document.
    example: str = ""
