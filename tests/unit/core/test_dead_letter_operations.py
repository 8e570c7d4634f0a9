"""Replay and discard of dead letters over memory: what moves, what is left alone, and what the audit says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.dead_letter_environment import DRY, EVERYTHING, OPTIONS, DeadLetterEnvironment, Killed
from tests.factories import NOW, later, make_job_id
from wavecom.core.audit import AuditAction, FailureReason
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState, BulkOptions
from wavecom.core.dead_letters import DeadLetterFilter
from wavecom.core.job import JobError, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import StoreError


@pytest.fixture
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment()


def test_a_replay_starts_all_again_oldest_first_and_says_so_in_their_logs(
    environment: DeadLetterEnvironment,
) -> None:
    jobs = environment.dead(7)

    run = environment.dead_letters.replay(EVERYTHING, OPTIONS)

    assert [environment.status(job) for job in jobs] == [Status.QUEUED] * 7
    assert environment.published() == [job.job_id for job in jobs]
    assert (run.done, run.already_done, run.first_id, run.last_id) == (7, 0, jobs[0].job_id, jobs[-1].job_id)
    assert environment.stats.counts == {Status.QUEUED: 7}
    last = environment.read(jobs[3]).logs[-1]
    assert (last.event, last.message) == ("replayed", "by an operator, audit entry run-1")
    assert environment.read(jobs[3]).expires_at == environment.read(jobs[3]).updated_at + timedelta(hours=72)


def test_a_discard_leaves_jobs_failed_without_a_dead_letter(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()

    run = environment.dead_letters.discard(EVERYTHING, OPTIONS)

    discarded = environment.read(job)
    assert (discarded.status, discarded.due_at, discarded.dead_lettered_at) == (Status.FAILED, None, None)
    assert discarded.logs[-1].event == "discarded"
    assert (run.done, environment.repository.count(), environment.published()) == (1, 0, [])


def test_a_discarded_job_is_replayed_only_when_it_is_named(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()
    environment.dead_letters.discard(EVERYTHING, OPTIONS)

    by_filter = environment.dead_letters.replay(EVERYTHING, OPTIONS)
    by_name = environment.dead_letters.replay((job.job_id,), OPTIONS)

    assert (by_filter.done, by_name.done, environment.status(job)) == (0, 1, Status.QUEUED)


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_second_operation_finds_nothing_left_to_do(environment: DeadLetterEnvironment, action: str) -> None:
    jobs = environment.dead(3)
    use_case = getattr(environment.dead_letters, action)
    use_case(EVERYTHING, OPTIONS)
    before = [environment.read(job) for job in jobs]

    by_filter = use_case(EVERYTHING, OPTIONS)
    by_name = use_case(tuple(job.job_id for job in jobs), OPTIONS)

    assert (by_filter.done, by_filter.already_done) == (0, 0)
    assert (by_name.done, by_name.already_done) == (0, 3)
    assert [environment.read(job) for job in jobs] == before


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("batches", [1, 3])
def test_what_was_killed_in_the_middle_is_finished_by_starting_it_again(
    environment: DeadLetterEnvironment, action: str, batches: int
) -> None:
    jobs = environment.dead(10)
    use_case = getattr(environment.dead_letters, action)
    looked_at: list[int] = []

    def kill(run: BulkOperation) -> None:
        looked_at.append(run.done)
        if len(looked_at) == batches:
            raise Killed

    with pytest.raises(Killed):
        use_case(EVERYTHING, OPTIONS, kill)
    second = use_case(EVERYTHING, OPTIONS)

    assert looked_at[-1] + second.done == 10
    assert {len(environment.read(job).logs) for job in jobs} == {2}
    assert environment.repository.count() == 0
    assert len(set(environment.published())) == len(environment.published())


def test_who_loses_the_race_counts_it_as_done_already(environment: DeadLetterEnvironment) -> None:
    jobs = environment.dead(5)
    ids = tuple(job.job_id for job in jobs)
    others = [BulkOptions(operator="bob", rate_per_second=1000)]

    def another_operator_comes_first() -> None:
        if others:
            environment.dead_letters.replay(ids, others.pop())

    environment.repository.on_page = another_operator_comes_first
    run = environment.dead_letters.replay(EVERYTHING, BulkOptions(operator="ada", rate_per_second=1000))

    assert (run.done, run.already_done) == (0, 5)
    assert [environment.read(job).replays for job in jobs] == [1] * 5
    assert len(environment.published()) == 5


def test_jobs_that_fail_again_meanwhile_are_not_replayed_for_ever(environment: DeadLetterEnvironment) -> None:
    environment.dead(2)

    def fail_again(run: BulkOperation) -> None:
        if run.done < 20:
            environment.dead(1, dead_lettered_at=environment.clock.now() + timedelta(seconds=1))

    run = environment.dead_letters.replay(EVERYTHING, OPTIONS, fail_again)

    assert run.done == 2


def test_no_more_than_the_limit_are_taken(environment: DeadLetterEnvironment) -> None:
    environment.dead(10)

    run = environment.dead_letters.replay(EVERYTHING, BulkOptions(operator="ada", rate_per_second=15, limit=4))

    assert (run.done, environment.repository.count()) == (4, 6)


@pytest.mark.parametrize("rate", [5, 50, 1000])
def test_no_more_a_second_than_asked_for(environment: DeadLetterEnvironment, rate: float) -> None:
    environment.dead(400)

    environment.dead_letters.replay(EVERYTHING, BulkOptions(operator="ada", rate_per_second=rate))

    by_time: dict[float, int] = {}
    for job in environment.repository.find(environment.published()):
        seconds = (job.updated_at - later(3600)).total_seconds()
        by_time[seconds] = by_time.get(seconds, 0) + 1
    batch = max(by_time.values())
    assert batch <= max(1, rate / 5)
    so_far = 0
    for seconds, count in sorted(by_time.items()):
        so_far += count
        assert so_far <= seconds * rate + batch + 1e-6
    assert sum(environment.slept) == pytest.approx((400 - batch) / rate, abs=1 / rate + 0.01)


def test_unknown_ids_are_counted(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()

    run = environment.dead_letters.replay((job.job_id, make_job_id(), job.job_id), OPTIONS)

    assert (run.done, run.unknown, run.already_done) == (1, 1, 0)


def test_a_broker_that_is_away_leaves_the_publishing_to_the_sweep(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()
    environment.queue.is_up = False

    run = environment.dead_letters.replay(EVERYTHING, OPTIONS)

    assert (run.done, run.unpublished, environment.status(job)) == (1, 1, Status.QUEUED)
    assert environment.read(job).due_at is not None


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_counts_and_changes_nothing(environment: DeadLetterEnvironment, action: str) -> None:
    environment.dead(4)
    environment.dead(2, error=JobError("outcome_unknown", "timeout", "mail"))
    before = environment.everything()

    run = getattr(environment.dead_letters, action)(EVERYTHING, DRY)

    assert environment.everything() == before
    assert run.reasons == {FailureReason("rejected", "sandbox"): 4, FailureReason("outcome_unknown", "mail"): 2}
    assert (environment.audit.only().is_dry_run, environment.audit.only().done, environment.slept) == (True, 6, [])


def test_one_audit_entry_says_who_did_what_to_which_and_how_it_ended(environment: DeadLetterEnvironment) -> None:
    jobs = environment.dead(3, type=Channel.EMAIL)
    environment.dead(1)

    environment.dead_letters.replay(DeadLetterFilter(type=Channel.EMAIL, failed_since=NOW), OPTIONS)

    entry = environment.audit.only()
    assert (entry.action, entry.operator, entry.state, entry.done) == (
        AuditAction.REPLAY,
        "ada@ops",
        BulkOperationState.FINISHED,
        3,
    )
    assert entry.filters == {"type": "email", "failed_since": NOW.isoformat()}
    assert (entry.first_id, entry.last_id) == (jobs[0].job_id, jobs[-1].job_id)
    assert (entry.started_at, entry.finished_at) == (later(3600), environment.clock.now())


def test_nothing_is_changed_before_the_audit_entry_is_written(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()
    environment.audit.is_away = True

    with pytest.raises(StoreError):
        environment.dead_letters.discard(EVERYTHING, OPTIONS)

    assert environment.read(job) == job


@pytest.mark.parametrize(
    ("error", "state"),
    [(KeyboardInterrupt(), BulkOperationState.INTERRUPTED), (StoreError("away"), BulkOperationState.FAILED)],
)
def test_the_audit_entry_of_what_was_cut_short_counts_what_was_done(
    environment: DeadLetterEnvironment, error: BaseException, state: BulkOperationState
) -> None:
    environment.dead(5)

    def stop(run: BulkOperation) -> None:
        if run.done == 2:
            raise error

    with pytest.raises(type(error)):
        environment.dead_letters.replay(EVERYTHING, OPTIONS, stop)

    assert (environment.audit.only().state, environment.audit.only().done) == (state, 2)


def test_the_entry_of_what_was_killed_is_up_to_date(environment: DeadLetterEnvironment) -> None:
    environment.dead(5)
    entries: list[tuple[BulkOperationState, int]] = []
    environment.audit.on_record = lambda run: entries.append((run.state, run.done))

    environment.dead_letters.replay(EVERYTHING, OPTIONS)

    assert entries == [*((BulkOperationState.RUNNING, done) for done in range(6)), (BulkOperationState.FINISHED, 5)]


def test_a_discard_takes_no_more_than_the_limit_of_those_in_doubt(environment: DeadLetterEnvironment) -> None:
    environment.dead(
        4,
        error=JobError("outcome_unknown", "timeout", "sandbox"),
        on_unknown_outcome=UnknownOutcomePolicy.STOP,
        may_have_been_sent=True,
    )
    options = BulkOptions(operator="ada@ops", rate_per_second=5, limit=2)

    replay = environment.dead_letters.replay(EVERYTHING, options)
    discard = environment.dead_letters.discard(EVERYTHING, options)

    assert (replay.done, replay.in_doubt) == (0, 4)
    assert (discard.done, environment.repository.count()) == (2, 2)
