"""Bulk operations over a list of words: pace, limit, audit entry, and what is done when one is taken up again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.dead_letter_environment import Killed, bulk_runner_over
from tests.fakes import FakeClock
from tests.memory_storage import MemoryAuditLog
from wavecom.core.audit import AuditAction, FailureReason
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState, BulkOptions, NotResumableError
from wavecom.core.bulk_runner import BulkRunner
from wavecom.errors import StoreError

WORDS = [f"word-{number}" for number in range(12)]
#: In batches of two.
TEN_A_SECOND = BulkOptions(operator="ada@ops", rate_per_second=10)


class Words:
    """A source and a change: words that are to be said, and when each was."""

    def __init__(self, clock: FakeClock, words: Sequence[str] = WORDS, *, doubtful: Sequence[str] = ()) -> None:
        self.clock = clock
        self.said: dict[str, list[float]] = {}
        self.on_said: Callable[[], None] = lambda: None
        self._words = words
        self._doubtful = doubtful
        self._read = 0

    def starting_at(self, operation: BulkOperation) -> Words:
        self._read = int(operation.position or 0)
        return self

    @property
    def position(self) -> str:
        return str(self._read)

    def read(self, count: int) -> Sequence[str] | None:
        words = self._words[self._read : self._read + count]
        self._read += len(words)
        return words or None

    def count(self, items: Sequence[str], operation: BulkOperation) -> None:
        for word in items:
            if word in self._doubtful:
                operation.in_doubt += 1
            else:
                operation.reasons[FailureReason("said", None)] += 1

    def apply(self, items: Sequence[str], operation: BulkOperation) -> None:
        self.count(items, operation)
        for word in items:
            if word not in self._doubtful:
                self.said.setdefault(word, []).append(self.clock.monotonic())
        self.on_said()

    def times(self) -> list[float]:
        return sorted(time for times in self.said.values() for time in times)


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.audit = MemoryAuditLog()
        self.runner: BulkRunner = bulk_runner_over(self.audit, self.clock)
        self.words = Words(self.clock)

    def run(self, options: BulkOptions = TEN_A_SECOND, words: Words | None = None) -> BulkOperation:
        words = words or self.words
        return self.runner.run(self.runner.new(AuditAction.REPLAY, {}, options), words, words, options)

    def resume(self, first: BulkOperation, options: BulkOptions = TEN_A_SECOND) -> BulkOperation:
        operation = self.runner.resumed(first, options)
        words = self.words.starting_at(operation)
        return self.runner.run(operation, words, words, options)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_every_item_is_changed_once_and_the_pace_is_kept(environment: Environment) -> None:
    began = environment.clock.monotonic()

    operation = environment.run()

    assert (operation.done, sorted(environment.words.said)) == (12, sorted(WORDS))
    times = environment.words.times()
    # Batches of two at ten a second: one each fifth of a second, the first at once.
    assert times == pytest.approx([began + number // 2 / 5 for number in range(12)])


def test_what_starts_by_itself_later_is_not_waited_for(environment: Environment) -> None:
    began = environment.clock.monotonic()
    options = BulkOptions(operator="ada@ops", rate_per_second=10, starts_at=environment.clock.now())

    environment.run(options)

    assert set(environment.words.times()) == {began}
    assert options.start_of(25) == environment.clock.now().replace(second=environment.clock.now().second + 2)


def test_what_is_in_doubt_does_not_use_up_the_limit(environment: Environment) -> None:
    words = Words(environment.clock, doubtful=WORDS[:5])

    operation = environment.run(BulkOptions(operator="ada@ops", rate_per_second=10, limit=3), words)

    assert (operation.in_doubt, list(words.said)) == (5, WORDS[5:8])


def test_the_entry_is_written_before_the_first_change_and_after_every_batch(environment: Environment) -> None:
    story: list[tuple[str, int]] = []
    environment.audit.on_record = lambda operation: story.append((operation.state, operation.done))
    environment.words.on_said = lambda: story.append(("said", len(environment.words.said)))

    environment.run(BulkOptions(operator="ada@ops", rate_per_second=10, limit=4))

    assert story == [("running", 0), ("said", 2), ("running", 2), ("said", 4), ("running", 4), ("finished", 4)]


def test_nothing_is_changed_when_the_entry_cannot_be_written(environment: Environment) -> None:
    environment.audit.is_away = True

    with pytest.raises(StoreError):
        environment.run()

    assert environment.words.said == {}


def test_a_dry_run_counts_and_changes_nothing(environment: Environment) -> None:
    operation = environment.run(BulkOptions(operator="ada@ops", is_dry_run=True))

    assert (operation.done, environment.words.said, environment.audit.only().done) == (12, {}, 12)


@pytest.mark.parametrize(
    ("error", "state"),
    [(KeyboardInterrupt(), BulkOperationState.INTERRUPTED), (ValueError("a bug"), BulkOperationState.FAILED)],
)
def test_the_entry_says_how_it_ended(environment: Environment, error: BaseException, state: BulkOperationState) -> None:
    def stop() -> None:
        raise error

    environment.words.on_said = stop
    with pytest.raises(type(error)):
        environment.run()

    assert (environment.audit.only().state, environment.audit.only().finished_at) == (state, environment.clock.now())


# --- taken up again -------------------------------------------------------------------------------------------------


def killed_after(environment: Environment, batches: int) -> BulkOperation:
    """The entry of an operation whose process was killed when so many batches were done and counted."""

    def kill(operation: BulkOperation) -> None:
        if operation.done == 2 * batches:
            environment.audit.is_away = True
            raise Killed

    environment.audit.on_record = kill
    with pytest.raises(Killed):
        environment.run()
    environment.audit.is_away = False
    environment.audit.on_record = lambda _operation: None
    return environment.audit.only()


@pytest.mark.parametrize("batches", [1, 3])
def test_it_goes_on_where_the_killed_one_was_and_repeats_nothing(environment: Environment, batches: int) -> None:
    first = killed_after(environment, batches)
    assert (first.state, first.done) == (BulkOperationState.RUNNING, 2 * batches)

    second = environment.resume(first)

    assert (second.done, len(environment.words.said)) == (12 - first.done, 12)
    assert {len(times) for times in environment.words.said.values()} == {1}


def test_it_has_an_entry_of_its_own_that_names_the_first_and_looks_at_no_newer_items(environment: Environment) -> None:
    first = killed_after(environment, 1)
    environment.clock.advance(3600)

    second = environment.resume(first, BulkOptions(operator="bob@ops", rate_per_second=10, limit=2))
    environment.clock.advance(3600)
    third = environment.resume(second)

    assert (second.operation_id, second.operator, second.resumes) == ("run-2", "bob@ops", "run-1")
    assert (second.action, second.filters, second.done) == (first.action, first.filters, 2)
    assert (third.resumes, third.done) == ("run-2", 8)
    assert first.items_until == second.items_until == third.items_until == first.started_at
    assert environment.audit.operations["run-1"] == first


def test_a_dry_run_cannot_be_resumed(environment: Environment) -> None:
    dry = environment.run(BulkOptions(operator="ada@ops", is_dry_run=True))

    with pytest.raises(NotResumableError, match="dry run"):
        environment.runner.resumed(dry, TEN_A_SECOND)
