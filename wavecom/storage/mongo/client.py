"""The connection to MongoDB: one client per process, made after fork, with every wait bounded."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from wavecom.storage.mongo.documents import Document

#: For every MongoDB client of ours, Flask-PyMongo's included (``PyMongo(app, uri, **CLIENT_OPTIONS)``). What the
#: address itself says wins over nothing here: keyword arguments beat the address.
CLIENT_OPTIONS: dict[str, Any] = {
    "appname": "wavecom",
    "tz_aware": True,
    "w": "majority",
    "journal": True,
    "retryWrites": True,
    "retryReads": True,
    "serverSelectionTimeoutMS": 3_000,
    "connectTimeoutMS": 2_000,
    "socketTimeoutMS": 10_000,
    "waitQueueTimeoutMS": 5_000,
}

DEFAULT_DATABASE = "wavecom"


def connect(uri: str, *, pool_size: int = 100) -> MongoClient[Document]:
    """A client for ``uri``; connects on first use, so it never raises for a server that is away.

    ``pool_size`` is the most sockets it will open; threads beyond that wait up to five seconds for one.
    """
    return MongoClient(uri, maxPoolSize=pool_size, **CLIENT_OPTIONS)


def default_database(client: MongoClient[Document]) -> Database[Document]:
    """The database that the address names, else ``wavecom``."""
    return client.get_default_database(DEFAULT_DATABASE)
