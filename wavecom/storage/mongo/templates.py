"""Templates: ``TemplateStore`` on the collection ``templates``, a document for each version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.templates.model import (
    TemplateKind,
    TemplateSummary,
    TemplateVersion,
    UnreadableVersionError,
    VersionState,
    VersionSummary,
)
from wavecom.core.templates.sources import read_source, source_json
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


#: What lists show: no source, which may have megabytes.
_LISTED: Final = dict.fromkeys(
    (
        "client",
        "name",
        "version",
        "kind",
        "types",
        "locales",
        "note",
        "state",
        "createdAt",
        "createdBy",
        *_STATE_FIELDS.values(),
    ),
    1,
)


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
            "kind": version.source.kind.value,
            "types": list(version.source.types),
            "locales": list(version.source.locales),
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

    def versions(self, client: str, name: str, limit: int, below: int | None = None) -> Sequence[VersionSummary]:
        """See the port."""
        where: Document = {"client": client, "name": name}
        if below is not None:
            where["version"] = {"$lt": below}
        with reading():
            found = list(self._versions.find(where, _LISTED).sort("version", DESCENDING).limit(limit))
            return self._summaries(found)

    def templates(
        self, client: str | None, limit: int, after: tuple[str, str] | None = None
    ) -> Sequence[TemplateSummary]:
        """See the port."""
        with reading():
            keys = self._keys(client, limit, after)
            found = [document for key in keys for document in self._newest(*key)]
            return [TemplateSummary(each, self.current(each.client, each.name)) for each in self._summaries(found)]

    def count(self, client: str, most: int) -> int:
        """See the port."""
        with reading():
            return self._versions.count_documents({"client": client, "version": 1}, limit=most)

    def _keys(self, client: str | None, limit: int, after: tuple[str, str] | None) -> list[tuple[str, str]]:
        """Clients and names of templates. Each has a first version, and no other has its number: so keys of the index
        are passed over, and no version's text is read."""
        ranges: list[Document] = [{} if client is None else {"client": client}]
        if after is not None:
            # What is left of the cursor's own account, then the accounts behind it: a keyset without $or.
            ranges = [{"client": after[0], "name": {"$gt": after[1]}}]
            if client is None:
                ranges.append({"client": {"$gt": after[0]}})
        order = [("client", ASCENDING), ("name", ASCENDING)]
        keys: list[tuple[str, str]] = []
        for each in ranges:
            if len(keys) < limit:
                where = each | {"version": 1}
                found = self._versions.find(where, {"_id": 0, "client": 1, "name": 1}).sort(order)
                keys += [(one["client"], one["name"]) for one in found.limit(limit - len(keys))]
        return keys

    def _newest(self, client: str, name: str) -> list[Document]:
        found = self._versions.find({"client": client, "name": name}, _LISTED)
        return list(found.sort("version", DESCENDING).limit(1))

    def _summaries(self, documents: Sequence[Document]) -> list[VersionSummary]:
        """What lists show. Versions of releases that kept a source alone are read whole."""
        earlier = [document["_id"] for document in documents if "kind" not in document]
        sources: dict[Any, Document] = {}
        if earlier:
            where = {"_id": {"$in": earlier}}
            sources = {each["_id"]: _listed_of(each["source"]) for each in self._versions.find(where, {"source": 1})}
        return [_summary(document | sources.get(document["_id"], {})) for document in documents]


def _state(version: TemplateVersion) -> Document:
    document: Document = {"state": version.state.value, "prepared": orjson.dumps(version.prepared).decode()}
    values = {name: getattr(version, attribute) for attribute, name in _STATE_FIELDS.items()}
    return document | {name: value for name, value in values.items() if value is not None}


def _listed_of(source: str) -> Document:
    read, _ = read_source(orjson.loads(source))
    return {} if read is None else {"kind": read.kind.value, "types": read.types, "locales": read.locales}


def _summary(document: Document) -> VersionSummary:
    kind, state = document.get("kind"), document["state"]
    return VersionSummary(
        client=document["client"],
        name=document["name"],
        version=document["version"],
        kind=TemplateKind(kind) if kind in set(TemplateKind) else None,
        state=VersionState(state) if state in set(VersionState) else None,
        types=tuple(document.get("types", ())),
        locales=tuple(document.get("locales", ())),
        note=document["note"],
        created_at=document["createdAt"],
        created_by=document["createdBy"],
        **{attribute: document.get(name) for attribute, name in _STATE_FIELDS.items()},
    )


def _version(document: Document) -> TemplateVersion:
    source, problems = read_source(orjson.loads(document["source"]))
    name, number, state = document["name"], document["version"], document["state"]
    if source is None:
        raise UnreadableVersionError(name, number, f"{problems[0].where} {problems[0].message}")
    if state not in set(VersionState):
        raise UnreadableVersionError(name, number, f"its state is {state}")
    return TemplateVersion(
        client=document["client"],
        name=name,
        version=number,
        state=VersionState(state),
        source=source,
        prepared=orjson.loads(document["prepared"]),
        note=document["note"],
        created_at=document["createdAt"],
        created_by=document["createdBy"],
        **{attribute: document.get(name) for attribute, name in _STATE_FIELDS.items()},
    )
