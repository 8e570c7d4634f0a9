from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_job, make_job_id
from wavecom.core.job import Claim, FallbackStep, Job, JobError, LogEntry, TemplateUse, Trace, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import JobFilter, JobRepository
from wavecom.core.states import Status
from wavecom.errors import InvalidRequestError


def _with_every_field() -> Job:
    entry = LogEntry(NOW, "unavailable", 2, "mail", "unavailable", "http_503", "busy", 31.5, later(8))
    return make_job(
        type=Channel.EMAIL,
        status=Status.RETRYING,
        priority=Priority.HIGH,
        region="north",
        recipient_id="user-42",
        category="news",
        held_until=later(3600),
        campaign="campaign-1",
        parent=FallbackStep("fallback-1", 2),
        sent_at=later(3601),
        metadata={"order": 7},
        attempts=2,
        max_attempts=9,
        on_unknown_outcome=UnknownOutcomePolicy.STOP,
        may_have_been_sent=True,
        replays=1,
        idempotency_key="key",
        fingerprint="abc",
        created_by="key k-1",
        send_at=later(1),
        provider="mail",
        provider_message_id="message-7",
        refused_by=("sms",),
        error=JobError("provider_unavailable", "http_503", "mail"),
        claim=Claim("token", "worker-1", later(30)),
        next_attempt_at=later(8),
        queued_at=later(8),
        due_at=later(38),
        finished_at=later(40),
        dead_lettered_at=later(41),
        purge_at=later(days=30),
        records_events=True,
        template=TemplateUse("order", 3, "de"),
        trace=Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "aaaaaaaaaaaaaaaa"),
        logs=(LogEntry(NOW, "accepted"), entry),
        log_count=3,
    )


@pytest.mark.parametrize(
    "job",
    [_with_every_field(), *(make_job(status=status) for status in Status)],
    ids=["every-field", *Status],
)
def test_a_stored_job_comes_back_as_it_was(jobs: JobRepository, job: Job) -> None:
    results = jobs.insert([job])

    assert results == [None]
    assert jobs.get(job.job_id) == job


def test_the_job_with_every_field_leaves_none_out() -> None:
    job = _with_every_field()

    assert [field.name for field in fields(job) if not getattr(job, field.name)] == []


@pytest.mark.parametrize(
    "json",
    [
        {"a.b": 1, ".": 2, "a..b": {"c.d": 3}},
        {"$set": {"status": "delivered"}, "$x": 1, "nested": {"$inc": 1, "$$ROOT": "$$REMOVE"}},
        {"$ref": "jobs", "$id": 7, "$db": "wavecom", "b": 1, "a": 2},
        {"list": [{"a": 1, "$ref": "x", "$id": {"$id": 2}}], "$$ref": {"$$$id": 1}},
        {"": "empty", " ": "blank", "ключ": "значение", "مفتاح": "قيمة", "😀": "👩‍👩‍👧"},
        {"text": "e\u0301 \u202eright-to-left\u202c \u0000 \U0010ffff", "value": "$jobId", "path": "$$ROOT"},
        {"small": -(2**63), "large": 2**63 - 1, "float": 0.1, "tiny": 5e-324, "null": None, "yes": True, "zero": 0},
        {"empty": {}, "none": [], "deep": [[[{"a": [[]]}]]], "mixed": [1, "1", 1.5, None, False]},
    ],
    ids=["dots", "dollars", "reference", "nested-reference", "keys", "texts", "numbers", "shapes"],
)
def test_the_clients_json_comes_back_as_it_was_sent(jobs: JobRepository, json: dict[str, Any]) -> None:
    job = make_job(type=Channel.PUSH, payload={"title": "x", "data": json}, metadata=json)

    jobs.insert([job])

    stored = jobs.get(job.job_id)
    assert stored == job
    assert stored is not None
    assert [list(stored.metadata), list(stored.payload["data"])] == [list(json), list(json)]


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        ({"data": {"n": 2**63}}, "/payload/data/n"),
        ({"data": {"list": [1, {"n": -(2**63) - 1}]}}, "/payload/data/list/1/n"),
        ({"text": "half \ud83d"}, "/payload/text"),
        ({"data": {"a\0b": 1}}, "/payload/data"),
        ({"data": {"~/": {"half \udc00": 1}}}, "/payload/data/~0~1"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name_and_nothing_is_stored(
    jobs: JobRepository, payload: dict[str, Any], where: str
) -> None:
    good, bad = make_job(), make_job(payload=payload)

    with pytest.raises(InvalidRequestError) as caught:
        jobs.insert([good, bad])

    assert [problem.where for problem in caught.value.problems] == [where]
    assert jobs.get(good.job_id) is None


def _nested(levels: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(levels - 1):
        nested = {"a": nested}
    return nested


@pytest.mark.parametrize("levels", [101, 1_500, 5_000, 50_000])
def test_json_that_is_nested_too_deeply_is_refused_whatever_the_interpreter_can_take(
    jobs: JobRepository, levels: int
) -> None:
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        jobs.insert([make_job(metadata=_nested(levels))])


def test_json_of_a_hundred_levels_is_stored(jobs: JobRepository) -> None:
    job = make_job(metadata=_nested(100))

    jobs.insert([job])

    stored = jobs.get(job.job_id)
    assert stored is not None
    assert stored.metadata == job.metadata


def test_times_are_kept_to_the_millisecond(jobs: JobRepository) -> None:
    job = make_job(send_at=NOW + timedelta(microseconds=999))

    jobs.insert([job])

    stored = jobs.get(job.job_id)
    assert stored is not None
    assert stored.send_at == NOW
    assert stored.created_at.utcoffset() == timedelta(0)


def test_a_stored_job_does_not_change_with_the_callers_objects(jobs: JobRepository) -> None:
    payload: dict[str, Any] = {"text": "before", "data": {"a": 1}}
    job = make_job(payload=payload)

    jobs.insert([job])
    payload["data"]["a"] = 2

    stored = jobs.get(job.job_id)
    assert stored is not None
    assert stored.payload == {"text": "before", "data": {"a": 1}}


def test_jobs_without_an_idempotency_key_never_collide(jobs: JobRepository) -> None:
    results = jobs.insert([make_job() for _ in range(5)])

    assert results == [None] * 5


def test_the_second_of_a_key_in_a_batch_gets_the_first(jobs: JobRepository) -> None:
    first, second = (make_job(idempotency_key="k", fingerprint=name) for name in ("first", "second"))

    results = jobs.insert([make_job(), first, second, make_job()])

    assert results == [None, None, replace(first, logs=()), None]
    assert jobs.get(second.job_id) is None


def test_a_key_used_before_brings_back_its_job_without_the_log(jobs: JobRepository) -> None:
    first = make_job(idempotency_key="k", fingerprint="abc")
    jobs.insert([first])
    fresh, repeated = make_job(idempotency_key="other"), make_job(idempotency_key="k", fingerprint="xyz")

    results = jobs.insert([repeated, fresh])

    assert results == [replace(first, logs=()), None]


def test_a_key_belongs_to_one_client(jobs: JobRepository) -> None:
    jobs.insert([make_job(client="acme", idempotency_key="k")])

    results = jobs.insert([make_job(client="globex", idempotency_key="k")])

    assert results == [None]


def test_inserting_the_same_jobs_again_is_success(jobs: JobRepository) -> None:
    batch = [make_job(), make_job(idempotency_key="k")]
    jobs.insert(batch)

    results = jobs.insert([*batch, make_job()])

    assert results == [None, None, None]


def test_of_many_at_once_with_one_key_all_get_the_same_job(rivals: tuple[JobRepository, JobRepository]) -> None:
    batches = [[make_job(idempotency_key=f"k{key}") for key in range(5)] for _ in range(8)]

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda turn: rivals[turn % 2].insert(batches[turn]), range(8)))

    for key in range(5):
        holders = {
            (result[key] or batch[key]).job_id  # None: the job itself was stored
            for batch, result in zip(batches, results, strict=True)
        }
        stored = [batch[key].job_id for batch in batches if rivals[0].get(batch[key].job_id) is not None]
        assert list(holders) == stored


def test_inserting_nothing_is_nothing(jobs: JobRepository) -> None:
    assert jobs.insert([]) == []


def test_a_job_whose_id_was_not_made_with_its_idempotency_key_is_refused(jobs: JobRepository) -> None:
    """It would lie in another shard than an equal request, and no index would hold the two together."""
    by_chance = make_job(idempotency_key="k", job_id=make_job_id())
    of_another_client = make_job(idempotency_key="k", job_id=make_job_id(client="globex", idempotency_key="k"))

    for job in (by_chance, of_another_client):
        with pytest.raises(ValueError, match="idempotency key"):
            jobs.insert([make_job(), job])

    assert jobs.search(JobFilter(), 10).jobs == ()


def test_of_equal_requests_in_one_batch_the_others_get_the_job_of_one(jobs: JobRepository) -> None:
    batch = [make_job(idempotency_key="k") for _ in range(5)]

    results = jobs.insert(batch)

    [stored] = [job for job, result in zip(batch, results, strict=True) if result is None]
    assert {result.job_id for result in results if result is not None} == {stored.job_id}
    assert [job.job_id for job in jobs.search(JobFilter(), 10).jobs] == [stored.job_id]
