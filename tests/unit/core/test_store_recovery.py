"""The recovery of a restored store, over memory: what is held, what is left, what is forgotten and what is listed."""

from __future__ import annotations

import pytest

from tests.dead_letter_environment import Killed
from tests.factories import NOW, later, make_job, make_job_id
from tests.recovery_environment import RestoredInstallation
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.client_events import ClientEvent
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel
from wavecom.core.sessions import SessionRecord
from wavecom.core.states import Status
from wavecom.core.store_guard import RememberedBeat
from wavecom.core.store_recovery import NotOlderError, WorkersRunError

OPTIONS = BulkOptions(operator="ada@ops", rate_per_second=10_000)
DRY = BulkOptions(operator="ada@ops", is_dry_run=True)


@pytest.fixture
def installation() -> RestoredInstallation:
    return RestoredInstallation()


def test_what_was_open_is_put_aside_and_the_rest_stays(installation: RestoredInstallation) -> None:
    opened = [make_job(status=status) for status in (Status.QUEUED, Status.PROCESSING, Status.RETRYING)]
    overdue = make_job(status=Status.SCHEDULED, send_at=later(hours=1), due_at=later(hours=1))
    to_come = make_job(status=Status.SCHEDULED, send_at=later(hours=9), due_at=later(hours=9))
    sent, delivered = make_job(status=Status.SENT), make_job(status=Status.DELIVERED)
    installation.put(*opened, overdue, to_come, sent, delivered)

    recovery = installation.recovery.recover(OPTIONS)

    assert {installation.status_of(job) for job in (*opened, overdue)} == {Status.UNCONFIRMED}
    assert installation.status_of(to_come) is Status.SCHEDULED
    assert installation.status_of(sent) is Status.SENT
    assert installation.status_of(delivered) is Status.DELIVERED
    assert recovery.held is not None
    assert (recovery.held.done, recovery.held.already_done) == (4, 1)
    assert (recovery.copied_at, recovery.lost_until) == (NOW, later(hours=1))
    entry = installation.audit.only()
    assert (entry.action, entry.operator) == (AuditAction.RESTORE, "ada@ops")
    assert entry.filters["copiedAt"] == NOW.isoformat()


def test_nothing_is_sent_before_and_all_goes_on_after(installation: RestoredInstallation) -> None:
    assert installation.guard().is_older

    installation.recovery.recover(OPTIONS)

    assert not installation.guard().is_held


def test_what_was_accepted_since_a_process_has_noticed_is_new_and_stays(installation: RestoredInstallation) -> None:
    installation.clock.at = later(hours=1, minutes=30)
    installation.guard()
    old, new = make_job(), make_job(created_at=later(hours=1, minutes=45))
    installation.put(old, new)
    installation.clock.at = later(hours=2)

    installation.recovery.recover(OPTIONS)

    assert installation.status_of(old) is Status.UNCONFIRMED
    assert installation.status_of(new) is Status.QUEUED


def test_messages_of_lost_jobs_are_removed_and_their_jobs_listed_as_unsent(installation: RestoredInstallation) -> None:
    known = make_job()
    lost = make_job_id(later(minutes=20))
    installation.put(known)
    installation.queues.waiting = [lost, known.job_id, JobId("not-one-of-ours"), lost]

    recovery = installation.recovery.recover(OPTIONS)

    assert installation.queues.waiting == [known.job_id, "not-one-of-ours"]
    assert [(each.job_id, each.accepted_at, each.is_unsent) for each in recovery.lost] == [
        (lost, later(minutes=20), True)
    ]


def test_answers_to_lost_requests_are_forgotten_only_where_nothing_was_sent(installation: RestoredInstallation) -> None:
    known = make_job()
    unsent, perhaps_sent = make_job_id(later(minutes=20)), make_job_id(later(minutes=21))
    installation.put(known)
    installation.queues.waiting = [unsent]
    installation.answers.kept = {"a": known.job_id, "b": unsent, "c": perhaps_sent}

    recovery = installation.recovery.recover(OPTIONS)

    assert installation.answers.kept == {"a": known.job_id, "c": perhaps_sent}
    assert (recovery.answers_forgotten, recovery.answers_left) == (1, 1)
    assert {(each.job_id, each.is_unsent) for each in recovery.lost} == {(unsent, True), (perhaps_sent, False)}


def test_who_would_rather_send_twice_than_never_has_all_of_them_forgotten(installation: RestoredInstallation) -> None:
    installation.answers.kept = {"c": make_job_id(later(minutes=21))}

    recovery = installation.recovery.recover(OPTIONS, forgets_all_answers=True)

    assert installation.answers.kept == {}
    assert (recovery.answers_forgotten, recovery.answers_left) == (1, 0)


def test_no_position_that_a_reader_may_have_is_given_to_another_event(installation: RestoredInstallation) -> None:
    installation.events.append("acme", [_event(1), _event(2)])

    installation.recovery.recover(OPTIONS)
    installation.events.append("acme", [_event(3)])

    [new] = installation.events.after("acme", 1_000_000, 10)
    assert new.version == 3
    assert installation.versions.left_out > 1000


def test_sessions_that_may_have_been_ended_since_do_not_come_back(installation: RestoredInstallation) -> None:
    installation.sessions.add(
        SessionRecord(
            session_id="session-1",
            token_hash="0" * 64,
            viewer="operator",
            opened_at=NOW,
            last_seen_at=NOW,
            expires_at=later(days=1),
        )
    )

    recovery = installation.recovery.recover(OPTIONS)

    assert recovery.sessions_ended == 1
    assert installation.sessions.all() == []


def test_a_dry_run_changes_nothing_and_tells_the_same(installation: RestoredInstallation) -> None:
    job, lost = make_job(), make_job_id(later(minutes=20))
    installation.put(job)
    installation.queues.waiting = [lost]
    installation.answers.kept = {"b": lost}

    recovery = installation.recovery.recover(DRY)

    assert recovery.held is not None
    assert (recovery.held.done, len(recovery.lost), recovery.answers_forgotten) == (1, 1, 1)
    assert installation.status_of(job) is Status.QUEUED
    assert installation.queues.waiting == [lost]
    assert installation.answers.kept == {"b": lost}
    assert installation.versions.left_out == 0
    assert installation.guard().is_older


def test_a_store_that_is_not_older_is_left_alone(installation: RestoredInstallation) -> None:
    installation.memory.latest_by_store["store"] = RememberedBeat(10, NOW)
    job = make_job()
    installation.put(job)

    with pytest.raises(NotOlderError):
        installation.recovery.recover(OPTIONS)

    assert installation.status_of(job) is Status.QUEUED


def test_where_redis_was_lost_too_the_operator_says_of_when_the_copy_is(installation: RestoredInstallation) -> None:
    installation.memory.latest_by_store.clear()
    installation.heartbeats.heartbeat = None
    job = make_job()
    installation.put(job)

    recovery = installation.recovery.recover(OPTIONS, copied_at=later(minutes=5))

    assert installation.status_of(job) is Status.UNCONFIRMED
    assert (recovery.copied_at, recovery.lost_until) == (later(minutes=5), None)


def test_while_workers_run_nothing_is_begun(installation: RestoredInstallation) -> None:
    installation.queues.consumers = 2
    job = make_job()
    installation.put(job)

    with pytest.raises(WorkersRunError):
        installation.recovery.recover(OPTIONS)

    assert installation.status_of(job) is Status.QUEUED


def test_one_that_was_killed_is_done_again_and_nothing_was_let_go_meanwhile(installation: RestoredInstallation) -> None:
    jobs = [make_job(created_at=later(number)) for number in range(3)]
    installation.put(*jobs)

    def kill(_operation: BulkOperation) -> None:
        raise Killed

    with pytest.raises(Killed):
        installation.recovery.recover(OPTIONS, on_progress=kill)
    assert installation.guard().is_older
    fresh = make_job(created_at=later(hours=2, minutes=1))
    installation.put(fresh)
    installation.clock.advance(600)

    installation.recovery.recover(OPTIONS)

    assert {installation.status_of(job) for job in jobs} == {Status.UNCONFIRMED}
    assert installation.status_of(fresh) is Status.QUEUED
    assert not installation.guard().is_held


def _event(version: int) -> ClientEvent:
    return ClientEvent(
        job_id=make_job_id(),
        version=version,
        account="acme",
        channel=Channel.SMS,
        status=Status.QUEUED,
        at=NOW,
        attempts=0,
        published_at=NOW,
    )
