"""One suite for every ``CampaignStore``, and for every ``OutcomeCounter``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later, make_job
from tests.memory_storage import MemoryCampaignStore, MemoryJobRepository, MemoryOutcomeCounter
from wavecom.core.campaigns.audit import CampaignAction, CampaignEvent
from wavecom.core.campaigns.model import (
    Campaign,
    CampaignPosition,
    CampaignStatus,
    CampaignStore,
    Chunk,
    Outcomes,
    RejectedRow,
    RowFormat,
    RowProblem,
    RunState,
    StoredRow,
    UploadState,
)
from wavecom.core.campaigns.pacing import Pace
from wavecom.core.campaigns.windows import CampaignWindow
from wavecom.core.lanes import Channel
from wavecom.core.local_hours import DailyHours, SendWindow
from wavecom.core.ports import JobFilter
from wavecom.core.quota import Limits
from wavecom.core.states import Status
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.campaign_documents import chunk_document
from wavecom.storage.mongo.campaigns import MongoCampaignStore, MongoOutcomeCounter
from wavecom.storage.mongo.jobs import MongoJobRepository

LEASE = timedelta(seconds=30)


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> CampaignStore:
    if request.param == "memory":
        return MemoryCampaignStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoCampaignStore(database)


def make_campaign(campaign_id: str = "c-1", **overrides: Any) -> Campaign:
    fields: dict[str, Any] = {
        "campaign_id": campaign_id,
        "account": "acme",
        "name": "Spring",
        "channel": Channel.SMS,
        "notification": {"type": "sms", "payload": {"te.xt": "$Hello"}},
        "columns": {"E.Mail": "to.phone"},
        "pace": Pace(rows_per_second=5),
        "created_at": NOW,
        "updated_at": NOW,
        "created_by": "key ada",
    }
    return Campaign(**(fields | overrides))


def make_chunk(begin: UploadState = UploadState(), rows: int = 3, rejected: int = 1) -> Chunk:  # noqa: B008 - a value
    first = begin.rows
    end = replace(
        begin,
        offset=begin.offset + 100,
        lines=begin.lines + rows + 1,
        rows=first + rows,
        rejected=begin.rejected + rejected,
        format=RowFormat.CSV,
        header=("Mobile", "N.ame"),
        delimiter=";",
        digest=f"{begin.digest}+",
    )
    return Chunk(
        campaign_id="c-1",
        begin=begin,
        end=end,
        rows=tuple(StoredRow(first + number, b'{"to": "\\n%d"}' % number) for number in range(rows - rejected)),
        rejected=tuple(
            RejectedRow(first + rows - number, 9, (RowProblem("Mobile", "invalid", "must be right"),))
            for number in range(rejected)
        ),
    )


def running(store: CampaignStore, *chunks: Chunk) -> Campaign:
    store.add(make_campaign())
    for chunk in chunks:
        store.add_chunk(chunk, NOW)
    known = store.get("c-1")
    assert known is not None
    store.complete_upload("c-1", known.upload.offset, NOW)
    known = store.get("c-1")
    assert known is not None
    assert store.change(replace(known, status=CampaignStatus.RUNNING))
    return known


def chunk_at(store: CampaignStore, row: int) -> Chunk | None:
    known = store.get("c-1")
    assert known is not None
    return store.chunk_at(known, row)


def test_a_campaign_comes_back_as_it_was_kept_to_its_account_alone(store: CampaignStore) -> None:
    window = CampaignWindow(SendWindow(frozenset({0, 4}), DailyHours(540, 1440)), "Europe/Zurich")
    campaign = make_campaign(
        start_at=later(60), window=window, pace=Pace(finish_by=later(hours=3)), ttl_seconds=60, budget="b"
    )

    store.add(campaign)

    assert store.get("c-1", "acme") == store.get("c-1") == campaign
    assert store.get("c-1", "acme:test") is None
    assert store.get("c-2") is None


def test_an_accounts_campaigns_come_newest_first_page_by_page(store: CampaignStore) -> None:
    for number, account in enumerate(["acme", "acme", "globex", "acme"]):
        store.add(make_campaign(f"c-{number}", account=account, created_at=later(number // 2)))

    first = store.newest("acme", 2)
    place = CampaignPosition(first[-1].created_at, first[-1].campaign_id)

    assert [each.campaign_id for each in first] == ["c-3", "c-1"]
    assert [each.campaign_id for each in store.newest("acme", 2, place)] == ["c-0"]
    assert [each.campaign_id for each in store.newest(None, 9)] == ["c-3", "c-2", "c-1", "c-0"]


def test_people_change_what_is_theirs_unless_somebody_was_before_them(store: CampaignStore) -> None:
    known = running(store, make_chunk())
    stale = known

    changed = replace(
        stale,
        version=known.version + 1,
        status=CampaignStatus.PAUSED,
        started_by="key bob",
        limits=Limits(None, 9),
        budget="b",
        upload=UploadState(),
    )

    assert not store.change(replace(stale, status=CampaignStatus.CANCELLED))
    assert store.change(changed)
    found = store.get("c-1")
    assert found is not None
    assert (found.status, found.started_by, found.limits, found.budget) == (
        CampaignStatus.PAUSED,
        "key bob",
        Limits(None, 9),
        "b",
    )
    assert found.upload == known.upload


def test_a_chunk_is_stored_then_counted_and_comes_back_by_its_rows(store: CampaignStore) -> None:
    store.add(make_campaign())
    first = make_chunk()
    second = make_chunk(first.end)

    assert store.add_chunk(first, NOW) == first.end
    assert store.add_chunk(second, NOW) == second.end

    assert chunk_at(store, 0) == chunk_at(store, 1) == first
    # Row 2 was rejected.
    assert chunk_at(store, 2) == chunk_at(store, 4) == second
    assert chunk_at(store, 5) is None


def test_of_two_at_one_place_the_first_that_is_counted_counts_and_the_other_leaves_nothing(
    store: CampaignStore,
) -> None:
    store.add(make_campaign())
    first, other = make_chunk(), make_chunk(rows=2, rejected=1)
    other = replace(other, end=replace(other.end, digest="other"))
    store.add_chunk(first, NOW)

    assert store.add_chunk(first, NOW) == first.end
    assert store.add_chunk(other, NOW) == first.end
    assert chunk_at(store, 0) == first
    second = make_chunk(first.end)
    store.add_chunk(second, NOW)
    assert store.add_chunk(first, NOW) == second.end
    assert (chunk_at(store, 0), chunk_at(store, 3)) == (first, second)
    assert [row.row for row in store.rejected("c-1").rows] == [3, 6]


def test_a_chunk_that_follows_other_bytes_of_the_same_length_does_not_count(store: CampaignStore) -> None:
    store.add(make_campaign())
    first = make_chunk()
    store.add_chunk(first, NOW)

    assert store.add_chunk(make_chunk(replace(first.end, digest="of other bytes")), NOW) == first.end
    assert chunk_at(store, 3) is None


def test_rows_that_were_stored_and_never_counted_are_none(indexed_database: Database[dict[str, Any]]) -> None:
    store = MongoCampaignStore(indexed_database)
    store.add(make_campaign())
    first, other = make_chunk(), make_chunk(rows=9)
    other = replace(other, end=replace(other.end, digest="other"))
    behind = make_chunk(first.end)
    # As processes leave them that die before they count.
    indexed_database["campaign_chunks"].insert_many([chunk_document(other), chunk_document(behind)])
    store.add_chunk(first, NOW)

    assert chunk_at(store, 0) == first
    assert chunk_at(store, 3) is None
    assert [row.row for row in store.rejected("c-1").rows] == [3]

    indexed_database["campaigns"].delete_many({})
    store.sweep_chunks(NOW, "", 9)
    assert indexed_database["campaign_chunks"].count_documents({}) == 0


def test_rows_of_campaigns_that_ended_or_are_gone_are_let_go_of(store: CampaignStore) -> None:
    running(store, make_chunk())
    for campaign_id in ("c-2", "c-3"):
        store.add(make_campaign(campaign_id))
        store.add_chunk(replace(make_chunk(), campaign_id=campaign_id), NOW)
    ended = store.get("c-2")
    assert ended is not None
    assert store.change(replace(ended, status=CampaignStatus.CANCELLED))

    assert store.sweep_chunks(NOW, "", 2) == "c-2"
    assert store.sweep_chunks(NOW, "c-2", 2) == ""

    assert store.chunk_at(ended, 0) is None
    assert [row.row for row in store.rejected("c-2").rows] == [3]
    assert chunk_at(store, 0) == make_chunk()


def test_an_upload_ends_at_its_offset_alone_and_takes_no_more(store: CampaignStore) -> None:
    store.add(make_campaign())
    chunk = make_chunk()
    store.add_chunk(chunk, NOW)

    assert not store.complete_upload("c-1", 7, NOW)
    assert store.complete_upload("c-1", chunk.end.offset, NOW)
    assert store.add_chunk(make_chunk(chunk.end), NOW) == replace(chunk.end, is_complete=True)


def test_one_runner_holds_a_campaign_until_its_lease_ends_or_it_lets_go(store: CampaignStore) -> None:
    running(store, make_chunk())

    assert store.hold("c-1", "one", NOW, NOW + LEASE) is not None
    assert store.hold("c-1", "one", NOW, NOW + LEASE) is not None
    assert store.hold("c-1", "two", later(29), later(59)) is None
    assert store.hold("c-1", "two", later(30), later(60)) is not None
    store.release("one")
    assert store.hold("c-1", "one", later(31), later(61)) is None
    store.release("two")
    assert store.hold("c-1", "one", later(31), later(61)) is not None


def test_a_campaign_is_fenced_whose_last_runner_has_not_let_go_of_it(store: CampaignStore) -> None:
    running(store, make_chunk())
    first = store.hold("c-1", "one", NOW, later(30))
    store.release("one")
    second = store.hold("c-1", "two", later(1), later(31))
    third = store.hold("c-1", "three", later(31), later(61))
    again = store.hold("c-1", "three", later(32), later(62))

    assert [each and each.fenced_until for each in (first, second, third, again)] == [None, None, later(61), later(61)]


def test_who_sends_rows_is_kept_once_with_the_budget(store: CampaignStore) -> None:
    store.add(make_campaign(budgets=("b-1",)))
    for name, budget in (("key ada", "b-1"), ("key bob", "b-2"), ("key ada", "b-1"), ("operator", None)):
        store.note_uploader("c-1", name, budget)

    found = store.get("c-1")
    assert found is not None
    assert (found.uploaded_by, found.budgets) == (("key ada", "key bob", "operator"), ("b-1", "b-2"))
    assert store.change(replace(found, uploaded_by=(), budgets=(), cancelled_by="key bob"))
    kept = store.get("c-1")
    assert kept is not None
    assert (kept.uploaded_by, kept.budgets, kept.cancelled_by) == (found.uploaded_by, found.budgets, "key bob")


def test_only_who_holds_it_records_progress_and_only_from_where_it_was(store: CampaignStore) -> None:
    running(store, make_chunk())
    store.hold("c-1", "one", NOW, NOW + LEASE)
    begin, after = RunState(), RunState(row=2, queued=2, paced_until=later(0.123456), waits_for="lane")

    assert not store.advance("c-1", "two", begin, after, NOW)
    assert store.advance("c-1", "one", begin, after, later(1))
    assert not store.advance("c-1", "one", begin, after, NOW)
    found = store.get("c-1")
    assert found is not None
    assert found.run == after


def test_active_campaigns_have_their_turns_the_longest_due_first(store: CampaignStore) -> None:
    for number, status in enumerate(CampaignStatus):
        store.add(make_campaign(status.value, status=status, updated_at=later(-number)))

    assert store.due(NOW, 9) == [("cancelling", later(-5)), ("running", later(-3))]
    store.hold("cancelling", "one", NOW, NOW + LEASE)
    assert [each.campaign_id for each in store.due(NOW, 9)] == ["running", "cancelling"]
    assert [each.campaign_id for each in store.due(NOW, 1)] == ["running"]


def test_a_campaign_that_rests_has_its_turn_again_when_that_is_over_or_somebody_changes_it(
    store: CampaignStore,
) -> None:
    running(store)
    held = store.hold("c-1", "one", NOW, NOW + LEASE)
    assert held is not None

    store.rest(held, "two", later(60))
    assert [each.due_at for each in store.due(later(59), 9)] == [NOW]
    store.rest(held, "one", later(60))
    assert store.due(later(59), 9) == []
    assert [each.due_at for each in store.due(later(60), 9)] == [later(60)]

    assert store.change(replace(held, status=CampaignStatus.CANCELLING, updated_at=later(5)))
    store.rest(held, "one", later(90))
    assert [each.due_at for each in store.due(later(5), 9)] == [later(5)]


def test_a_campaign_ends_from_the_status_before_and_leaves_what_was_rejected(store: CampaignStore) -> None:
    running(store, make_chunk())
    store.hold("c-1", "one", NOW, NOW + LEASE)

    assert not store.end("c-1", "one", CampaignStatus.CANCELLED, NOW)
    assert store.end("c-1", "one", CampaignStatus.FINISHED, later(5))
    store.drop_chunks("c-1", NOW)

    found = store.get("c-1")
    assert found is not None
    assert (found.status, found.finished_at) == (CampaignStatus.FINISHED, later(5))
    assert chunk_at(store, 0) is None
    assert [row.row for row in store.rejected("c-1").rows] == [3]


def test_rejected_rows_come_in_their_order_and_refused_ones_behind_them(store: CampaignStore) -> None:
    store.add(make_campaign())
    chunk = make_chunk()
    for _ in range(25):
        store.add_chunk(chunk, NOW)
        chunk = make_chunk(chunk.end)
    refused = [RejectedRow(row, 0, (RowProblem("", "not_served", "is not"),)) for row in (1, 2)]
    store.keep_refused("c-1", 5, refused[:1])
    store.keep_refused("c-1", 9, refused[:1])
    store.keep_refused("c-1", 9, [])
    store.keep_refused("c-1", 5, refused)
    store.add(make_campaign("c-2"))

    rows, place = [], None
    while True:
        page = store.rejected("c-1", place)
        rows += page.rows
        place = page.next
        if place is None:
            break

    assert [row.row for row in rows] == [*range(3, 76, 3), 1, 2]
    assert rows[-2:] == refused
    assert store.rejected("c-2").rows == []


def test_outcomes_are_to_be_counted_from_the_first_notification_until_they_are_final(store: CampaignStore) -> None:
    running(store, make_chunk())
    store.hold("c-1", "one", NOW, NOW + LEASE)
    assert list(store.uncounted(later(9), 9)) == []
    store.advance("c-1", "one", RunState(), RunState(row=2, queued=2), later(1))
    assert [each.campaign_id for each in store.uncounted(later(9), 9)] == ["c-1"]

    store.keep_outcomes("c-1", Outcomes({Status.SENT: 2}, later(5)))
    [known] = store.uncounted(later(9), 9)
    assert known.outcomes == Outcomes({Status.SENT: 2}, later(5))
    store.keep_outcomes("c-1", Outcomes({Status.DELIVERED: 2}, later(9), is_last=True))

    assert list(store.uncounted(later(99), 9)) == []


@pytest.mark.parametrize("kind", ["memory", "mongo"])
def test_a_campaigns_jobs_are_counted_by_status_and_found_by_it(kind: str, request: pytest.FixtureRequest) -> None:
    jobs = [
        make_job(campaign="c-1"),
        make_job(campaign="c-1", created_at=later(1)),
        make_job(campaign="c-1", status=Status.DELIVERED),
        make_job(campaign="c-2"),
        make_job(),
    ]
    if kind == "memory":
        memory = MemoryJobRepository()
        memory.insert(jobs)
        counter: Any = MemoryOutcomeCounter(memory.all)
        repository: Any = memory
    else:
        database = request.getfixturevalue("indexed_database")
        repository = MongoJobRepository(database["jobs"], system_now=lambda: NOW)
        repository.insert(jobs)
        counter = MongoOutcomeCounter(database)

    assert counter.count("c-1") == {Status.QUEUED: 2, Status.DELIVERED: 1}
    assert counter.count("c-3") == {}
    page = repository.search(JobFilter(client="acme", campaign="c-1", statuses=frozenset({Status.QUEUED})), 9)
    assert [job.job_id for job in page.jobs] == [jobs[1].job_id, jobs[0].job_id]


def test_who_did_what_is_noted_once(indexed_database: Database[dict[str, Any]]) -> None:
    audit = MongoAuditLog(indexed_database)
    event = CampaignEvent("e-1", CampaignAction.START, "key ada", NOW, "acme", "c-1", {"rows": 5})
    audit.record_campaign_event(event)
    audit.record_campaign_event(event)

    [entry] = audit.newest(limit=5)
    assert {name: entry[name] for name in ("action", "operator", "client", "campaignId", "rows")} == {
        "action": "start_campaign",
        "operator": "key ada",
        "client": "acme",
        "campaignId": "c-1",
        "rows": 5,
    }
