from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from tests.dead_letter_twins import MemoryAuditLog, MemoryDeadLetterQueue, MemoryDeadLetterRepository, foreign_message
from tests.factories import NOW, later, make_job, make_job_id
from tests.fakes import CountingStats, FakeClock
from tests.memory_storage import MemoryJobRepository
from wavecom.accounts import KeyAdministration
from wavecom.commands.dead_letters import dead_letters as command
from wavecom.core.audit import Action, BulkOperation, BulkOperationState, Reason
from wavecom.core.dead_letter_publishing import dead_letter_of
from wavecom.core.dead_letters import BulkOptions, DeadLetterFilter, DeadLetters
from wavecom.core.engine import Policy
from wavecom.core.job import Channel, Job, JobError, JobId
from wavecom.core.reconciliation import Reconciliation
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.services.operator import OperatorServices

EVERYTHING = DeadLetterFilter()
ORDER = BulkOptions(operator="ada@ops", rate_per_second=5)
DRY = BulkOptions(operator="ada@ops", is_dry_run=True)


class House:
    def __init__(self) -> None:
        self.clock = FakeClock(later(3600))
        self.jobs = MemoryJobRepository()
        self.repository = MemoryDeadLetterRepository(self.jobs)
        self.queue = MemoryDeadLetterQueue()
        self.audit = MemoryAuditLog()
        self.stats = CountingStats()
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None
        numbers = itertools.count(1)
        self.dead_letters = DeadLetters(
            jobs=self.jobs,
            repository=self.repository,
            queue=self.queue,
            publisher=self.queue,
            audit=self.audit,
            stats=self.stats,
            clock=self.clock,
            policy=Policy(),
            sleep=self.sleep,
            new_id=lambda: f"run-{next(numbers)}",
        )
        self.reconciliation = Reconciliation(
            repository=self.repository,
            queue=self.queue,
            depth=self.queue.depth,
            publisher=self.queue,
            clock=self.clock,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)
        self.on_sleep()

    def dead(self, count: int = 1, **overrides: Any) -> list[Job]:
        """Failed jobs, oldest first, each with its dead letter in the queue."""
        jobs = []
        for _ in range(count):
            failed_at = later(len(self.queue.content))
            fields = {"finished_at": failed_at, "dead_lettered_at": failed_at, "due_at": None} | overrides
            job = make_job(status=Status.FAILED, **fields)
            assert self.jobs.insert([job]) == [None]
            self.queue.publish_dead_letters([dead_letter_of(job, NOW)])
            jobs.append(job)
        return jobs

    def status(self, job: Job) -> Status:
        return self.read(job).status

    def read(self, job: Job) -> Job:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored

    def published(self) -> list[JobId]:
        return [delivery_message.job_id for delivery_message in self.queue.delivery_messages]

    def everything(self) -> object:
        """All that a dry run must leave alone."""
        page = self.repository.page(EVERYTHING, 1000)
        return page, list(self.queue.content), list(self.queue.delivery_messages), dict(self.stats.counts)


@pytest.fixture
def house() -> House:
    return House()


# --- replay and discard ---------------------------------------------------------------------------------------------


def test_a_replay_starts_every_dead_letter_again_oldest_first_and_says_so_in_its_log(house: House) -> None:
    jobs = house.dead(7)

    run = house.dead_letters.replay(EVERYTHING, ORDER)

    assert [house.status(job) for job in jobs] == [Status.QUEUED] * 7
    assert house.published() == [job.job_id for job in jobs]
    assert (run.done, run.already_done, run.first_id, run.last_id) == (7, 0, jobs[0].job_id, jobs[-1].job_id)
    assert house.stats.counts == {Status.QUEUED: 7}
    last = house.read(jobs[3]).logs[-1]
    assert (last.event, last.message) == ("replayed", "by an operator, audit entry run-1")
    assert house.read(jobs[3]).expires_at == house.read(jobs[3]).updated_at + timedelta(hours=72)


def test_a_discard_leaves_jobs_failed_without_a_letter_or_a_second_look(house: House) -> None:
    [job] = house.dead()

    run = house.dead_letters.discard(EVERYTHING, ORDER)

    discarded = house.read(job)
    assert (discarded.status, discarded.due_at, discarded.dead_lettered_at) == (Status.FAILED, None, None)
    assert discarded.logs[-1].event == "discarded"
    assert (run.done, house.repository.count(), house.published()) == (1, 0, [])


def test_a_discarded_job_is_replayed_only_when_it_is_named(house: House) -> None:
    [job] = house.dead()
    house.dead_letters.discard(EVERYTHING, ORDER)

    by_filter = house.dead_letters.replay(EVERYTHING, ORDER)
    by_name = house.dead_letters.replay((job.job_id,), ORDER)

    assert (by_filter.done, by_name.done, house.status(job)) == (0, 1, Status.QUEUED)


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_second_run_finds_nothing_left_to_do(house: House, action: str) -> None:
    jobs = house.dead(3)
    use_case = getattr(house.dead_letters, action)
    use_case(EVERYTHING, ORDER)
    before = [house.read(job) for job in jobs]

    by_filter = use_case(EVERYTHING, ORDER)
    by_name = use_case(tuple(job.job_id for job in jobs), ORDER)

    assert (by_filter.done, by_filter.already_done) == (0, 0)
    assert (by_name.done, by_name.already_done) == (0, 3)
    assert [house.read(job) for job in jobs] == before


class Killed(BaseException):
    """The process is gone: nobody may tidy up after it."""


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("batches", [1, 3])
def test_a_run_killed_in_the_middle_is_finished_by_running_it_again(house: House, action: str, batches: int) -> None:
    jobs = house.dead(10)
    use_case = getattr(house.dead_letters, action)
    looked_at: list[int] = []

    def kill(run: BulkOperation) -> None:
        looked_at.append(run.done)
        if len(looked_at) == batches:
            raise Killed

    with pytest.raises(Killed):
        use_case(EVERYTHING, ORDER, kill)
    second = use_case(EVERYTHING, ORDER)

    assert looked_at[-1] + second.done == 10
    assert {len(house.read(job).logs) for job in jobs} == {2}
    assert house.repository.count() == 0
    assert len(set(house.published())) == len(house.published())


def test_who_loses_the_race_finds_it_done_already(house: House) -> None:
    jobs = house.dead(5)
    ids = tuple(job.job_id for job in jobs)
    others = [BulkOptions(operator="bob", rate_per_second=1000)]

    def another_operator_comes_first() -> None:
        if others:
            house.dead_letters.replay(ids, others.pop())

    house.repository.on_page = another_operator_comes_first
    run = house.dead_letters.replay(EVERYTHING, BulkOptions(operator="ada", rate_per_second=1000))

    assert (run.done, run.already_done) == (0, 5)
    assert [house.read(job).replays for job in jobs] == [1] * 5
    assert len(house.published()) == 5


def test_jobs_that_fail_again_meanwhile_are_not_replayed_for_ever(house: House) -> None:
    house.dead(2)

    def fail_again(run: BulkOperation) -> None:
        if run.done < 20:
            house.dead(1, dead_lettered_at=house.clock.now() + timedelta(seconds=1))

    run = house.dead_letters.replay(EVERYTHING, ORDER, fail_again)

    assert run.done == 2


def test_no_more_than_the_limit_are_taken(house: House) -> None:
    house.dead(10)

    run = house.dead_letters.replay(EVERYTHING, BulkOptions(operator="ada", rate_per_second=15, limit=4))

    assert (run.done, house.repository.count()) == (4, 6)


@pytest.mark.parametrize("rate", [5, 50, 1000])
def test_no_more_a_second_than_asked_for(house: House, rate: float) -> None:
    house.dead(400)

    house.dead_letters.replay(EVERYTHING, BulkOptions(operator="ada", rate_per_second=rate))

    by_time: dict[float, int] = {}
    for job in house.repository.find(house.published()):
        seconds = (job.updated_at - later(3600)).total_seconds()
        by_time[seconds] = by_time.get(seconds, 0) + 1
    batch = max(by_time.values())
    assert batch <= max(1, rate / 5)
    so_far = 0
    for seconds, count in sorted(by_time.items()):
        so_far += count
        assert so_far <= seconds * rate + batch + 1e-6
    assert sum(house.slept) == pytest.approx((400 - batch) / rate, abs=1 / rate + 0.01)


def test_unknown_ids_are_counted(house: House) -> None:
    [job] = house.dead()

    run = house.dead_letters.replay((job.job_id, make_job_id(), job.job_id), ORDER)

    assert (run.done, run.unknown, run.already_done) == (1, 1, 0)


def test_a_broker_that_is_away_leaves_the_hints_to_the_sweep(house: House) -> None:
    [job] = house.dead()
    house.queue.is_up = False

    run = house.dead_letters.replay(EVERYTHING, ORDER)

    assert (run.done, run.unpublished, house.status(job)) == (1, 1, Status.QUEUED)
    assert house.read(job).due_at is not None


# --- dry run and audit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_counts_and_changes_nothing(house: House, action: str) -> None:
    house.dead(4)
    house.dead(2, error=JobError("outcome_unknown", "timeout", "mail"))
    before = house.everything()

    run = getattr(house.dead_letters, action)(EVERYTHING, DRY)

    assert house.everything() == before
    assert run.reasons == {Reason("rejected", "sandbox"): 4, Reason("outcome_unknown", "mail"): 2}
    assert (house.audit.only().is_dry_run, house.audit.only().done, house.slept) == (True, 6, [])


def test_one_audit_entry_says_who_did_what_to_which_and_how_it_ended(house: House) -> None:
    jobs = house.dead(3, type=Channel.EMAIL)
    house.dead(1)

    house.dead_letters.replay(DeadLetterFilter(type=Channel.EMAIL, failed_since=NOW), ORDER)

    entry = house.audit.only()
    assert (entry.action, entry.operator, entry.state, entry.done) == (
        Action.REPLAY,
        "ada@ops",
        BulkOperationState.FINISHED,
        3,
    )
    assert entry.filters == {"type": "email", "failed_since": NOW.isoformat()}
    assert (entry.first_id, entry.last_id) == (jobs[0].job_id, jobs[-1].job_id)
    assert (entry.started_at, entry.finished_at) == (later(3600), house.clock.now())


def test_nothing_is_changed_before_the_audit_entry_is_written(house: House) -> None:
    [job] = house.dead()
    house.audit.is_away = True

    with pytest.raises(StoreError):
        house.dead_letters.discard(EVERYTHING, ORDER)

    assert house.read(job) == job


@pytest.mark.parametrize(
    ("error", "state"),
    [(KeyboardInterrupt(), BulkOperationState.INTERRUPTED), (StoreError("away"), BulkOperationState.FAILED)],
)
def test_the_audit_entry_of_a_run_that_was_cut_short_counts_what_was_done(
    house: House, error: BaseException, state: BulkOperationState
) -> None:
    house.dead(5)

    def stop(run: BulkOperation) -> None:
        if run.done == 2:
            raise error

    with pytest.raises(type(error)):
        house.dead_letters.replay(EVERYTHING, ORDER, stop)

    assert (house.audit.only().state, house.audit.only().done) == (state, 2)


def test_the_entry_of_a_run_that_was_killed_is_up_to_date(house: House) -> None:
    house.dead(5)
    entries: list[tuple[BulkOperationState, int]] = []
    house.audit.on_record = lambda run: entries.append((run.state, run.done))

    house.dead_letters.replay(EVERYTHING, ORDER)

    assert entries == [*((BulkOperationState.RUNNING, done) for done in range(6)), (BulkOperationState.FINISHED, 5)]


# --- foreign messages -----------------------------------------------------------------------------------------------


def test_messages_that_nobody_understood_are_found_among_the_letters_and_stay(house: House) -> None:
    house.dead(3)
    house.queue.content[1:1] = [foreign_message(), foreign_message("delivery_limit")]

    found, count = house.dead_letters.foreign_messages(limit=1)

    assert ([dead_letter.reason for dead_letter in found], count) == (["rejected"], 2)
    assert len(house.queue.content) == 5


def test_dropping_them_spares_the_letters_and_leaves_an_audit_entry(house: House) -> None:
    jobs = house.dead(3)
    house.queue.content[1:1] = [foreign_message(), foreign_message("delivery_limit"), foreign_message()]

    house.dead_letters.discard_foreign_messages(ORDER)

    assert house.queue.ids() == [job.job_id for job in jobs]
    entry = house.audit.only()
    assert (entry.action, entry.done) == (Action.DISCARD_RAW, 3)
    assert entry.reasons[Reason("rejected", "notifications.sms.normal")] == 2


def test_a_dry_run_drops_none_of_them(house: House) -> None:
    house.queue.content = [foreign_message()]

    run = house.dead_letters.discard_foreign_messages(DRY)

    assert (run.done, len(house.queue.content)) == (1, 1)


def test_none_is_dropped_without_an_audit_entry(house: House) -> None:
    house.queue.content = [foreign_message()]

    def store_goes_away(run: BulkOperation) -> None:
        if run.done:
            raise StoreError("away")

    house.audit.on_record = store_goes_away

    with pytest.raises(StoreError):
        house.dead_letters.discard_foreign_messages(ORDER)

    assert len(house.queue.content) == 1


def test_a_queue_that_somebody_reads_is_waited_for(house: House) -> None:
    house.queue.is_busy = True
    house.queue.content = [foreign_message()]

    def others_finish() -> None:
        house.queue.is_busy = len(house.slept) < 3

    house.on_sleep = others_finish
    found, _ = house.dead_letters.foreign_messages(1)

    assert (len(found), len(house.slept)) == (1, 3)


# --- reconciliation -------------------------------------------------------------------------------------------------


def reconciled(house: House) -> list[JobId | None]:
    """The queue after two ticks: what is missing must be missed twice."""
    for _ in range(2):
        house.clock.advance(60)
        house.reconciliation.run_if_needed()
    return house.queue.ids()


def test_nothing_is_walked_through_while_the_numbers_agree(house: House) -> None:
    house.dead(3)
    house.reconciliation.run()
    scans = house.queue.scans

    assert house.reconciliation.run_if_needed() is None
    assert house.queue.scans == scans


def test_the_letters_of_replayed_and_discarded_jobs_leave_the_queue(house: House) -> None:
    replayed, discarded, kept = house.dead(3)
    house.dead_letters.replay((replayed.job_id,), ORDER)
    # Killed here, between the write to the store and the queue.
    house.dead_letters.discard((discarded.job_id,), ORDER)

    assert reconciled(house) == [kept.job_id]


def test_a_purged_queue_gets_its_letters_back(house: House) -> None:
    jobs = house.dead(5)
    house.dead_letters.discard((jobs[0].job_id,), ORDER)
    house.queue.content = []

    assert reconciled(house) == [job.job_id for job in jobs[1:]]


def test_letters_that_come_back_from_somebody_who_was_killed_are_not_published_again(house: House) -> None:
    house.dead(5)
    elsewhere, house.queue.content = house.queue.content, []
    house.clock.advance(60)
    house.reconciliation.run_if_needed()
    house.queue.content = list(elsewhere)

    reconciled(house)

    assert house.queue.content == elsewhere
    assert len(house.queue.dead_letters) == 5


def test_a_letter_that_was_published_a_moment_ago_is_not_missed_yet(house: House) -> None:
    house.dead(1, dead_lettered_at=house.clock.now())
    house.queue.content = []

    house.reconciliation.run()
    house.clock.advance(14)
    early = house.reconciliation.run()
    house.clock.advance(2)
    late = house.reconciliation.run()

    assert (early.published_again, late.published_again) == (0, 1)


def test_a_letter_that_comes_twice_is_kept_once(house: House) -> None:
    [job] = house.dead()
    house.queue.publish_dead_letters([dead_letter_of(job, NOW)])

    assert reconciled(house) == [job.job_id]


def test_the_letter_of_a_former_life_goes_and_that_of_this_one_stays(house: House) -> None:
    [job] = house.dead(1, finished_at=later(100))
    former = make_job(status=Status.FAILED, job_id=job.job_id, finished_at=later(50))
    house.queue.content.insert(0, house.queue.content[0])
    house.queue.publish_dead_letters([dead_letter_of(former, NOW)])

    reconciled(house)

    assert [(dead_letter.job_id, dead_letter.failed_at) for dead_letter in house.queue.content] == [
        (job.job_id, later(100))
    ]


def test_the_letter_of_a_job_that_is_about_to_be_noted_stays(house: House) -> None:
    [job] = house.dead(1, dead_lettered_at=None, due_at=later(7200))

    assert reconciled(house) == [job.job_id]


def test_the_letter_of_a_job_whose_retention_ended_goes(house: House) -> None:
    house.queue.publish_dead_letters([dead_letter_of(make_job(status=Status.FAILED), NOW)])

    assert reconciled(house) == []


def test_strangers_stay_and_are_no_reason_to_walk_again(house: House) -> None:
    house.dead(2)
    house.queue.content.append(foreign_message())
    assert len(reconciled(house)) == 3
    scans = house.queue.scans

    house.clock.advance(60)
    house.reconciliation.run_if_needed()

    assert house.queue.scans == scans


def test_one_too_many_and_one_too_few_are_found_in_time(house: House) -> None:
    replayed, kept = house.dead(2)
    house.reconciliation.run()
    house.dead_letters.replay((replayed.job_id,), ORDER)
    [missing] = house.dead()
    house.queue.content.pop()
    assert house.queue.depth() == house.repository.count()

    house.clock.advance(400)

    assert reconciled(house) == [kept.job_id, missing.job_id]


def test_walking_takes_a_tenth_of_the_time_at_most(house: House) -> None:
    house.dead(2)
    house.queue.on_scan = lambda: house.clock.advance(20)
    house.reconciliation.run()
    house.queue.content.pop()

    house.clock.advance(170)
    too_early = house.reconciliation.run_if_needed()
    house.clock.advance(20)
    in_time = house.reconciliation.run_if_needed()

    assert too_early is None
    assert in_time is not None


@pytest.mark.parametrize("trouble", ["broker away", "queue busy", "store away"])
def test_servers_that_are_away_are_waited_for(house: House, trouble: str) -> None:
    house.dead(1)
    house.queue.content = []
    house.queue.is_up = trouble != "broker away"
    house.queue.is_busy = trouble == "queue busy"
    house.repository.is_away = trouble == "store away"

    assert house.reconciliation.run_if_needed() is None

    house.queue.is_up, house.queue.is_busy, house.repository.is_away = True, False, False
    assert len(reconciled(house)) == 1


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def wavecom(house: House) -> Callable[..., Result]:
    services = OperatorServices(
        audit=cast(Any, None),
        sessions=cast(Any, None),
        clock=house.clock,
        jobs=house.jobs,
        dead_letters=house.dead_letters,
        keys=cast(KeyAdministration, None),
        reconciliation=house.reconciliation,
    )

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(command, list(arguments), obj=services)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_the_list_masks_recipients(house: House, wavecom: Callable[..., Result]) -> None:
    [job] = house.dead(1, to={"phone": "+12025550143"})

    shown = wavecom("list")

    assert (shown.exit_code, job.job_id in shown.stdout, "0143" in shown.stdout) == (0, True, False)
    assert "1 in all." in shown.stdout


def test_the_list_as_json_is_one_object_a_line_the_newest_first(house: House, wavecom: Callable[..., Result]) -> None:
    jobs = house.dead(3)

    lines = [json.loads(line) for line in wavecom("list", "--json", "--limit", "2").stdout.splitlines()]

    assert [line["jobId"] for line in lines] == [jobs[2].job_id, jobs[1].job_id]
    assert lines[0]["error"]["code"] == "rejected"
    assert lines[0]["to"] == "+12…43"
    assert "metadata" not in lines[0]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--error-code", "rejected"], 2),
        (["--provider", "mail"], 1),
        (["--type", "email"], 1),
        (["--since", "30m"], 1),
        (["--until", NOW.isoformat()], 0),
        (["--since", "2026-03-14T09:26:53.589", "--client", "acme"], 3),
        (["--until", "30m", "--error-code", "rejected"], 2),
    ],
)
def test_the_list_takes_every_filter(
    house: House, wavecom: Callable[..., Result], arguments: list[str], count: int
) -> None:
    house.dead(2)
    house.dead(1, type=Channel.EMAIL, finished_at=later(3000), error=JobError("outcome_unknown", "timeout", "mail"))

    assert len(wavecom("list", "--json", *arguments).stdout.splitlines()) == count


def test_show_hides_personal_data_until_asked(house: House, wavecom: Callable[..., Result]) -> None:
    [job] = house.dead(1, payload={"text": "Your one-time password is 493817"})

    hidden = wavecom("show", job.job_id)
    revealed = wavecom("show", job.job_id, "--reveal", "--operator", "ada")

    assert "accepted" in hidden.stdout
    assert "493817" not in hidden.stdout
    assert "+12025550143" not in hidden.stdout
    assert "493817" in revealed.stdout
    assert "+12025550143" in revealed.stdout
    assert (house.audit.only().action, house.audit.only().operator) == (Action.REVEAL, "ada")


def test_a_job_that_nobody_knows_is_said_in_words(wavecom: Callable[..., Result]) -> None:
    result = wavecom("show", "no-such-job")

    assert (result.exit_code, "There is no notification no-such-job" in result.stderr) == (1, True)


def test_replay_says_what_it_did_and_takes_the_letters_out_of_the_queue(
    house: House, wavecom: Callable[..., Result]
) -> None:
    house.dead(3)

    result = wavecom("replay", "--rate", "1000")

    assert (result.exit_code, house.queue.content, len(house.published())) == (0, [], 3)
    assert "3 replayed. Audit entry run-1." in result.stdout


def test_a_dry_run_counts_by_error_and_provider(house: House, wavecom: Callable[..., Result]) -> None:
    house.dead(3)
    before = house.everything()

    result = wavecom("discard", "--dry-run")

    assert "3 would be discarded" in result.stdout
    assert "rejected" in result.stdout
    assert "sandbox" in result.stdout
    assert house.everything() == before


def test_unknown_ids_end_with_an_error(house: House, wavecom: Callable[..., Result]) -> None:
    [job] = house.dead()

    result = wavecom("replay", job.job_id, "nobody")

    assert (result.exit_code, house.status(job)) == (1, Status.QUEUED)
    assert "1 job id unknown" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["list", "x", "--client", "acme"], ["discard", "--raw", "x"], ["list", "--since", "soon"]]
)
def test_contradictions_are_refused(wavecom: Callable[..., Result], arguments: list[str]) -> None:
    assert wavecom(*arguments).exit_code == 2


def test_a_store_that_is_away_is_said_in_words(house: House, wavecom: Callable[..., Result]) -> None:
    house.dead()
    house.audit.is_away = True

    result = wavecom("replay")

    assert result.exit_code == 1
    assert "Check MONGODB_URI" in result.stderr
    assert "Traceback" not in result.output


def test_a_broker_that_is_away_does_not_stop_a_replay(house: House, wavecom: Callable[..., Result]) -> None:
    [job] = house.dead()
    house.queue.is_up = False

    result = wavecom("replay")

    assert (result.exit_code, house.status(job)) == (0, Status.QUEUED)
    assert "the sweep publishes them" in result.stdout
    assert "by themselves when it is back" in result.stderr


def test_raw_messages_are_shown_so_that_a_terminal_does_nothing_with_them(
    house: House, wavecom: Callable[..., Result]
) -> None:
    house.dead(1)
    house.queue.content.append(foreign_message(head=b"\x1b[2Jhello\n\xff[red]"))

    result = wavecom("list", "--raw")

    assert "\\x1b[2Jhello\\x0a\\xff[red]" in result.stdout
    assert "1 in all." in result.stdout


def test_raw_messages_are_dropped(house: House, wavecom: Callable[..., Result]) -> None:
    [job] = house.dead()
    house.queue.content.append(foreign_message())

    result = wavecom("discard", "--raw")

    assert "1 dropped." in result.stdout
    assert house.queue.ids() == [job.job_id]
