"""How processes tell what they do: structured log lines, and masking. Metrics stand beside what they count."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import orjson
import structlog

#: Libraries whose debug lines show what they carry: whole documents, whole addresses.
_TELLTALES = ("pymongo", "urllib3", "amqp", "kombu")


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
            structlog.processors.format_exc_info,
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
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _with_process(process),
                structlog.processors.JSONRenderer(serializer=lambda *args, **kwargs: _dumps(*args, **kwargs).decode()),
            ],
        )
    )
    # Warnings as lines like all others, not as the interpreter prints them.
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _TELLTALES:
        logging.getLogger(name).setLevel(max(number, logging.INFO))


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
