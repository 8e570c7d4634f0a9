"""How processes tell what they do: structured log lines, and masking. Metrics stand beside what they count."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import orjson
import structlog

#: Warns of an answer's headers with the address of the call, which for push is the recipient's; its caller is told.
_NAMES_ADDRESSES = "urllib3"

#: Errors whose text names servers, types or limits, and never a value that was being handled.
_PLAIN_ERRORS = frozenset(
    {
        "builtins.OSError",
        "builtins.RuntimeError",
        "builtins.MemoryError",
        "builtins.AttributeError",
        "builtins.ImportError",
        "builtins.NameError",
        "builtins.TypeError",
        "wavecom.errors.WaveComError",
        "amqp.exceptions.AMQPError",
        "pymongo.errors.ConnectionFailure",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
    }
)
#: Of these, those that tell a client what it sent.
_QUOTING_ERRORS = frozenset({"wavecom.errors.RefusedError"})


class TraceIds:
    """Which trace a job belongs to, of the last ``most`` jobs that this process had to do with. Thread-safe."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._of_jobs: dict[str, str] = {}

    def note(self, job_id: str, trace_id: str) -> None:
        """The job is in this trace."""
        with self._lock:
            self._of_jobs.pop(job_id, None)
            self._of_jobs[job_id] = trace_id
            if len(self._of_jobs) > self._most:
                del self._of_jobs[next(iter(self._of_jobs))]

    def of(self, job_id: object) -> str | None:
        """The trace of a job that was noted; None for any other."""
        return self._of_jobs.get(job_id) if isinstance(job_id, str) else None


#: The one of this process, if it traces.
_trace_ids: list[TraceIds] = []


def show_trace_ids() -> TraceIds:
    """From now on lines with a ``job_id`` have the ``trace_id`` that is noted for it."""
    if not _trace_ids:
        _trace_ids.append(TraceIds())
    return _trace_ids[0]


def _add_trace_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _trace_ids and "job_id" in event and "trace_id" not in event:
        found = _trace_ids[0].of(event["job_id"])
        if found is not None:
            event["trace_id"] = found
    return event


def configure_logging(level: str, process: str) -> None:
    """JSON lines on standard error, ours and those of the libraries; call once per process.

    ``level`` is one of debug, info, warning, error. An event is a constant word, everything else a field.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            _add_trace_id,
            _format_exception,
            _with_process(process),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            pass_foreign_args=True,
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, _without_quotation],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _format_exception,
                _with_process(process),
                structlog.processors.JSONRenderer(serializer=lambda *args, **kwargs: _dumps(*args, **kwargs).decode()),
            ],
        )
    )
    # Warnings as lines like all others, not as the interpreter prints them.
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries' debug lines show what they carry: whole documents, whole addresses, whatever library comes next.
    root.setLevel(max(number, logging.INFO))
    logging.getLogger(_NAMES_ADDRESSES).setLevel(max(number, logging.ERROR))


def _without_quotation(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut from a library's line about an error what quotes it: the field ``exception`` tells all that may be told."""
    arguments = event.pop("positional_args", ())
    if not event.get("exc_info"):
        return event
    if event["logger"] == "celery.app.trace" and isinstance(arguments, Mapping):
        event["event"] = f"Task {arguments.get('name')}[{arguments.get('id')}] failed"
    else:
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _format_exception(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """``exc_info`` → ``exception``: a traceback whose errors' texts are left out where they may quote somebody."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_described(error, set()))
    return event


def _described(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _described(before, seen)
        yield "then:"
    if error.__traceback__ is not None:
        yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    name = type(error).__qualname__
    if kinds & _PLAIN_ERRORS and not kinds & _QUOTING_ERRORS:
        yield f"{name}: {error}"
    else:
        code = getattr(error, "code", None)
        yield f"{name} (code {code}, text left out)" if isinstance(code, int) else f"{name} (text left out)"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield "in it:"
            yield from _described(each, seen)


def _dumps(event: Any, **_: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:
        # Half of a surrogate pair, a number beyond 64 bits, a key that is no text: whoever tells of trouble must not
        # get into more of it.
        return json.dumps(event, default=str, skipkeys=True).encode()


def _with_process(process: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event["process"] = process
        return event

    return add


def masked(recipient: str) -> str:
    """A recipient that can be told apart but not used: ``a…@example.com``, ``+44…23``, ``dGhp…``."""
    if "@" in recipient:
        name, _, domain = recipient.rpartition("@")
        return f"{name[:1]}…@{domain}"
    if recipient.startswith("+"):
        return f"{recipient[:3]}…{recipient[-2:]}"
    return f"{recipient[:4]}…"
