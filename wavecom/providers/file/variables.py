"""Variables of the environment in the providers file's texts.

``"$NAME"`` is the variable, whole; ``"Bearer ${NAME}"`` holds it within other text; ``$$`` is one real ``$``. Every
other ``$`` is refused, for it was hardly meant to be sent as it stands. What a variable holds is never looked through
again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wavecom.providers.configuration.options import Mistake

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_WHOLE = re.compile(rf"\$({_NAME})")
_PART = re.compile(rf"\$(?:(?P<real>\$)|\{{(?P<name>{_NAME})\}}|(?P<bare>{_NAME})|)")

#: Stands in for what is not there, so that the rest of the file can still be checked.
_UNRESOLVED = "unresolved"


class Variables:
    """Replaces variables and gathers what is wrong with them in ``mistakes``, all with the code ``unset``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.mistakes: list[Mistake] = []

    def replaced(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """``value``, which stands at ``path``, and all that is in it; keys are left as they are."""
        if isinstance(value, dict):
            return {key: self.replaced(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.replaced(inner, (*path, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        if whole := _WHOLE.fullmatch(value):
            value = f"${{{whole[1]}}}"
        mistakes = list(self._mistakes_in(value))
        self.mistakes += [Mistake(path, mistake, "unset") for mistake in mistakes]
        if mistakes:
            return _UNRESOLVED
        return _PART.sub(lambda part: "$" if part["real"] else self._environment[part["name"]], value)

    def _mistakes_in(self, value: str) -> Iterator[str]:
        unset: list[str] = []
        for part in _PART.finditer(value):
            if part["real"]:
                continue
            if part["name"] is None:
                yield self._stray(part["bare"])
                return
            if not self._environment.get(part["name"]) and part["name"] not in unset:
                unset.append(part["name"])
        for name in unset:
            yield f"the environment variable {name} is not set; set it before the start"

    def _stray(self, bare: str | None) -> str:
        # Named only where it is a variable's: it might as well be a piece of somebody's password.
        name = bare if bare and (bare in self._environment or re.fullmatch("[A-Z][A-Z0-9]*_[A-Z0-9_]+", bare)) else None
        if name:
            return f'holds ${name} within other text; write "${{{name}}}" for the variable, or "$$…" for a real $'
        return 'holds a $ that begins no variable; write "${NAME}" for a variable, or "$$…" for a real $'
