"""The driver's errors as ours, at the border."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from wavecom.errors import StoreError, UncertainWriteError

#: The server's error codes that we act on.
DUPLICATE_KEY = 11000
WRITE_CONFLICT = 112

#: Raised before anything goes out to a server.
_NOTHING_SENT = (ServerSelectionTimeoutError, WaitQueueTimeoutError, InvalidOperation, ConfigurationError)
#: The server refused to listen to us at all: Unauthorized, AuthenticationFailed, AtlasError (wrong credentials).
_REFUSED_CODES = frozenset({13, 18, 8000})


def as_write_error(error: PyMongoError) -> StoreError:
    """``StoreError`` when certainly nothing was written, else ``UncertainWriteError``; raise it ``from cause_of``."""
    is_refused = isinstance(error, OperationFailure) and error.code in _REFUSED_CODES
    if is_refused or isinstance(error, _NOTHING_SENT):
        return as_read_error(error)
    return UncertainWriteError(f"MongoDB did not confirm a write, it may have been made ({type(error).__name__})")


def as_read_error(error: PyMongoError) -> StoreError:
    """What a failed read, or a write that certainly was not made, comes to."""
    # The driver's own text, which names hosts, is in the cause.
    return StoreError(f"MongoDB can't be reached or refused to serve ({type(error).__name__})")


def cause_of(error: PyMongoError) -> PyMongoError:
    """The same error without what the server has said of documents, to be raised from: logs show causes.

    The text of a ``BulkWriteError`` holds each document whole that was refused, and that of others the key.
    """
    if isinstance(error, BulkWriteError):
        failed = [{"index": each["index"], "code": each["code"]} for each in error.details.get("writeErrors", ())]
        concerns = [{"code": each.get("code")} for each in error.details.get("writeConcernErrors", ())]
        told: PyMongoError = BulkWriteError({"writeErrors": failed, "writeConcernErrors": concerns})
    elif isinstance(error, OperationFailure):
        told = type(error)(f"the server answered with the error code {error.code}", error.code)
    else:
        return error
    return told.with_traceback(error.__traceback__)


@contextmanager
def reading() -> Iterator[None]:
    """Around reads: raises ``StoreError`` for every error of the driver."""
    try:
        yield
    except PyMongoError as error:
        raise as_read_error(error) from cause_of(error)


@contextmanager
def writing() -> Iterator[None]:
    """Around writes: raises ``StoreError`` or ``UncertainWriteError`` for every error of the driver."""
    try:
        yield
    except PyMongoError as error:
        raise as_write_error(error) from cause_of(error)
