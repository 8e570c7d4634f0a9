"""One suite for every ``TemplateStore``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryTemplateStore
from tests.template_environment import ORDER
from wavecom.core.templates.audit import TemplateAction, TemplateEvent
from wavecom.core.templates.model import TemplateStore, TemplateVersion, VersionState
from wavecom.core.templates.sources import read_source
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.templates import MongoTemplateStore

SOURCE, _ = read_source(ORDER)
PREPARED = {"en": {"push": {"title": "{{ name }}", "data": {"a.b": "$c", "": "x"}}}}


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> TemplateStore:
    if request.param == "memory":
        return MemoryTemplateStore()
    return MongoTemplateStore(request.getfixturevalue("indexed_database"))


def make_version(version: int = 1, **overrides: Any) -> TemplateVersion:
    fields: dict[str, Any] = {
        "client": "acme",
        "name": "order",
        "version": version,
        "state": VersionState.DRAFT,
        "source": SOURCE,
        "prepared": PREPARED,
        "note": "first words",
        "created_at": NOW,
        "created_by": "key k-1",
    }
    return TemplateVersion(**(fields | overrides))


def published(version: int, at: float, **overrides: Any) -> TemplateVersion:
    return make_version(
        version, state=VersionState.PUBLISHED, published_at=later(at), published_by="ada@ops", **overrides
    )


def test_a_version_is_found_as_it_was_kept(store: TemplateStore) -> None:
    version = make_version(review_asked_at=later(1), review_asked_by="bo@ops", published_at=later(2), published_by="x")

    assert store.add(version)

    assert store.get("acme", "order", 1) == version
    assert store.get("acme", "order", 2) is None
    assert store.get("acme:test", "order", 1) is None


def test_no_version_is_kept_twice(store: TemplateStore) -> None:
    store.add(make_version())

    assert not store.add(make_version(note="others"))

    found = store.get("acme", "order", 1)
    assert found is not None
    assert found.note == "first words"


def test_a_state_is_changed_once_and_the_source_never(store: TemplateStore) -> None:
    version = make_version()
    store.add(version)
    assert SOURCE is not None
    other = replace(SOURCE, contents={"en": {"sms": {"text": "other"}}})
    changed = published(1, 5, prepared={"en": {"sms": {"text": "made"}}})

    assert store.change_state(replace(changed, source=other), VersionState.DRAFT)
    assert not store.change_state(changed, VersionState.DRAFT)

    assert store.get("acme", "order", 1) == changed


def test_what_was_published_last_is_current(store: TemplateStore) -> None:
    assert store.current("acme", "order") is None
    for version in (published(1, 9), published(2, 5), make_version(3)):
        store.add(version)
    store.add(published(7, 99, client="other"))

    assert store.current("acme", "order") == 1


def test_versions_are_listed_newest_first(store: TemplateStore) -> None:
    for number in (2, 1, 3):
        store.add(make_version(number))

    assert [each.version for each in store.versions("acme", "order", 2)] == [3, 2]
    assert store.versions("acme", "other", 2) == []


def test_templates_are_listed_with_their_newest_and_their_current_version(store: TemplateStore) -> None:
    for version in (
        published(1, 1),
        make_version(2),
        make_version(1, name="bill"),
        make_version(1, client="acme:test"),
    ):
        store.add(version)

    def listed(client: str | None) -> list[tuple[str, str, int, int | None]]:
        found = store.newest(client)
        return [(each.newest.client, each.newest.name, each.newest.version, each.current) for each in found]

    assert listed("acme") == [("acme", "bill", 1, None), ("acme", "order", 2, 1)]
    assert listed(None) == [*listed("acme"), ("acme:test", "order", 1, None)]


def test_an_entry_about_a_template_stands_in_the_audit(database: Database[dict[str, Any]]) -> None:
    audit = MongoAuditLog(database)
    event = TemplateEvent("e-1", TemplateAction.PUBLISH, "ada@ops", NOW, "acme", "order", 3)
    audit.record_template_event(event)
    audit.record_template_event(event)

    [entry] = audit.newest(action="publish_template", limit=10)

    assert (entry["operator"], entry["client"], entry["template"], entry["version"]) == ("ada@ops", "acme", "order", 3)
