from __future__ import annotations

import traceback
from collections.abc import Iterator

import pytest
from pymongo import errors as driver

from wavecom.errors import StoreError, UncertainWriteError
from wavecom.storage.mongo.errors import reading, writing


def _all_below(base: type[driver.PyMongoError]) -> Iterator[type[driver.PyMongoError]]:
    yield base
    for below in base.__subclasses__():
        yield from _all_below(below)


#: Of features that we do not use, and hard to make.
OTHERS = {driver.ClientBulkWriteException, driver.EncryptedCollectionError}
EVERY_ERROR = sorted(set(_all_below(driver.PyMongoError)) - OTHERS, key=lambda each: each.__name__)
NOTHING_SENT = {
    driver.ServerSelectionTimeoutError,
    driver.WaitQueueTimeoutError,
    driver.InvalidOperation,
    driver.ConfigurationError,
}


def _make(error: type[driver.PyMongoError]) -> driver.PyMongoError:
    if issubclass(error, driver.BulkWriteError):
        return error({"writeErrors": [], "writeConcernErrors": []})
    return error("mongodb://secret@host: it broke")


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.__name__)
def test_every_error_of_the_driver_is_one_of_ours_in_a_read(error: type[driver.PyMongoError]) -> None:
    with pytest.raises(StoreError) as caught, reading():
        raise _make(error)

    assert caught.type is StoreError
    assert type(caught.value.__cause__) is error
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.__name__)
def test_a_write_is_uncertain_unless_nothing_was_sent(error: type[driver.PyMongoError]) -> None:
    with pytest.raises(StoreError) as caught, writing():
        raise _make(error)

    is_certain = any(issubclass(error, each) for each in NOTHING_SENT)
    assert caught.type is (StoreError if is_certain else UncertainWriteError)


def _logged(error: driver.PyMongoError) -> str:
    with pytest.raises(StoreError) as caught, writing():
        raise error
    return "".join(traceback.format_exception(caught.value))


def test_no_document_that_was_refused_is_shown_with_the_error() -> None:
    document = {"recipient": "amina@example.com", "payload": {"text": "your code is 4711"}}
    failure = {"index": 0, "code": 121, "errmsg": "validation of amina@example.com failed", "op": document}

    shown = _logged(driver.BulkWriteError({"writeErrors": [failure], "writeConcernErrors": [], "nInserted": 0}))

    assert "'code': 121" in shown
    assert "amina" not in shown
    assert "4711" not in shown


@pytest.mark.parametrize("error", [driver.DuplicateKeyError, driver.WriteError, driver.OperationFailure])
def test_no_key_that_is_there_already_is_shown_with_the_error(error: type[driver.OperationFailure]) -> None:
    details = {"keyValue": {"recipient": "amina@example.com"}}

    shown = _logged(error("E11000 duplicate key: amina@example.com", 11000, details))

    assert "11000" in shown
    assert error.__name__ in shown
    assert "amina" not in shown


@pytest.mark.parametrize("code", [13, 18, 8000])
def test_a_server_that_does_not_let_us_in_has_written_nothing(code: int) -> None:
    with pytest.raises(StoreError) as caught, writing():
        raise driver.OperationFailure("not authorized", code)

    assert caught.type is StoreError
