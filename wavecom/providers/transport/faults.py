"""From Python's many errors of a network to the few faults that we tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wavecom.providers.transport.port import Fault

#: Rows in order of weight: the first whose error stands anywhere in the chain of causes says why.
FaultTable = Sequence[tuple[type[BaseException], Fault]]


def fault_of(error: BaseException, table: FaultTable) -> Fault:
    """Why the call failed; ``Fault.OTHER`` when the table names nothing of it."""
    causes = list(_chain(error))
    for kind, fault in table:
        if any(isinstance(cause, kind) for cause in causes):
            return fault
    return Fault.OTHER


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies beneath it, be it as cause, as context or as argument, as urllib3 nests them."""
    while error is not None:
        yield error
        for argument in error.args:
            if isinstance(argument, BaseException):
                yield from _chain(argument)
        reason = getattr(error, "reason", None)
        error = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)
