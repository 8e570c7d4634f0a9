"""Whether this process may use what its libraries do not document.

Two things decide: the setting ``WAVECOM_FAST_PATHS``, for all of a process, and a check for each library. State is kept
for the process, as libraries are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence

import structlog
from prometheus_client import Gauge

log = structlog.get_logger()

DISABLED = Gauge(
    "wavecom_fast_path_disabled",
    "1 where a library is not as WaveCom knows it, so that only its documented ways are used.",
    ["library"],
)

#: Answers what is not as expected, a sentence each; none: all is.
Check = Callable[[], Sequence[str]]


class _Switch:
    is_on = True


def switch(*, is_on: bool) -> None:
    """Allow the fast paths of this process, or forbid all of them. To be called at start, with the setting."""
    _Switch.is_on = is_on


class Library:
    """One library of which undocumented parts are used. ``check`` runs once, when it is first asked for."""

    def __init__(self, name: str, check: Check) -> None:
        self._name = name
        self._check = check
        self._is_as_expected: bool | None = None

    def is_as_expected(self) -> bool:
        """Whether the library is as WaveCom knows it. The first call checks, and logs what is not. Never raises."""
        if self._is_as_expected is None:
            self._is_as_expected = self._verify()
        return self._is_as_expected

    def is_fast(self) -> bool:
        """Whether a fast path over this library may be taken."""
        return _Switch.is_on and self.is_as_expected()

    def _verify(self) -> bool:
        try:
            found = list(self._check())
        except Exception as error:  # noqa: BLE001 - whatever a changed library raises, it is not as expected
            found = [f"the check raised {type(error).__name__}: {error}"]
        DISABLED.labels(self._name).set(1 if found else 0)
        if found:
            log.error("fast_path_disabled", library=self._name, found=found, fix="install the version of the lock file")
        return not found


def missing_attributes(owner: object, *names: str) -> Iterator[str]:
    """What of ``names`` the class, module or object lacks."""
    for name in names:
        if not hasattr(owner, name):
            yield f"{_name_of(owner)} has no {name}"


def changed_signature(owner: object, name: str, *parameters: str) -> Iterator[str]:
    """Whether the callable ``name`` of ``owner`` begins with other parameters than these (``self`` not counted), or
    asks for more.
    """
    function = getattr(owner, name, None)
    if not callable(function):
        yield f"{_name_of(owner)} has no callable {name}"
        return
    found = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    names = [each.name for each in found if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}]
    needed = [
        each.name
        for each in found[len(parameters) :]
        if each.default is each.empty and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
    ]
    if tuple(names[: len(parameters)]) != parameters or needed:
        yield f"{_name_of(owner)}.{name} takes ({', '.join(names)}), not ({', '.join(parameters)})"


def _name_of(owner: object) -> str:
    return str(getattr(owner, "__qualname__", None) or getattr(owner, "__name__", None) or type(owner).__name__)
