"""The connection to MongoDB: one client per process, made after fork, with every wait bounded."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from wavecom.storage.mongo.documents import CODEC, Document

#: For every MongoDB client of ours, Flask-PyMongo's included (``PyMongo(app, uri, **CLIENT_OPTIONS)``). They win over
#: what the address says: how long a thread may be held up is not the address's business.
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


def durable(collection: Collection[Document]) -> Collection[Document]:
    """The collection as WaveCom uses it, whatever its client was set to.

    What is written survives the loss of any one server, and what is read is what was written.
    """
    return collection.with_options(
        codec_options=CODEC,
        write_concern=WriteConcern("majority", j=True),
        read_preference=ReadPreference.PRIMARY,
    )
