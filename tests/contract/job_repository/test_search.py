from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later, make_job, make_job_id
from wavecom.core.job import Job, JobError, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import Cursor, JobFilter, JobRepository, Page
from wavecom.core.states import NOT_FINAL, Status
from wavecom.storage.mongo.jobs import MongoJobRepository


def _pages(jobs: JobRepository, where: JobFilter, limit: int) -> list[Page]:
    pages: list[Page] = []
    after: Cursor | None = None
    while not pages or after is not None:
        pages.append(jobs.search(where, limit, after))
        after = pages[-1].next
    return pages


def _ids(pages: list[Page]) -> list[JobId]:
    return [job.job_id for page in pages for job in page.jobs]


def _newest_first(stored: list[Job]) -> list[JobId]:
    return [job.job_id for job in sorted(stored, key=lambda job: (job.created_at, job.job_id), reverse=True)]


def _crowd(count: int) -> list[Job]:
    """Jobs of all kinds over half a year, crowded at the end, with many of the same millisecond."""
    chance = random.Random(7)
    crowd: list[Job] = []
    for number in range(count):
        age = timedelta(seconds=chance.choice([0, 0, 1, 90, 4_000, 90_000, 2_000_000, 15_000_000]))
        channel = chance.choice(list(Channel))
        provider = chance.choice(["mail", "gateway", None])
        status = chance.choice(list(Status))
        crowd.append(
            make_job(
                created_at=NOW - age,
                type=channel,
                status=status,
                due_at=later(60) if status in NOT_FINAL else None,
                client=chance.choice(["acme", "globex", "acme:test"]),
                idempotency_key=f"key-{number}" if number % 2 else None,
                priority=chance.choice(list(Priority)),
                provider=provider,
                error=JobError(chance.choice(["rejected", "expired"]), "", provider) if number % 3 else None,
                to=chance.choice(_RECIPIENTS[channel]),
                metadata=chance.choice(_METADATA),
            )
        )
    chance.shuffle(crowd)
    return crowd


_RECIPIENTS: dict[Channel, list[dict[str, object]]] = {
    Channel.EMAIL: [{"email": "amina@example.com"}, {"email": "Zoë.O'Neil+tag@example.com", "name": "Zoë"}],
    Channel.SMS: [{"phone": "+12025550143"}, {"phone": "+12025550144"}],
    Channel.PUSH: [
        {"platform": "fcm", "token": "token-1"},
        {"platform": "webpush", "subscription": {"endpoint": "https://push.example/1", "keys": {"auth": "x"}}},
    ],
}


_METADATA: list[dict[str, object]] = [
    {},
    {"order": 42, "a.b": "x", "$set": True},
    {"order": "42", "note": "n" * 300},
    {"order": 43, "vip": False, "ratio": 0.5, "empty": ""},
]


def test_pages_hold_every_job_once_newest_first(jobs: JobRepository) -> None:
    stored = _crowd(500)
    jobs.insert(stored)

    pages = _pages(jobs, JobFilter(), 37)

    assert _ids(pages) == _newest_first(stored)
    assert [len(page.jobs) for page in pages] == [37] * 13 + [19]


def test_jobs_of_one_millisecond_are_parted_between_pages_by_their_id(jobs: JobRepository) -> None:
    stored = [make_job() for _ in range(25)]
    jobs.insert(random.Random(1).sample(stored, 25))

    pages = _pages(jobs, JobFilter(client="acme"), 10)

    assert _ids(pages) == _newest_first(stored)


def test_jobs_that_arrive_while_somebody_turns_pages_disturb_nothing(jobs: JobRepository) -> None:
    stored = [make_job(created_at=later(-number // 3)) for number in range(30)]
    jobs.insert(stored)
    first = jobs.search(JobFilter(), 10)

    jobs.insert([make_job(created_at=later(1)), make_job(created_at=later(-1000))])
    jobs.insert([make_job(created_at=first.jobs[-1].created_at, job_id=JobId("ffffffff-newer-than-the-cursor"))])
    assert first.next is not None
    second = jobs.search(JobFilter(), 20, first.next)

    assert _ids([first, second]) == _newest_first(stored)
    assert second.next is not None


_FILTERS = [
    JobFilter(client="acme"),
    JobFilter(client="nobody"),
    JobFilter(statuses=frozenset({Status.FAILED})),
    JobFilter(statuses=frozenset({Status.DELIVERED, Status.QUEUED})),
    JobFilter(statuses=frozenset({Status.QUEUED})),
    JobFilter(statuses=NOT_FINAL),
    JobFilter(statuses=frozenset({Status.EXPIRED, Status.CANCELLED, Status.FAILED}), client="globex"),
    JobFilter(type=Channel.PUSH),
    JobFilter(priority=Priority.BULK),
    JobFilter(provider="gateway"),
    JobFilter(error_code="rejected"),
    JobFilter(recipient="Zoë.O'Neil+tag@example.com"),
    JobFilter(recipient="+12025550144", type=Channel.SMS),
    JobFilter(recipient="+12025550144", type=Channel.EMAIL),
    JobFilter(recipient="token-1", client="acme"),
    JobFilter(recipient="https://push.example/1"),
    JobFilter(recipient="amina@example.com", statuses=frozenset({Status.DELIVERED})),
    JobFilter(metadata_key="order"),
    JobFilter(metadata_key="orde"),
    JobFilter(metadata_key="order", metadata_value="42"),
    JobFilter(metadata_key="order", metadata_value="4"),
    JobFilter(metadata_key="a.b", metadata_value="x"),
    JobFilter(metadata_key="$set", metadata_value="true", client="acme"),
    JobFilter(metadata_key="vip", metadata_value="false", type=Channel.SMS),
    JobFilter(metadata_key="ratio", metadata_value="0.5", created_before=later(-1)),
    JobFilter(metadata_key="empty", metadata_value=""),
    JobFilter(metadata_key="note", metadata_value="n" * 300, created_since=later(-90_000)),
    JobFilter(metadata_key="note", metadata_value="n" * 299),
    JobFilter(created_since=later(-90)),
    JobFilter(created_before=later(-90)),
    JobFilter(created_since=later(-90_000), created_before=later(-1)),
    JobFilter(created_since=later(-90_000), created_before=NOW, statuses=frozenset({Status.SENT})),
    JobFilter(created_since=NOW + timedelta(days=3)),
    JobFilter(created_before=NOW - timedelta(days=900)),
    JobFilter(created_since=NOW, created_before=NOW),
    JobFilter(is_test=True),
    JobFilter(is_test=False, statuses=frozenset({Status.QUEUED})),
    JobFilter(is_test=True, statuses=frozenset({Status.FAILED}), client="acme:test"),
    JobFilter(accounts=frozenset({"acme", "acme:test"}), statuses=frozenset({Status.QUEUED, Status.FAILED})),
    JobFilter(accounts=frozenset({"globex"})),
    JobFilter(idempotency_key="key-7", accounts=frozenset({"acme", "acme:test", "globex"})),
    JobFilter(idempotency_key="key-7", client="acme"),
    JobFilter(idempotency_key="key-7", accounts=frozenset({"acme", "globex", "acme:test"}), created_since=later(-90)),
    JobFilter(idempotency_key="key-9"),
    JobFilter(idempotency_key="key-8", client="acme"),
    JobFilter(recipient="ZOË.o'neil+TAG@example.com"),
    JobFilter(recipient="AMINA@example.com", is_test=False),
    JobFilter(client="acme", type=Channel.SMS, priority=Priority.HIGH, provider="mail", error_code="expired"),
]


def test_a_filter_leaves_what_it_names(jobs: JobRepository) -> None:
    stored = _crowd(150)
    jobs.insert(stored)

    found = {repr(where): _ids(_pages(jobs, where, 25)) for where in _FILTERS}

    assert found == {repr(where): _newest_first([job for job in stored if _is_meant(job, where)]) for where in _FILTERS}


def test_one_is_found_by_its_id_among_all_that_is_narrowed(jobs: JobRepository) -> None:
    wanted, other = make_job(client="acme", status=Status.FAILED), make_job(client="acme")
    jobs.insert([wanted, other])

    def found(**more: Any) -> list[JobId]:
        return _ids(_pages(jobs, JobFilter(job_id=wanted.job_id, **more), 10))

    assert found() == [wanted.job_id]
    assert found(client="acme", statuses=frozenset({Status.FAILED}), created_since=later(-9)) == [wanted.job_id]
    assert found(client="globex") == found(statuses=frozenset({Status.QUEUED})) == found(created_before=NOW) == []


def test_jobs_are_counted_up_to_a_limit(jobs: JobRepository) -> None:
    stored = _crowd(150)
    jobs.insert(stored)

    for where in [each for each in _FILTERS if each.statuses and not each.created_since and not each.recipient]:
        meant = sum(_is_meant(job, where) for job in stored)

        assert jobs.count(where, 1000) == meant, where
        assert jobs.count(where, 3) == min(3, meant), where


def _is_meant(job: Job, where: JobFilter) -> bool:
    to = job.to
    subscription = to.get("subscription", {})
    return all(
        [
            where.client in {None, job.client},
            not where.accounts or job.client in where.accounts,
            where.is_test is None or where.is_test == job.client.endswith(":test"),
            where.idempotency_key in {None, job.idempotency_key},
            where.job_id in {None, job.job_id},
            not where.statuses or job.status in where.statuses,
            where.type in {None, job.type},
            where.priority in {None, job.priority},
            where.provider in {None, job.provider},
            where.error_code is None or (job.error is not None and job.error.code == where.error_code),
            where.recipient is None
            or where.recipient.lower() == str(to.get("email")).lower()
            or where.recipient in {to.get("phone"), to.get("token"), subscription.get("endpoint")},
            where.metadata_key is None or where.metadata_key in job.metadata,
            where.metadata_value is None
            or where.metadata_value == _as_people_write_it(job.metadata.get(str(where.metadata_key))),
            where.created_since is None or job.created_at >= where.created_since,
            where.created_before is None or job.created_at < where.created_before,
        ]
    )


def _as_people_write_it(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_lists_carry_neither_payload_nor_log(jobs: JobRepository) -> None:
    job = make_job(metadata={"order": 7})
    jobs.insert([job])

    page = jobs.search(JobFilter(), 10)

    assert page == Page((replace(job, payload={}, logs=()),), None)


def test_the_last_page_has_no_next_even_when_it_is_full(jobs: JobRepository) -> None:
    jobs.insert([make_job(job_id=make_job_id()) for _ in range(4)])

    pages = _pages(jobs, JobFilter(), 2)

    assert [len(page.jobs) for page in pages] == [2, 2]


def test_nothing_stored_is_an_empty_page(jobs: JobRepository) -> None:
    assert jobs.search(JobFilter(), 10) == Page((), None)
    assert jobs.search(JobFilter(recipient="amina@example.com"), 10, Cursor(NOW, make_job_id())) == Page((), None)


def test_a_job_is_shown_to_its_client_only(jobs: JobRepository) -> None:
    job = make_job(client="acme")
    jobs.insert([job])

    assert jobs.get(job.job_id) == job
    assert jobs.get(job.job_id, "acme") == job
    assert jobs.get(job.job_id, "globex") is None
    assert jobs.get(make_job_id()) is None


class _SlowingClock:
    """A clock by which reading becomes slow after some days, as with a great many jobs."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self) -> float:
        self._calls += 1
        return 0.001 * self._calls if self._calls < 18 else float(self._calls)


@pytest.mark.parametrize(
    "where",
    [JobFilter(client="acme"), JobFilter(statuses=frozenset({Status.FAILED})), JobFilter(provider="nobody")],
    ids=["everything", "failed", "nothing"],
)
def test_lists_that_are_given_up_halfway_hold_every_job_once_all_the_same(
    indexed_database: Database[dict[str, Any]], where: JobFilter
) -> None:
    crowd = _crowd(120)
    MongoJobRepository(indexed_database["jobs"]).insert(crowd)

    dragging = MongoJobRepository(indexed_database["jobs"], system_now=lambda: NOW, monotonic=_SlowingClock())
    quick = MongoJobRepository(indexed_database["jobs"], system_now=lambda: NOW)

    pages = [dragging.search(where, 100, None)]
    while (after := pages[-1].next) is not None:
        pages.append(quick.search(where, 10, after))

    meant = [job for job in crowd if _is_meant(job, where)]
    assert _ids(pages) == _newest_first(meant)
    assert pages[0].next is not None


def test_what_is_rare_among_the_newest_is_found_by_its_label_on_the_first_page(
    indexed_database: Database[dict[str, Any]],
) -> None:
    old = make_job(created_at=NOW - timedelta(days=20), metadata={"order": 42})
    repository = MongoJobRepository(indexed_database["jobs"], system_now=lambda: NOW, monotonic=_SlowingClock())
    repository.insert([old, make_job(created_at=NOW, metadata={"order": 41})])

    page = repository.search(JobFilter(metadata_key="order", metadata_value="42"), 10)

    assert _ids([page]) == [old.job_id]
    assert page.next is None
