"""Databases with WaveCom's indexes, one for each test: new, or emptied after a test that has left its indexes alone.

To make the indexes, to drop those that purge and to drop all with the database costs the embedded server and its client
50 ms of CPU; to empty two collections, three.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from pymongo import MongoClient, monitoring
from pymongo.database import Database

from wavecom.storage.mongo.indexes import INDEXES, ensure_indexes

_WRITES = frozenset({"insert", "update", "delete", "findAndModify", "findandmodify"})
_CHANGES = frozenset({"createIndexes", "dropIndexes", "create", "drop", "collMod", "renameCollection", "dropDatabase"})


class WrittenCollections(monitoring.CommandListener):
    """What this process has asked of each database since it was last asked about it."""

    def __init__(self) -> None:
        self._written: dict[str, set[str]] = defaultdict(set)
        self._changed: set[str] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in _WRITES:
            self._written[event.database_name].add(str(event.command[event.command_name]))
        elif event.command_name in _CHANGES:
            self._changed.add(event.database_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        return None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        return None

    def forget(self, database: str) -> None:
        """Whatever was asked of it so far."""
        self._written.pop(database, None)
        self._changed.discard(database)

    def is_changed(self, database: str) -> bool:
        """Whether it may have other collections or indexes than before."""
        return database in self._changed or not self._written[database] <= INDEXES.keys()

    def written(self, database: str) -> set[str]:
        """The names of its collections that may have got documents."""
        return self._written[database]


class IndexedDatabases:
    """Those of one server. The indexes that purge are not there: to the server, the time of the tests is long ago."""

    def __init__(self, written: WrittenCollections) -> None:
        self._written = written
        self._empty: list[str] = []

    def take(self, client: MongoClient[dict[str, Any]]) -> Database[dict[str, Any]]:
        """One without a document."""
        if self._empty:
            return client[self._empty.pop()]
        database = client[f"test_{uuid.uuid4().hex[:12]}"]
        ensure_indexes(database)
        for collection, indexes in INDEXES.items():
            for index in indexes:
                if "expireAfterSeconds" in index.document:
                    database[collection].drop_index(index.document["name"])
        self._written.forget(database.name)
        return database

    def give_back(self, database: Database[dict[str, Any]]) -> None:
        """The test is over: empty it for another, or drop it where that one could tell."""
        if not self._written.is_changed(database.name):
            for collection in self._written.written(database.name):
                database[collection].delete_many({})
            self._written.forget(database.name)
            # Other processes write too.
            if database.command("dbStats")["objects"] == 0:
                self._empty.append(database.name)
                return
        database.client.drop_database(database.name)
