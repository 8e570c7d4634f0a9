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
from wavecom.core.templates.model import (
    TemplateStore,
    TemplateVersion,
    UnreadableVersionError,
    VersionState,
    VersionSummary,
)
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
    for number in (2, 10, 1, 3):
        store.add(make_version(number))

    assert [each.version for each in store.versions("acme", "order", 2)] == [10, 3]
    assert [each.version for each in store.versions("acme", "order", 2, 3)] == [2, 1]
    assert store.versions("acme", "order", 2, 1) == []
    assert store.versions("acme", "other", 2) == []


def test_a_list_shows_all_of_a_version_but_what_it_says(store: TemplateStore) -> None:
    version = published(1, 2, review_asked_at=later(1), review_asked_by="bo@ops")
    store.add(version)

    [found] = store.versions("acme", "order", 1)

    assert found == VersionSummary.of(version)
    assert (found.types, found.locales) == (("email", "push", "sms"), ("de", "en"))
    assert found.is_readable


def test_templates_are_listed_with_their_newest_and_their_current_version(store: TemplateStore) -> None:
    for version in (
        published(1, 1),
        make_version(2),
        make_version(1, name="bill"),
        make_version(1, client="acme:test"),
    ):
        store.add(version)

    def listed(client: str | None) -> list[tuple[str, str, int, int | None]]:
        found = store.templates(client, 100)
        return [(each.newest.client, each.newest.name, each.newest.version, each.current) for each in found]

    assert listed("acme") == [("acme", "bill", 1, None), ("acme", "order", 2, 1)]
    assert listed(None) == [*listed("acme"), ("acme:test", "order", 1, None)]


@pytest.mark.parametrize("client", ["b", None])
def test_a_list_of_templates_goes_on_where_the_last_page_ended(store: TemplateStore, client: str | None) -> None:
    keys = [(account, name) for account in ("a", "b", "c") for name in ("n-1", "n-2", "n-3")]
    for account, name in reversed(keys):
        store.add(make_version(client=account, name=name))
        store.add(make_version(2, client=account, name=name))
    found: list[tuple[str, str]] = []

    while page := store.templates(client, 2, found[-1] if found else None):
        found += [(each.newest.client, each.newest.name) for each in page]

    assert found == [key for key in keys if client in {None, key[0]}]


def test_an_accounts_templates_are_counted(store: TemplateStore) -> None:
    for version in (make_version(), make_version(2), make_version(name="bill"), make_version(client="other")):
        store.add(version)

    assert [store.count("acme", most) for most in (1, 2, 100)] == [1, 2, 2]
    assert store.count("nobody", 100) == 0


@pytest.fixture
def kept(indexed_database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """Version 1 without what it says, which no list asks for; version 2 of a release that knows more;
    version 3 of one that kept no more than sources."""
    store = MongoTemplateStore(indexed_database)
    for number in (1, 2, 3):
        store.add(make_version(number))
    templates = indexed_database["templates"]
    templates.update_one({"version": 1}, {"$unset": {"source": "", "prepared": ""}})
    templates.update_one({"version": 2}, {"$set": {"kind": "poem", "state": "sung", "source": '{"kind": "poem"}'}})
    templates.update_one({"version": 3}, {"$unset": {"kind": "", "types": "", "locales": ""}})
    return indexed_database


def test_a_version_that_cant_be_read_costs_a_list_nothing(kept: Database[dict[str, Any]]) -> None:
    store = MongoTemplateStore(kept)

    found = store.versions("acme", "order", 10)

    assert [(each.version, each.is_readable, each.kind) for each in found] == [
        (3, True, "message"),
        (2, False, None),
        (1, True, "message"),
    ]
    with pytest.raises(UnreadableVersionError, match="Version 2 of 'order' can't be read"):
        store.get("acme", "order", 2)


def test_versions_of_an_earlier_release_are_listed_as_those_of_this_one(kept: Database[dict[str, Any]]) -> None:
    [newest] = MongoTemplateStore(kept).versions("acme", "order", 1)

    assert newest == VersionSummary.of(make_version(3))


def test_an_earlier_version_that_cant_be_read_is_listed_too(kept: Database[dict[str, Any]]) -> None:
    kept["templates"].update_one({"version": 3}, {"$set": {"source": '{"kind": "poem"}'}})

    [listed] = MongoTemplateStore(kept).templates("acme", 10)

    assert (listed.newest.version, listed.newest.is_readable) == (3, False)


def test_an_entry_about_a_template_stands_in_the_audit(database: Database[dict[str, Any]]) -> None:
    audit = MongoAuditLog(database)
    event = TemplateEvent("e-1", TemplateAction.PUBLISH, "ada@ops", NOW, "acme", "order", 3)
    audit.record_template_event(event)
    audit.record_template_event(event)

    [entry] = audit.newest(action="publish_template", limit=10)

    assert (entry["operator"], entry["client"], entry["template"], entry["version"]) == ("ada@ops", "acme", "order", 3)
