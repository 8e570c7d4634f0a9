"""An election, as the driver sees it: nothing is lost and nothing is done twice, whatever the old primary says last."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.contract.stepping_down import FAULTS, UNCONFIRMED, Fault, SteppingDownPrimary
from tests.factories import NOW, make_claim, make_job, make_try
from wavecom.core.engine import AttemptFinished, Transition, decide
from wavecom.core.job import Claim, Job
from wavecom.core.states import FINAL
from wavecom.errors import StoreError, UncertainWriteError
from wavecom.storage.mongo.client import CLIENT_OPTIONS
from wavecom.storage.mongo.jobs import MongoJobRepository


class Election:
    """A repository behind a primary that steps down, and the same store as it really is."""

    def __init__(self, database: Database[dict[str, Any]], uri: str) -> None:
        parts = urlsplit(uri)
        self.primary = SteppingDownPrimary(parts.hostname or "", parts.port or 27017, lambda name, number: None)
        login = parts.netloc.rpartition("@")[0]
        place = f"{login}@" * bool(login) + f"127.0.0.1:{self.primary.port}"
        # Past what the server says of its replica set, or the driver would go round the proxy; and asked how it is
        # whenever the driver wants to know: a real primary tells that it leads again, this one has never heard of it.
        self.client: MongoClient[dict[str, Any]] = MongoClient(
            parts._replace(netloc=place).geturl(), directConnection=True, serverMonitoringMode="poll", **CLIENT_OPTIONS
        )
        self.jobs = MongoJobRepository(self.client[database.name]["jobs"], system_now=lambda: NOW)
        self.really = MongoJobRepository(database["jobs"], system_now=lambda: NOW)

    def close(self) -> None:
        self.client.close()
        self.primary.close()

    def once(self, command: str, fault: Fault) -> None:
        """The next ``command`` meets ``fault``."""
        waiting = [fault]
        self.primary.script = lambda name, number: waiting.pop() if name == command and waiting else None


@pytest.fixture
def election(indexed_database: Database[dict[str, Any]], mongodb_uri: str) -> Iterator[Election]:
    made = Election(indexed_database, mongodb_uri)
    yield made
    made.close()


def _record(job: Job, claim: Claim) -> Transition:
    transition = decide(job, AttemptFinished(claim.token, (make_try(),)), NOW)
    assert transition is not None
    return transition


_by_name = pytest.mark.parametrize("fault", [*FAULTS, *UNCONFIRMED], ids=lambda fault: fault.name)


@_by_name
def test_what_is_inserted_meanwhile_is_there_once(election: Election, fault: Fault) -> None:
    batch = [make_job(), make_job(idempotency_key="k"), make_job(idempotency_key="k")]
    election.once("insert", fault)

    results = election.jobs.insert(batch)

    assert sum(election.primary.met.values()) == 1
    [holder] = [result for result in results if result is not None]
    assert holder.job_id in {batch[1].job_id, batch[2].job_id}
    assert len(election.really.by_ids([job.job_id for job in batch])) == 2


@_by_name
def test_what_is_claimed_meanwhile_is_granted_to_one(election: Election, fault: Fault) -> None:
    stored = [make_job() for _ in range(3)]
    election.really.insert(stored)
    election.once("update", fault)

    granted = election.jobs.claim([job.job_id for job in stored], make_claim("ours"), NOW)
    others = election.really.claim([job.job_id for job in stored], make_claim("theirs"), NOW)

    assert sum(election.primary.met.values()) == 1
    assert (set(granted), others) == ({job.job_id for job in stored}, {})


@_by_name
def test_what_is_recorded_meanwhile_is_recorded_once(election: Election, fault: Fault) -> None:
    claim, stored = make_claim(), [make_job() for _ in range(3)]
    election.really.insert(stored)
    granted = election.really.claim([job.job_id for job in stored], claim, NOW)
    election.once("update", fault)

    written = election.jobs.apply([_record(job, claim) for job in granted.values()])

    assert sum(election.primary.met.values()) == 1
    assert written == [True] * 3
    found = [election.really.get(job.job_id) for job in stored]
    assert [(job.status in FINAL, job.log_count, len(job.logs)) for job in found if job] == [(True, 2, 2)] * 3


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_is_read_meanwhile_is_found_or_the_caller_is_told(election: Election, fault: Fault) -> None:
    job = make_job()
    election.really.insert([job])
    election.once("find", fault)

    try:
        found = election.jobs.get(job.job_id)
    except UncertainWriteError:
        raise
    except StoreError:
        found = election.jobs.get(job.job_id)

    assert sum(election.primary.met.values()) == 1
    assert found == job


def test_a_row_of_elections_loses_and_doubles_nothing(election: Election) -> None:
    """Every third command fails in some way; who is told that nobody knows asks again, as web and workers do."""
    chance = random.Random(7)
    faults = [*FAULTS, *UNCONFIRMED]

    def script(name: str, number: int) -> Fault | None:
        if chance.random() > 1 / 3:
            return None
        return chance.choice(FAULTS if name == "find" else faults)

    election.primary.script = script
    stored: list[Job] = []
    for number in range(8):
        batch = [make_job(idempotency_key=f"{number}-{place}") for place in range(5)]
        results = _until_known(lambda batch=batch: election.jobs.insert(batch))
        assert results == [None] * 5
        claim = make_claim()
        granted = _until_known(
            lambda batch=batch, claim=claim: election.jobs.claim([job.job_id for job in batch], claim, NOW)
        )
        assert len(granted) == 5
        records = [_record(job, claim) for job in granted.values()]
        assert _until_known(lambda records=records: election.jobs.apply(records)) == [True] * 5
        stored += batch

    assert len(election.primary.met) > 4
    found = election.really.by_ids([job.job_id for job in stored])
    assert len(found) == 40
    assert {(job.status in FINAL, job.log_count) for job in found.values()} == {(True, 2)}


def _until_known(call: Callable[[], Any]) -> Any:
    for _ in range(50):
        try:
            return call()
        except StoreError:
            continue
    raise AssertionError("never known")
