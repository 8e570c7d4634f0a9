"""Which events the processes log: as the source has them, and as docs/logs.md lists them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import wavecom
from wavecom.core.keys import KeyAction
from wavecom.core.users import UserAction
from wavecom.routing.breaker import BreakerState

_PACKAGE = Path(wavecom.__file__).parent
_GUIDE = _PACKAGE.parent / "docs" / "logs.md"
_ROW = re.compile(r"^\| `(\w+)` \| ([\w, ]+) \|([^|\n]*)\| (.+) \|$", re.MULTILINE)

#: The method of structlog that logs an error with its traceback.
_EXCEPTION = "exception"
_METHODS = frozenset({"debug", "info", "warning", "error", "critical", _EXCEPTION})
#: Under this name each module has its logger.
_LOGGER = "log"

#: Events whose names or fields are made at run time: (module, expression of the event) → names, and fields that the
#: syntax tree does not show.
_COMPUTED: Mapping[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("accounts/administration.py", "action.value"): (tuple(KeyAction), ()),
    ("accounts/users.py", "action.value"): (tuple(UserAction), ()),
    ("core/weight_adjustment.py", "event"): (("provider_loses_weight", "provider_regains_weight"), ()),
    ("routing/reporting.py", "event"): (
        ("provider_paused", "provider_resumed", *(f"breaker_{state}" for state in BreakerState)),
        (),
    ),
    ("web/security.py", "'access_refused'"): (
        ("access_refused",),
        ("key_hint", "key_id", "throttled", "exc_info", "unlogged_before"),
    ),
}
#: Loggers that a variable stands for, by module: the levels that it may have. Its call's event is computed, or first.
_CHOSEN_LEVELS: Mapping[str, tuple[str, ...]] = {
    "routing/reporting.py": ("info", "warning"),
    "providers/responses/error_log.py": ("warning", "error"),
}
#: The function that the throttled log of providers' errors is called by, and what it adds itself.
_THROTTLED_LOG = "self._error_log.report"
_THROTTLED_FIELDS = ("provider", "answers")


class LogEvent(NamedTuple):
    """An event: the levels that it is logged with, and every field that a line of it may have."""

    levels: frozenset[str]
    fields: frozenset[str]


class LogCall(NamedTuple):
    """A place in the source that logs: where it is, and what it names."""

    module: str
    line: int
    #: The expressions of the events, one for each branch of a conditional expression.
    events: tuple[ast.expr, ...]
    levels: tuple[str, ...]
    fields: tuple[str, ...]


@cache
def logged_events() -> Mapping[str, LogEvent]:
    """Every event of the source."""
    found: dict[str, LogEvent] = {}
    for call in log_calls():
        for name, extra in _names(call):
            before = found.get(name, LogEvent(frozenset(), frozenset()))
            found[name] = LogEvent(before.levels | set(call.levels), before.fields | _in_line(call.fields + extra))
    return found


@cache
def documented_events() -> Mapping[str, LogEvent]:
    """Every event of the guide, with its row's levels and fields."""
    found: dict[str, LogEvent] = {}
    for name, levels, fields, _ in documented_rows():
        assert name not in found, f"{name} has two rows"
        found[name] = LogEvent(frozenset(_words(levels)), frozenset(_words(fields)))
    return found


def documented_rows() -> list[tuple[str, str, str, str]]:
    """The rows as they stand there: event, levels, fields, meaning."""
    return _ROW.findall(_GUIDE.read_text(encoding="utf-8"))


def log_calls() -> Iterator[LogCall]:
    """Every call that writes a line."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        module = str(path.relative_to(_PACKAGE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (levels := _levels(module, node)):
                # An error log's second argument is what it is throttled by: no field.
                fields = [
                    keyword.arg for keyword in node.keywords if keyword.arg not in {None, "is_reported_elsewhere"}
                ]
                if ast.unparse(node.func) == _THROTTLED_LOG:
                    fields += _THROTTLED_FIELDS
                if levels == (_EXCEPTION,):
                    levels, fields = ("error",), [*fields, "exc_info"]
                yield LogCall(module, node.lineno, _branches(node.args[0]), levels, tuple(filter(None, fields)))


def _levels(module: str, call: ast.Call) -> tuple[str, ...]:
    """The levels of a call that logs; none for any other call."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == _LOGGER and attr in _METHODS:
            return (attr,)
        case ast.Attribute(value=ast.Call(func=ast.Attribute(attr="get_logger")), attr=attr) if attr in _METHODS:
            return (attr,)
        case ast.Attribute() if ast.unparse(call.func) == _THROTTLED_LOG:
            return _CHOSEN_LEVELS["providers/responses/error_log.py"]
        # The throttled log's own call names nothing.
        case ast.Name(id="level") if module == "routing/reporting.py":
            return _CHOSEN_LEVELS[module]
    return ()


def _branches(event: ast.expr) -> tuple[ast.expr, ...]:
    return (event.body, event.orelse) if isinstance(event, ast.IfExp) else (event,)


def _names(call: LogCall) -> Iterator[tuple[str, tuple[str, ...]]]:
    for event in call.events:
        names, extra = _COMPUTED.get((call.module, ast.unparse(event)), ((), ()))
        if not names:
            assert isinstance(event, ast.Constant), f"{call.module}:{call.line} logs an event that is no constant"
            names = (str(event.value),)
        for name in names:
            yield name, extra


def _in_line(fields: tuple[str, ...]) -> frozenset[str]:
    """As they stand in a line: a traceback is the field ``exception``."""
    return frozenset("exception" if field == "exc_info" else field for field in fields)


def _words(cell: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", cell.replace("`", " ")) if word]
