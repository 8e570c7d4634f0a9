"""Jobs of 0.1 get their shard key while both releases run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import NetworkTimeout, OperationFailure

from tests.factories import NOW, make_claim, make_job, make_job_id
from wavecom.cli import main
from wavecom.core.job import Job
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.services.migration import MigrationServices
from wavecom.storage.mongo.documents import to_document
from wavecom.storage.mongo.indexes import INDEXES, OLD_INDEXES
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.shard_key_migration import (
    MigrationRefusedError,
    MigrationResult,
    MigrationState,
    ShardKeyMigration,
)
from wavecom.storage.mongo.sharded_jobs import EARLIER_KEYS

pytestmark = pytest.mark.without_shard_keys

OLD_NAMES = ("jobId_1", "client_1_idempotencyKey_1")
NEW_UNIQUE = ("shardKey_1_jobId_1", "shardKey_1_client_1_idempotencyKey_1")


@dataclass
class Installation:
    """A database that 0.1 has used, and its migration; ``slept`` in seconds, during which time passes."""

    database: Database[dict[str, Any]]
    now: datetime = NOW
    slept: float = 0
    while_asleep: Callable[[], object] = field(default=lambda: None)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += timedelta(seconds=seconds)
        self.while_asleep()

    def migration(self, holder: str = "ada@ops") -> ShardKeyMigration:
        return ShardKeyMigration(self.database, now=lambda: self.now, sleep=self.sleep, holder=holder)

    def jobs(self) -> MongoJobRepository:
        """As a process has it that starts now."""
        return MongoJobRepository(self.database["jobs"], system_now=lambda: NOW)

    def store_as_before(self, count: int, **fields: Any) -> list[Job]:
        jobs = [replace(make_job(**fields), job_id=make_job_id()) for _ in range(count)]
        documents = [to_document(job) for job in jobs]
        for document in documents:
            del document["shardKey"]
        self.database["jobs"].insert_many(documents)
        return jobs

    def run(self, *arguments: str) -> Result:
        services = MigrationServices(migration=self.migration())
        return CliRunner().invoke(main, ["migrate", *arguments], obj=services)

    def indexes(self) -> set[str]:
        return set(self.database["jobs"].index_information())


@pytest.fixture
def installation(database: Database[dict[str, Any]]) -> Installation:
    database["jobs"].create_indexes(list(OLD_INDEXES))
    return Installation(database)


def test_every_job_gets_the_key_that_its_id_ends_with_and_nothing_else_changes(installation: Installation) -> None:
    old = installation.store_as_before(450)
    [keyed] = installation.store_as_before(1, idempotency_key="order-42", fingerprint="f")
    before = {each["jobId"]: each for each in installation.database["jobs"].find()}
    sizes: list[int] = []

    result = installation.migration().run(jobs_per_second=1_000, on_progress=sizes.append)

    after = {each["jobId"]: each for each in installation.database["jobs"].find()}
    assert result == MigrationResult(migrated=451, noted=1, forgotten=0)
    assert sizes == [200, 200, 51]
    assert installation.slept == pytest.approx(0.451)
    assert after == {job_id: {**each, "shardKey": job_id[-8:]} for job_id, each in before.items()}
    assert set(installation.jobs().by_ids([job.job_id for job in [*old, keyed]])) == set(before)


def test_a_repeated_request_finds_its_job_before_while_and_after(installation: Installation) -> None:
    installation.store_as_before(400)
    [old] = installation.store_as_before(1, idempotency_key="order-42")
    early, seen = installation.jobs(), []

    def repeat() -> None:
        for jobs in (early, installation.jobs()):
            [holder] = jobs.insert([make_job(idempotency_key="order-42")])
            seen.append(holder and holder.job_id)

    repeat()
    installation.while_asleep = repeat
    installation.migration().run(jobs_per_second=1_000)
    installation.while_asleep = lambda: None
    installation.migration().drop_old_indexes()
    [holder] = installation.jobs().insert([make_job(idempotency_key="order-42")])

    assert holder is not None
    assert {*seen, holder.job_id} == {old.job_id}
    assert len(seen) == 8
    assert installation.database["jobs"].count_documents({"idempotencyKey": {"$in": ["order-42"]}}) == 1


def test_jobs_are_delivered_while_they_are_migrated(installation: Installation) -> None:
    old = installation.store_as_before(450)
    jobs = installation.jobs()
    open_ = list(old)

    def deliver() -> None:
        batch = [open_.pop().job_id for _ in range(min(100, len(open_)))]
        granted.update(jobs.claim(batch, make_claim(), NOW))

    granted: dict[str, Job] = {}
    installation.while_asleep = deliver
    installation.migration().run(jobs_per_second=1_000)

    assert len(granted) == 300
    found = installation.database["jobs"]
    assert found.count_documents({"status": Status.PROCESSING.value, "shardKey": {"$ne": None}}) == 300
    assert found.count_documents({"shardKey": None}) == 0


def test_a_run_that_was_cut_off_is_gone_on_with(installation: Installation) -> None:
    installation.store_as_before(450)

    def stop() -> None:
        raise KeyboardInterrupt

    installation.while_asleep = stop
    with pytest.raises(KeyboardInterrupt):
        installation.migration().run(jobs_per_second=1_000)
    installation.while_asleep = lambda: None

    assert installation.migration().state().without_shard_key == 250
    assert installation.migration().run(jobs_per_second=1_000).migrated == 250


def test_one_runs_at_a_time_and_one_that_was_killed_counts_as_ended_after_a_minute(installation: Installation) -> None:
    installation.store_as_before(1)
    errors = []

    def start_another() -> None:
        with pytest.raises(MigrationRefusedError, match="ada@ops") as caught:
            installation.migration("bob@ops").run(jobs_per_second=1_000)
        errors.append(caught.value)

    installation.while_asleep = start_another
    installation.migration().run(jobs_per_second=1_000)
    installation.while_asleep = lambda: None
    hold = {"_id": "shard keys", "token": "killed", "holder": "eve@ops", "heldUntil": NOW + timedelta(seconds=60)}
    installation.database["migrations"].insert_one(hold)
    with pytest.raises(MigrationRefusedError, match="eve@ops"):
        installation.migration().run(jobs_per_second=1_000)
    installation.now = NOW + timedelta(seconds=61)

    assert len(errors) == 1
    assert installation.migration().run(jobs_per_second=1_000).migrated == 0
    assert installation.database["migrations"].count_documents({}) == 0


def test_one_that_stood_still_does_not_go_on_beside_the_one_that_took_over(installation: Installation) -> None:
    installation.store_as_before(450)

    def take_over() -> None:
        installation.while_asleep = lambda: None
        installation.now += timedelta(seconds=61)
        installation.migration("bob@ops").run(jobs_per_second=1_000)
        installation.store_as_before(1)

    installation.while_asleep = take_over

    with pytest.raises(MigrationRefusedError, match="taken over"):
        installation.migration().run(jobs_per_second=1_000)


def refuses_another(installation: Installation) -> Callable[[], None]:
    def start_another() -> None:
        with pytest.raises(MigrationRefusedError, match="ada@ops"):
            installation.migration("bob@ops").run(jobs_per_second=1_000)

    return start_another


@pytest.mark.parametrize("rate", [1, 3])
def test_one_that_goes_slowly_stays_the_one_that_runs(installation: Installation, rate: int) -> None:
    installation.store_as_before(201)
    installation.while_asleep = refuses_another(installation)

    result = installation.migration().run(jobs_per_second=rate)

    assert result.migrated == 201
    assert installation.slept == pytest.approx(201 / rate)


def test_one_that_waits_for_an_index_for_minutes_stays_the_one_that_runs(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.store_as_before(1)
    build, began = Collection.create_indexes, installation.now

    def slow_build(jobs: Collection[dict[str, Any]], indexes: Any) -> Any:
        if installation.now - began > timedelta(minutes=5):
            return build(jobs, indexes)
        # As the driver does after the time that the connection gives an answer.
        installation.now += timedelta(seconds=10)
        raise NetworkTimeout("timed out")

    monkeypatch.setattr(Collection, "create_indexes", slow_build)
    installation.while_asleep = refuses_another(installation)

    assert installation.migration().run(jobs_per_second=1_000).migrated == 1
    assert set(NEW_UNIQUE) <= installation.indexes()


def test_an_index_that_can_not_be_built_ends_the_run(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_jobs: Collection[dict[str, Any]], _indexes: Any) -> Any:
        raise OperationFailure("index build failed", 86)

    monkeypatch.setattr(Collection, "create_indexes", refuse)

    with pytest.raises(StoreError):
        installation.migration().run(jobs_per_second=1_000)
    assert installation.database["migrations"].count_documents({}) == 0


def test_old_indexes_are_dropped_a_minute_after_every_job_has_its_key(installation: Installation) -> None:
    installation.store_as_before(3)
    with pytest.raises(MigrationRefusedError, match="jobs without shard key: 3"):
        installation.migration().drop_old_indexes()
    installation.migration().run(jobs_per_second=1_000)
    installation.slept = 0
    waits: list[float] = []

    dropped = installation.migration().drop_old_indexes(waits.append)

    assert dropped == OLD_NAMES
    assert (waits, installation.slept) == ([60.0], 60)
    assert installation.indexes() == {"_id_"} | {index.document["name"] for index in INDEXES["jobs"]}
    assert installation.migration().drop_old_indexes() == ()


def test_old_indexes_stay_when_a_process_of_0_1_turns_up_in_that_minute(installation: Installation) -> None:
    installation.migration().run(jobs_per_second=1_000)
    installation.while_asleep = lambda: installation.store_as_before(1)

    with pytest.raises(MigrationRefusedError, match="stop all processes of it"):
        installation.migration().drop_old_indexes()

    assert set(OLD_NAMES) <= installation.indexes()


def test_notes_of_jobs_that_were_purged_are_removed_and_their_keys_are_free(installation: Installation) -> None:
    kept, purged = (installation.store_as_before(1, idempotency_key=key)[0] for key in ("kept", "purged"))
    installation.migration().run(jobs_per_second=1_000)
    installation.database["jobs"].delete_one({"jobId": purged.job_id})

    result = installation.migration().run(jobs_per_second=1_000)

    assert result.forgotten == 1
    assert [each["jobId"] for each in installation.database[EARLIER_KEYS].find()] == [kept.job_id]
    assert installation.jobs().insert([make_job(idempotency_key="purged")]) == [None]


def test_no_idempotency_key_stands_in_a_note(installation: Installation) -> None:
    installation.store_as_before(1, idempotency_key="ada@example.com")

    installation.migration().run(jobs_per_second=1_000)

    [note] = installation.database[EARLIER_KEYS].find()
    assert set(note) == {"_id", "jobId"}
    assert "ada" not in str(note)


def test_a_document_that_is_no_job_keeps_nobody_waiting(installation: Installation) -> None:
    installation.database["jobs"].insert_one({"note": "by hand"})

    assert installation.migration().run(jobs_per_second=1_000).migrated == 1
    assert installation.database["jobs"].count_documents({"shardKey": None}) == 0


def test_the_command_says_what_there_is_to_do_and_does_it(installation: Installation) -> None:
    installation.store_as_before(2)
    installation.store_as_before(1, idempotency_key="order-42")

    tried = installation.run("--dry-run")
    state = json.loads(installation.run("--dry-run", "--json").stdout)
    untouched = installation.database["jobs"].count_documents({"shardKey": None})
    done = installation.run()
    again = json.loads(installation.run("--json").stdout)
    dropped = installation.run("--drop-old-indexes")

    assert (tried.exit_code, done.exit_code, dropped.exit_code) == (0, 0, 0)
    assert "3 jobs would get a shard key; 1 of them" in tried.stdout
    assert MigrationState(**state).old_indexes == list(OLD_NAMES)
    assert set(NEW_UNIQUE) <= set(state["missing_indexes"])
    assert untouched == 3
    assert done.stdout.startswith("3 jobs got a shard key; 1 idempotency key noted")
    assert "--drop-old-indexes" in done.stdout
    assert again == {"migrated": 0, "noted": 0, "forgotten": 0}
    assert dropped.stdout == "Dropped jobId_1 and client_1_idempotencyKey_1.\n"


def test_the_command_tells_a_refusal_in_words_and_by_its_exit_code(installation: Installation) -> None:
    installation.store_as_before(1)

    refused = installation.run("--drop-old-indexes")
    both = installation.run("--dry-run", "--drop-old-indexes")

    assert (refused.exit_code, both.exit_code) == (1, 2)
    assert "jobs without shard key: 1. Give them one first: wavecom migrate" in refused.stderr
