from __future__ import annotations

from typing import Any, cast

from pymongo import UpdateMany, UpdateOne

from tests.factories import NOW, later, make_job, make_try
from wavecom.core.engine import AttemptFinished, DueReached, Event, Transition, decide
from wavecom.core.job import Job, Outcome
from wavecom.core.states import Status
from wavecom.storage.mongo.sharded_jobs import EARLIER_KEYS, ShardedJobs
from wavecom.storage.mongo.transitions import PendingWrite, operations


def _decided(job: Job, event: Event) -> Transition:
    transition = decide(job, event, NOW)
    assert transition is not None
    return transition


def _record(outcome: Outcome = Outcome.ACCEPTED) -> Transition:
    job = make_job(status=Status.PROCESSING)
    assert job.claim is not None
    return _decided(job, AttemptFinished(job.claim.token, (make_try(outcome, message_id="m"),)))


def _operations(transitions: list[Transition]) -> list[UpdateOne | UpdateMany]:
    return list(
        operations([PendingWrite(transition, number) for number, transition in enumerate(transitions)], SHARDED)
    )


class EveryJobHasAKey:
    """A collection in which no look finds a job without shard key, nor an idempotency key of before."""

    @property
    def database(self) -> dict[str, Any]:
        return {EARLIER_KEYS: self}

    def with_options(self, **options: object) -> EveryJobHasAKey:
        return self

    def find_one(self, *_: object, **options: object) -> None:
        return None


SHARDED = ShardedJobs(cast("Any", EveryJobHasAKey()))


def _jobs_of(operation: UpdateOne | UpdateMany) -> int:
    wanted = operation._filter["shardKey"]
    return 1 if isinstance(wanted, str) else len(wanted["$in"])


def test_deliveries_under_tokens_of_their_own_are_one_operation() -> None:
    made = _operations([_record() for _ in range(30)])

    assert [type(each) for each in made] == [UpdateMany]
    assert len(made[0]._filter["claim.fence"]["$in"]) == 30


def test_what_differs_in_guard_or_fields_is_not_written_together() -> None:
    made = _operations(
        [_record(), _record(Outcome.REJECTED), _record(), _record(Outcome.REJECTED), _record(Outcome.UNAVAILABLE)]
    )

    assert sorted(_jobs_of(each) for each in made) == [1, 2, 2]
    assert sum(isinstance(each, UpdateOne) for each in made) == 1


def test_a_campaign_that_becomes_due_at_once_is_written_together_in_bounded_parts() -> None:
    campaign = [make_job(status=Status.SCHEDULED, due_at=NOW) for _ in range(250)]
    straggler = make_job(status=Status.SCHEDULED, due_at=later(-1))

    made = _operations([_decided(job, DueReached()) for job in [*campaign, straggler]])

    assert sorted(_jobs_of(each) for each in made) == [1, 50, 100, 100]


def test_the_unique_key_comes_first_in_every_filter() -> None:
    made = _operations([_record(), _record(), _record(Outcome.REJECTED)])

    assert {next(iter(each._filter)) for each in made} == {"shardKey"}
    assert all("status" in each._filter and "writes" in each._filter for each in made)
