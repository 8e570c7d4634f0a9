"""Templates: ``TemplateStore`` on the collection ``templates``, a document for each version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.templates.model import TemplateSummary, TemplateVersion, VersionState
from wavecom.core.templates.sources import read_source, source_json
from wavecom.errors import StoreError
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing

#: Fields of a state → their names in the document.
_STATE_FIELDS = {
    "review_asked_at": "reviewAskedAt",
    "review_asked_by": "reviewAskedBy",
    "published_at": "publishedAt",
    "published_by": "publishedBy",
}


class MongoTemplateStore:
    """``wavecom.core.templates.model.TemplateStore``; safe to share between threads.

    ``source`` and ``prepared`` are JSON texts: they hold clients' own names, with dots and dollars in them.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._versions = durable(database["templates"])

    def add(self, version: TemplateVersion) -> bool:
        """See the port."""
        document: Document = {
            "client": version.client,
            "name": version.name,
            "version": version.version,
            "source": orjson.dumps(source_json(version.source)).decode(),
            "note": version.note,
            "createdAt": version.created_at,
            "createdBy": version.created_by,
            **_state(version),
        }
        with writing():
            try:
                self._versions.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    def change_state(self, version: TemplateVersion, expected: VersionState) -> bool:
        """See the port."""
        where = {"client": version.client, "name": version.name, "version": version.version, "state": expected.value}
        with writing():
            return self._versions.update_one(where, {"$set": _state(version)}).matched_count == 1

    def get(self, client: str, name: str, version: int) -> TemplateVersion | None:
        """See the port."""
        with reading():
            found = self._versions.find_one({"client": client, "name": name, "version": version})
        return None if found is None else _version(found)

    def current(self, client: str, name: str) -> int | None:
        """See the port."""
        where = {"client": client, "name": name, "publishedAt": {"$exists": True}}
        with reading():
            found = self._versions.find_one(where, {"version": 1}, sort=[("publishedAt", DESCENDING)])
        return None if found is None else int(found["version"])

    def versions(self, client: str, name: str, limit: int) -> Sequence[TemplateVersion]:
        """See the port."""
        with reading():
            found = self._versions.find({"client": client, "name": name}).sort("version", DESCENDING).limit(limit)
            return [_version(each) for each in found]

    def newest(self, client: str | None) -> Sequence[TemplateSummary]:
        """See the port."""
        where: Document = {} if client is None else {"client": client}
        keys = {"client": 1, "name": 1, "version": 1, "publishedAt": 1}
        order = [("client", ASCENDING), ("name", ASCENDING), ("version", ASCENDING)]
        newest: dict[tuple[str, str], int] = {}
        current: dict[tuple[str, str], tuple[Any, int]] = {}
        with reading():
            for each in self._versions.find(where, keys).sort(order):
                key = each["client"], each["name"]
                newest[key] = each["version"]
                if "publishedAt" in each:
                    published = each["publishedAt"], each["version"]
                    current[key] = max(current.get(key, published), published)
        found = [(key, self.get(*key, number)) for key, number in newest.items()]
        return [
            TemplateSummary(version, current[key][1] if key in current else None)
            for key, version in found
            if version is not None
        ]


def _state(version: TemplateVersion) -> Document:
    document: Document = {"state": version.state.value, "prepared": orjson.dumps(version.prepared).decode()}
    values = {name: getattr(version, attribute) for attribute, name in _STATE_FIELDS.items()}
    return document | {name: value for name, value in values.items() if value is not None}


def _version(document: Document) -> TemplateVersion:
    source, problems = read_source(orjson.loads(document["source"]))
    if source is None:
        # Of a release that allows what this one does not.
        raise StoreError(f"A version of a template can't be read: {problems[0].where} {problems[0].message}")
    return TemplateVersion(
        client=document["client"],
        name=document["name"],
        version=document["version"],
        state=VersionState(document["state"]),
        source=source,
        prepared=orjson.loads(document["prepared"]),
        note=document["note"],
        created_at=document["createdAt"],
        created_by=document["createdBy"],
        **{attribute: document.get(name) for attribute, name in _STATE_FIELDS.items()},
    )
