"""Which dead letters an operation is about, as its audit entry has it; and how one is taken up again."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.dead_letter_environment import EVERYTHING, OPTIONS, DeadLetterEnvironment, Killed
from tests.factories import NOW, later, make_job_id
from tests.memory_storage import MemoryDeadLetterRepository
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperation, BulkOptions, NotResumableError
from wavecom.core.dead_letter_selection import FilteredDeadLetters, selection_from_text, selection_to_text
from wavecom.core.dead_letters import DeadLetterFilter, PagePosition, Selection
from wavecom.core.job import Job, JobError, JobId
from wavecom.core.lanes import Channel
from wavecom.core.states import NOT_FINAL, Status
from wavecom.core.transitions import Guard, Transition

FAST = BulkOptions(operator="bob@ops", rate_per_second=1000)
#: Three a batch, three batches a second.
IN_THREES = BulkOptions(operator="ada@ops", rate_per_second=15)


@pytest.fixture
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment()


@pytest.mark.parametrize(
    "selection",
    [
        DeadLetterFilter(),
        DeadLetterFilter("rejected", "mail", Channel.EMAIL, "acme", NOW, later(3600.5)),
        DeadLetterFilter(failed_before=NOW),
        (make_job_id(), make_job_id()),
    ],
)
def test_an_audit_entry_has_the_whole_selection(selection: Selection) -> None:
    assert selection_from_text(selection_to_text(selection, OPTIONS)) == selection


def test_of_a_hundred_ids_the_entry_keeps_all_and_of_more_it_says_that_it_does_not() -> None:
    ids = tuple(make_job_id() for _ in range(101))

    assert selection_from_text(selection_to_text(ids[:100], OPTIONS)) == ids[:100]
    assert selection_to_text(ids, OPTIONS)["jobs"].endswith(f"{ids[99]} and 1 more")
    with pytest.raises(NotResumableError, match="Start it again with the same ids"):
        selection_from_text(selection_to_text(ids, OPTIONS))


def test_ids_that_a_client_gave_are_not_taken_for_an_operators() -> None:
    text = selection_to_text((make_job_id(),), BulkOptions(operator="key 1", client="acme"))

    with pytest.raises(NotResumableError, match="client"):
        selection_from_text(text)


class PartlyUnreadable(MemoryDeadLetterRepository):
    """As when some documents are another release's, which can't be read."""

    unreadable: frozenset[JobId] = frozenset()

    def page(self, *arguments: Any, **options: Any) -> tuple[list[Job], PagePosition | None]:
        jobs, position = super().page(*arguments, **options)
        return [job for job in jobs if job.job_id not in self.unreadable], position


def test_a_page_of_nothing_but_unreadable_jobs_is_not_the_end(environment: DeadLetterEnvironment) -> None:
    jobs = environment.dead(3)
    repository = PartlyUnreadable(environment.jobs)
    repository.unreadable = frozenset({jobs[0].job_id})
    operation = BulkOperation("run-1", AuditAction.REPLAY, "ada@ops", environment.clock.now(), {})
    source = FilteredDeadLetters(EVERYTHING, repository, operation)

    found = [source.read(1), source.read(1)]
    assert [[job.job_id for job in page or ()] for page in found] == [[jobs[1].job_id], [jobs[2].job_id]]
    assert source.read(1) is None


# --- taken up again -------------------------------------------------------------------------------------------------


def killed(environment: DeadLetterEnvironment, action: str, selection: Selection, done: int) -> list[BulkOperation]:
    """Every state of the audit entry of an operation whose process was killed when so many jobs were moved."""
    entries: list[BulkOperation] = []

    def kill(operation: BulkOperation) -> None:
        entries.append(deepcopy(operation))
        if operation.done == done:
            environment.audit.is_away = True
            raise Killed

    environment.audit.on_record = kill
    with pytest.raises(Killed):
        getattr(environment.dead_letters, action)(selection, IN_THREES)
    environment.audit.is_away = False
    environment.audit.on_record = lambda _operation: None
    return entries


def fail_again(environment: DeadLetterEnvironment, job: Job) -> None:
    """What becomes of a replayed job that its provider still refuses."""
    failed_at = environment.clock.now()
    dates = dict.fromkeys(("finished_at", "dead_lettered_at", "updated_at"), failed_at)
    failure = {"status": Status.FAILED, "error": JobError("rejected", "no", "sandbox"), "due_at": None}
    assert environment.jobs.apply([Transition(job.job_id, Guard(NOT_FINAL), dates | failure)]) == [True]


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("is_by_id", [False, True])
def test_a_killed_operation_is_taken_up_where_its_entry_says(
    environment: DeadLetterEnvironment, action: str, is_by_id: bool
) -> None:
    jobs = environment.dead(10)
    selection: Selection = tuple(job.job_id for job in jobs) if is_by_id else EVERYTHING
    first = killed(environment, action, selection, done=6)[-1]

    second = environment.dead_letters.resume(environment.dead_letters.resumable(first.operation_id), FAST)

    assert (first.done, second.done, second.looked_at) == (6, 4, 4)
    assert {len(environment.read(job).logs) for job in jobs} == {2}
    assert {second.first_id, second.last_id} <= {job.job_id for job in jobs[6:]}


@pytest.mark.parametrize("is_by_id", [False, True])
def test_what_was_replayed_and_has_failed_again_is_not_replayed_a_second_time(
    environment: DeadLetterEnvironment, is_by_id: bool
) -> None:
    jobs = environment.dead(10)
    selection: Selection = tuple(job.job_id for job in jobs) if is_by_id else EVERYTHING
    # Killed after its second batch was written, and before that was counted.
    first = killed(environment, "replay", selection, done=6)[-2]
    environment.clock.advance(60)
    for job in jobs[:6]:
        fail_again(environment, job)

    second = environment.dead_letters.resume(first, FAST)

    assert first.done == 3
    assert [environment.read(job).replays for job in jobs] == [1] * 10
    assert (sorted(environment.published()), second.done) == ([job.job_id for job in jobs], 4)
    assert environment.dead_letters.replay(EVERYTHING, FAST).done == 6


def test_one_that_was_killed_before_its_first_batch_begins_at_the_beginning(
    environment: DeadLetterEnvironment,
) -> None:
    environment.dead(3)
    [first] = killed(environment, "replay", EVERYTHING, done=0)

    assert environment.dead_letters.resume(first, FAST).done == 3


def test_only_a_replay_or_discard_is_resumed(environment: DeadLetterEnvironment) -> None:
    [job] = environment.dead()
    environment.dead_letters.reveal(job.job_id, "ada@ops")

    for operation_id in ("run-1", "nobody"):
        with pytest.raises(NotResumableError, match="no audit entry of a replay or discard"):
            environment.dead_letters.resumable(operation_id)
