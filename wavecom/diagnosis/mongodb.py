"""MongoDB: whether it answers, how quickly, which version, whether it is a replica set; its indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from wavecom.core import diagnosis
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.context import DiagnosisContext, shortest_seconds
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.indexes import INDEXES, OLD_INDEXES

NAME: Final = "MongoDB"
#: The oldest that the driver speaks to.
_OLDEST: Final = (4, 2)
_AUTHENTICATION_FAILED: Final = 18
_OLD_INDEXES: Final = tuple(index.document["name"] for index in OLD_INDEXES)
_SHOW: Final = """mongosh "$MONGODB_URI" --eval 'db.hello()'"""


@contextmanager
def open_database(context: DiagnosisContext) -> Iterator[Database[dict[str, Any]]]:
    """The database of the settings, over a connection that ends with the block."""
    with connect(context.settings.mongodb_uri, pool_size=1) as client:
        yield default_database(client)


def check_server(context: DiagnosisContext) -> Iterator[CheckResult]:
    """The server itself."""
    try:
        with open_database(context) as database:
            admin = database.client.admin
            hello = admin.command("hello")
            seconds = shortest_seconds(lambda: admin.command("ping"), context.monotonic)
            yield diagnosis.latency("mongodb", NAME, seconds, """mongosh "$MONGODB_URI" --eval 'db.currentOp()'""")
            yield diagnosis.version("mongodb", NAME, admin.command("buildInfo")["version"], _OLDEST)
            yield _replication(hello)
    except PyMongoError as error:
        yield unreachable(error, "mongodb")


def check_indexes(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Every index of every collection, against the one table of them."""
    try:
        with open_database(context) as database:
            for collection, declared in INDEXES.items():
                found = dict(database[collection].index_information())
                old = [] if collection != "jobs" else [name for name in _OLD_INDEXES if found.pop(name, None)]
                yield from diagnosis.indexes(collection, [each.document for each in declared], found)
                if old:
                    text = f"has {' and '.join(old)} of 0.1, by which jobs of then are found: give these a shard key"
                    yield CheckResult("indexes", collection, Severity.WARNING, text, "wavecom migrate")
    except PyMongoError as error:
        yield unreachable(error, "indexes")


def unreachable(error: PyMongoError, check: str) -> CheckResult:
    """What an error of the driver says, without its text, which names hosts and users."""
    if isinstance(error, OperationFailure) and error.code == _AUTHENTICATION_FAILED:
        return CheckResult(check, NAME, Severity.ERROR, "refuses user or password of MONGODB_URI", _SHOW)
    text = f"can't be used ({type(error).__name__}): check MONGODB_URI and that it runs"
    return CheckResult(check, NAME, Severity.ERROR, text, _SHOW)


def _replication(hello: dict[str, Any]) -> CheckResult:
    if hello.get("setName") or hello.get("msg") == "isdbgrid":
        return CheckResult("mongodb", NAME, Severity.OK, "is replicated")
    text = (
        "is no replica set: what it has accepted is lost with its disk; set replSetName in mongod.conf, then initiate"
    )
    return CheckResult("mongodb", NAME, Severity.WARNING, text, """mongosh "$MONGODB_URI" --eval 'rs.initiate()'""")
