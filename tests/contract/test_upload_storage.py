"""One suite for every ``UploadStore``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryUploadStore
from wavecom.core.uploads import UploadedFile, UploadStore, file_id_of
from wavecom.storage.mongo.indexes import INDEXES
from wavecom.storage.mongo.uploads import MongoUploadStore


@pytest.fixture(params=["memory", "mongo"])
def uploads(request: pytest.FixtureRequest) -> UploadStore:
    if request.param == "memory":
        return MemoryUploadStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoUploadStore(database)


def make_file(sha256: str = "a" * 64, account: str = "acme", **overrides: Any) -> UploadedFile:
    fields: dict[str, Any] = {
        "file_id": file_id_of(account, sha256),
        "account": account,
        "sha256": sha256,
        "size": 5,
        "filename": "terms.pdf",
        "content_type": "application/pdf",
        "created_at": NOW,
        "expires_at": later(days=1),
    }
    return UploadedFile(**(fields | overrides))


def test_a_file_comes_back_as_it_was_kept_to_its_account_alone(uploads: UploadStore) -> None:
    file = make_file()

    assert uploads.keep(file) == file

    assert uploads.get("acme", [file.file_id, "b" * 32], NOW) == {file.file_id: file}
    assert uploads.get("acme:test", [file.file_id], NOW) == {}
    assert uploads.get("acme", [], NOW) == {}


def test_the_same_bytes_again_have_the_new_name_the_first_time_and_the_later_end(uploads: UploadStore) -> None:
    uploads.keep(make_file(expires_at=later(days=9)))

    kept = uploads.keep(make_file(filename="conditions.pdf", created_at=later(60), expires_at=later(days=3)))

    assert kept == make_file(filename="conditions.pdf", expires_at=later(days=9))
    assert uploads.get("acme", [kept.file_id], NOW) == {kept.file_id: kept}


def test_a_file_is_there_until_it_expires_whatever_the_server_has_deleted(uploads: UploadStore) -> None:
    file = uploads.keep(make_file())

    assert uploads.get("acme", [file.file_id], later(86_399)) != {}
    assert uploads.get("acme", [file.file_id], file.expires_at) == {}
    assert uploads.all("acme", file.expires_at, 9) == []
    assert uploads.size_of_all("acme", file.expires_at) == 0


def test_an_accounts_files_come_newest_first_and_are_added_up(uploads: UploadStore) -> None:
    for number, account in enumerate(["acme", "acme", "globex", "acme"]):
        uploads.keep(make_file(f"{number:064}", account, size=10 + number, created_at=later(number)))

    assert [file.size for file in uploads.all("acme", NOW, 2)] == [13, 11]
    assert uploads.size_of_all("acme", NOW) == 10 + 11 + 13


def test_a_deleted_file_is_gone_and_only_its_account_can_delete_it(uploads: UploadStore) -> None:
    file = uploads.keep(make_file())

    assert not uploads.remove("globex", file.file_id)
    assert uploads.remove("acme", file.file_id)
    assert not uploads.remove("acme", file.file_id)
    assert uploads.get("acme", [file.file_id], NOW) == {}


def test_uploads_of_one_moment_are_one_file(uploads: UploadStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda days: uploads.keep(make_file(expires_at=later(days=days))), range(1, 17)))

    assert {file.file_id for file in kept} == {make_file().file_id}
    assert uploads.all("acme", NOW, 9) == [make_file(expires_at=later(days=16))]


def test_the_server_lets_go_of_them_by_itself() -> None:
    [index] = [each for each in INDEXES["files"] if "expireAfterSeconds" in each.document]

    assert (dict(index.document["key"]), index.document["expireAfterSeconds"]) == ({"expiresAt": 1}, 0)
