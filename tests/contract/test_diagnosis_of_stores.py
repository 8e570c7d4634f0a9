"""``wavecom doctor`` at MongoDB and Redis: what is well is well, and each planted fault is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from pymongo.database import Database

from tests import peers
from tests.diagnosis_faults import faults
from tests.factories import NOW, later, make_job, make_job_id
from tests.peers import HttpPeer
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState
from wavecom.core.diagnosis import Severity
from wavecom.core.progress import StallReport
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.quota import StoredAnswer
from wavecom.core.states import Status
from wavecom.diagnosis import clocks, mongodb, providers, restore
from wavecom.diagnosis import redis as redis_server
from wavecom.diagnosis.context import CheckFunction, DiagnosisContext
from wavecom.settings import Settings
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.indexes import OLD_INDEXES, ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.store_heartbeat import MongoStoreHeartbeat
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.heartbeat_memory import RedisHeartbeatMemory
from wavecom.storage.redis.progress import RedisProgress
from wavecom.storage.redis.provider_board import RedisProviderBoard
from wavecom.storage.redis.quota import RedisQuotas


@pytest.fixture
def settings(mongodb_uri: str, redis_url: str) -> Settings:
    return Settings(mongodb_uri=mongodb_uri, redis_url=redis_url)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout_seconds=5) as client:
        yield client


def with_wrong_password(url: str) -> str:
    before, _, host = url.rpartition("@")
    return f"{before[:-1]}@{host}"


def test_a_store_that_answers_is_well_but_for_its_being_alone(settings: Settings) -> None:
    assert {each.text.split(":")[0] for each in faults(mongodb.check_server, settings)} <= {"is no replica set"}


@pytest.mark.parametrize("check", [mongodb.check_server, mongodb.check_indexes])
def test_a_store_that_is_away_is_an_error(check: CheckFunction, settings: Settings) -> None:
    away = Settings(mongodb_uri="mongodb://user:hunter2@127.0.0.1:1/wavecom")

    [fault] = faults(check, away)

    assert fault.severity is Severity.ERROR
    assert "MONGODB_URI" in fault.text
    assert "hunter2" not in str(fault)


def test_indexes_that_are_missing_of_another_kind_or_not_ours_are_found(
    settings: Settings, database: Database[dict[str, Any]]
) -> None:
    ensure_indexes(database)
    assert faults(mongodb.check_indexes, settings) == []

    database["jobs"].drop_index("recipient_1_createdAt_1_jobId_1")
    database["keys"].drop_index("hash_1")
    database["keys"].create_index("hash")
    database["audit"].create_index("actor")

    found = [
        (each.subject, each.severity, each.text.split(" ")[:2]) for each in faults(mongodb.check_indexes, settings)
    ]
    assert found == [
        ("jobs", Severity.ERROR, ["lacks", "recipient_1_createdAt_1_jobId_1;"]),
        ("audit", Severity.WARNING, ["actor_1", "is"]),
        ("keys", Severity.ERROR, ["hash_1", "is"]),
    ]


def test_indexes_of_0_1_are_not_to_be_dropped_by_hand(settings: Settings, database: Database[dict[str, Any]]) -> None:
    """Jobs of 0.1 are found by them, and unique by them."""
    ensure_indexes(database)
    database["jobs"].create_indexes(list(OLD_INDEXES))

    [found] = faults(mongodb.check_indexes, settings)

    assert (found.severity, found.remedy) == (Severity.WARNING, "wavecom migrate")
    assert "jobId_1" in found.text


def test_an_empty_store_lacks_all_indexes_and_the_command_makes_them(settings: Settings) -> None:
    found = faults(mongodb.check_indexes, settings)

    assert {each.subject for each in found} >= {"jobs", "keys", "suppressions"}
    assert {(each.severity, each.remedy) for each in found} == {(Severity.ERROR, "wavecom start web")}


def test_a_redis_that_answers_and_takes_writes_is_well(settings: Settings) -> None:
    assert faults(redis_server.check_server, settings) == []


def test_a_redis_with_another_password_is_an_error_that_does_not_show_it(settings: Settings, redis_url: str) -> None:
    wrong = with_wrong_password(redis_url)

    [fault] = faults(redis_server.check_server, Settings(redis_url=wrong))

    assert fault.severity is Severity.ERROR
    assert "password" in fault.text
    assert wrong.split(":")[2].split("@")[0] not in str(fault)


@pytest.mark.parametrize(
    ("setting", "value", "back", "severity", "text"),
    [
        ("maxmemory", "1mb", "256mb", Severity.ERROR, "full: it takes no writes"),
        ("min-replicas-to-write", "1", "0", Severity.ERROR, "read_only: it takes no writes"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", Severity.WARNING, "maxmemory-policy is allkeys-lru"),
    ],
)
def test_a_redis_that_would_lose_or_refuse_what_is_written_is_told_of(
    settings: Settings, client: redis.Redis, setting: str, value: str, back: str, severity: Severity, text: str
) -> None:
    client.set("ballast", "x" * 2_000_000)
    client.config_set(setting, value)
    try:
        found = faults(redis_server.check_server, settings)
    finally:
        client.config_set(setting, back)

    assert [(each.severity, each.text.startswith(text)) for each in found] == [(severity, True)]


def test_clocks_that_agree_are_well_and_one_that_is_off_is_told_of_for_each_server(settings: Settings) -> None:
    agreeing = faults(clocks.check_clocks, settings)
    fast = faults(clocks.check_clocks, settings, timedelta(seconds=20))
    slow = faults(clocks.check_clocks, settings, -timedelta(hours=1))

    assert agreeing == []
    assert [(each.subject, each.severity) for each in fast] == [
        ("MongoDB", Severity.WARNING),
        ("Redis", Severity.WARNING),
    ]
    assert [(each.severity, "behind" in each.text) for each in slow] == [(Severity.ERROR, True)] * 2


def test_a_clock_that_cannot_be_read_hides_no_other(settings: Settings, redis_url: str) -> None:
    away = Settings(mongodb_uri="mongodb://127.0.0.1:1/wavecom", redis_url=redis_url)

    assert [each.subject for each in faults(clocks.check_clocks, away)] == ["MongoDB"]


@pytest.mark.parametrize(
    ("age", "stalled", "cancelled", "text", "remedy"),
    [
        (0, [], [], None, None),
        (120, [], [], "sweep_silent", "wavecom start ops"),
        (0, ["notifications.sms.high"], [], "deliveries_stalled: notifications.sms.high", "wavecom start worker"),
        (0, [], [topology.TEST_QUEUE], f"consumer_cancelled: {topology.TEST_QUEUE}", "wavecom start worker"),
    ],
)
def test_what_the_sweep_found_is_told(
    settings: Settings,
    client: redis.Redis,
    age: float,
    stalled: list[str],
    cancelled: list[str],
    text: str | None,
    remedy: str | None,
) -> None:
    progress = RedisProgress(client, topology.queue_name, lambda: datetime.now(UTC))
    progress.publish(StallReport(datetime.now(UTC) - timedelta(seconds=age), stalled))
    progress.note_cancelled("worker1@host", cancelled)

    found = faults(redis_server.check_deliveries, settings)

    assert [(each.text, each.remedy) for each in found] == ([] if text is None else [(text, remedy)])


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), -timedelta(minutes=5)])
def test_what_the_sweep_found_counts_by_the_stores_clock_and_not_by_this_machines(
    settings: Settings, client: redis.Redis, ahead: timedelta
) -> None:
    progress = RedisProgress(client, topology.queue_name, lambda: datetime.now(UTC))
    progress.publish(StallReport(datetime.now(UTC), []))
    moving = faults(redis_server.check_deliveries, settings, ahead)
    progress.publish(StallReport(datetime.now(UTC) - timedelta(seconds=120), []))

    silent = faults(redis_server.check_deliveries, settings, ahead)

    assert moving == []
    assert [each.text for each in silent] == ["sweep_silent"]


def test_that_nobody_has_ever_swept_is_told(settings: Settings) -> None:
    [fault] = faults(redis_server.check_deliveries, settings)

    assert (fault.severity, fault.remedy) == (Severity.WARNING, "wavecom start beat")


PROVIDERS = """
[providers.gateway]
type = "http"
url = "https://user:hunter2@gateway.example/send"
channels = ["sms"]
[providers.box]
type = "sandbox"
[routes]
sms = ["gateway"]
email = ["box"]
"""


def test_the_file_its_routes_and_how_workers_find_providers_are_told(
    settings: Settings, client: redis.Redis, tmp_path: Any, mongodb_uri: str, redis_url: str
) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS)
    served = Settings(mongodb_uri=mongodb_uri, redis_url=redis_url, providers_file=file)
    silent = faults(providers.check_providers, served)
    refused = ProviderStatus("gateway", ProviderAvailability.LEFT_ALONE, None, "3 of 3 calls failed", "credentials")
    RedisProviderBoard(client).publish([refused, ProviderStatus("box", ProviderAvailability.IN_USE, None, "", "")])

    told = faults(providers.check_providers, served)

    routes = [("push", "wavecom check"), ("email", "wavecom check")]
    assert [(each.subject, each.remedy) for each in silent] == [*routes, ("all", "wavecom start worker")]
    assert [(each.subject, each.remedy) for each in told] == [*routes, ("gateway", "wavecom providers check gateway")]
    assert told[-1].severity is Severity.ERROR
    assert "hunter2" not in str(told)


def test_mistakes_in_the_file_are_told_by_line(redis_url: str, tmp_path: Any) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.replace("channels", "channelz"))

    found = faults(providers.check_providers, Settings(redis_url=redis_url, providers_file=file))

    assert any("channelz" in each.text and "providers.toml:5" in each.subject for each in found)


def test_our_account_is_asked_about_where_that_is_wanted_alone(redis_url: str, mongodb_uri: str, tmp_path: Any) -> None:
    file = tmp_path / "providers.toml"
    with HttpPeer(peers.reply(401, b"{}")) as postmark:
        file.write_text(f"""
            [providers.mail]
            type = "postmark"
            server_token = "hunter2"
            sender = "bank@example.com"
            base_url = "http://127.0.0.1:{postmark.port}"
            [routes]
            email = ["mail"]
        """)
        settings = Settings(mongodb_uri=mongodb_uri, redis_url=redis_url, providers_file=file)
        unasked = list(providers.check_providers(DiagnosisContext(settings=settings)))
        asked = list(providers.check_providers(DiagnosisContext(settings=settings, asks_accounts=True)))

    [fault] = [each for each in asked if each.severity is Severity.ERROR]
    assert (fault.subject, fault.remedy) == ("mail credentials", "wavecom providers check mail")
    assert {each.severity for each in unasked} == {Severity.OK, Severity.WARNING}
    assert "hunter2" not in str(asked)


def test_answers_for_notifications_that_a_restored_store_does_not_have_are_found(
    settings: Settings, client: redis.Redis, database: Database[dict[str, Any]]
) -> None:
    quotas = RedisQuotas(client)
    kept, lost = make_job(idempotency_key="kept"), make_job(idempotency_key="lost")
    MongoJobRepository(database["jobs"]).insert([kept])
    for job in (kept, lost):
        quotas.store_answer(f"acme:{job.idempotency_key}", StoredAnswer("fingerprint", job.job_id, "{}"))
    wait_until(lambda: client.llen("wavecom:answers") == 2, "the answers to be written")

    [fault] = faults(restore.check_restore, settings)
    client.flushdb()

    assert fault.severity is Severity.ERROR
    assert "latest 2 answers to idempotency keys 1 name" in fault.text
    assert fault.remedy == f"wavecom restore --copied-at {NOW:%Y-%m-%dT%H:%M:%SZ}"
    assert faults(restore.check_restore, settings) == []


def test_a_store_that_is_older_than_redis_remembers_is_found(
    settings: Settings, client: redis.Redis, database: Database[dict[str, Any]]
) -> None:
    heartbeats, memory = MongoStoreHeartbeat(database), RedisHeartbeatMemory(client)
    beat = heartbeats.beat(None, NOW)
    assert beat is not None
    memory.note(beat)
    current = faults(restore.check_restore, settings)
    memory.note(replace(beat, number=700, at=later(hours=1)))

    [fault] = faults(restore.check_restore, settings)
    heartbeats.recover(701, later(hours=2))

    assert current == []
    assert (fault.subject, fault.severity, fault.remedy) == ("MongoDB", Severity.ERROR, "wavecom restore")
    assert f"{NOW:%H:%M:%S}" in fault.text
    assert f"{later(hours=1):%H:%M:%S}" in fault.text
    assert faults(restore.check_restore, settings) == []


def test_of_a_restore_that_was_settled_it_says_what_is_left_to_decide(
    settings: Settings, client: redis.Redis, database: Database[dict[str, Any]]
) -> None:
    jobs = MongoJobRepository(database["jobs"])
    undecided = make_job(status=Status.UNCONFIRMED)
    jobs.insert([undecided])
    operation = BulkOperation(
        "run-1", AuditAction.RESTORE, "ada@ops", later(hours=2), {"copiedAt": later(minutes=1).isoformat()}
    )
    operation.state = BulkOperationState.FINISHED
    MongoAuditLog(database).record(operation)
    quotas = RedisQuotas(client)
    quotas.store_answer("acme:lost", StoredAnswer("fingerprint", make_job_id(later(minutes=30)), "{}"))
    wait_until(lambda: client.llen("wavecom:answers") == 1, "the answer to be written")

    [left] = faults(restore.check_restore, settings)
    quotas.store_answer("acme:unexplained", StoredAnswer("fingerprint", make_job_id(later(hours=3)), "{}"))
    wait_until(lambda: client.llen("wavecom:answers") == 2, "the answer to be written")
    unexplained = faults(restore.check_restore, settings)[0]

    assert left.severity is Severity.WARNING
    assert "1 are unconfirmed" in left.text
    assert left.remedy.startswith("wavecom unconfirmed list --until ")
    assert (unexplained.subject, unexplained.severity) == ("Redis", Severity.ERROR)
