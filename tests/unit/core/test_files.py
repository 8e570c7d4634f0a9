"""Attachments stored apart: read when they are sent, and never more of their bytes at once than the worker may hold."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.factories import NOW, make_answer, make_job
from tests.fakes import FixedRoute, ScriptedProvider
from tests.memory_storage import MemoryBlobStore
from tests.unit.core.delivery.environment import DeliveryEnvironment, mail_apart
from wavecom.core.engine import Policy
from wavecom.core.files import COPIES, ByteBudget, StoredFiles
from wavecom.core.job import Job, Outcome, ProviderResult
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message, MissingFileError
from wavecom.core.states import Status
from wavecom.errors import RetryLater

SIZE = 100_000  # of the one file of ``mail_apart``


# --- The budget -----------------------------------------------------------------------------------------------------


def test_no_more_is_given_out_than_there_is() -> None:
    budget = ByteBudget(100)

    assert [budget.take(60), budget.take(60), budget.take(40)] == [True, False, True]
    budget.give_back(60)
    assert budget.take(60)
    assert budget.left == 0


def test_who_needs_more_than_there_will_ever_be_has_it_all_alone() -> None:
    budget = ByteBudget(100)

    assert budget.take(1000)
    assert not budget.take(1)
    budget.give_back(1000)
    assert budget.left == 100


def test_who_waits_is_served_in_the_order_of_asking() -> None:
    budget = ByteBudget(100, wait_seconds=30)
    budget.take(100)
    served: list[int] = []

    def ask(count: int) -> None:
        assert budget.wait_for(count)
        served.append(count)

    threads = []
    for waiting, count in enumerate((90, 10), start=1):
        threads.append(threading.Thread(target=ask, args=(count,)))
        threads[-1].start()
        while budget.waiting < waiting:
            pass
    # The small one would have room at once, but the large one came first.
    budget.give_back(10)
    assert not budget.take(1)
    budget.give_back(90)
    for thread in threads:
        thread.join(30)

    assert sorted(served) == [10, 90]
    assert budget.left == 0


def test_who_waited_in_vain_is_out_of_the_way() -> None:
    budget = ByteBudget(100, wait_seconds=0.01)
    budget.take(100)

    assert not budget.wait_for(50)
    budget.give_back(100)

    assert budget.take(100)


# --- The files of a job ---------------------------------------------------------------------------------------------


def files_of(budget: ByteBudget, blobs: MemoryBlobStore, **sizes: int) -> StoredFiles:
    attachments = [{"filename": name, "contentType": "a/b", "blob": name, "size": size} for name, size in sizes.items()]
    job: Job = make_job(type=Channel.EMAIL, payload={"subject": "x", "text": "y", "attachments": attachments})
    blobs.put({name: b"x" * size for name, size in sizes.items()}, NOW + timedelta(days=1))
    return StoredFiles(blobs, budget, job, Policy())


def test_what_was_taken_is_given_back_when_all_is_handed_over_and_only_once() -> None:
    budget = ByteBudget(10_000)

    with files_of(budget, MemoryBlobStore(), a=100, b=200) as files:
        assert files.may_be_read()
        assert budget.left == 10_000 - COPIES * 300
        assert files.read("b") == b"x" * 200
        files.handed_over()
        files.handed_over()
        assert budget.left == 10_000
        assert files.read("a") == b"x" * 100, "by a second provider"
        assert budget.left == 10_000 - COPIES * 300

    assert budget.left == 10_000


def test_a_file_that_is_gone_has_an_error_of_its_own() -> None:
    files = files_of(ByteBudget(10_000), MemoryBlobStore(), a=100)

    with pytest.raises(MissingFileError):
        files.read("b")


# --- A delivery -----------------------------------------------------------------------------------------------------


def environment_with_room_for(mails: int, *providers: ScriptedProvider) -> tuple[DeliveryEnvironment, WatchedBudget]:
    budget = WatchedBudget(mails * COPIES * SIZE)
    environment = DeliveryEnvironment(*providers, budget=budget)
    budget.route = environment.route
    return environment, budget


class WatchedBudget(ByteBudget):
    """Notes how many permits were out while somebody waited."""

    route: FixedRoute

    def __init__(self, limit: int) -> None:
        super().__init__(limit, wait_seconds=0.01)
        self.permits_out: list[int] = []

    def wait_for(self, count: int) -> bool:
        self.permits_out.append(self.route.out)
        return super().wait_for(count)


def test_a_call_that_waits_for_its_answer_holds_no_bytes() -> None:
    left: list[int] = []

    class Streaming(ScriptedProvider):
        def send(self, message: Message) -> ProviderResult:
            answer = super().send(message)
            message.files.handed_over()
            left.append(budget.left)
            return answer

    environment, budget = environment_with_room_for(1, Streaming("first"))

    assert environment.deliver(mail_apart(environment)).status is Status.DELIVERED
    assert left == [COPIES * SIZE]


@pytest.mark.parametrize("client", ["acme", "acme:test"])
def test_without_room_a_mail_is_put_back_and_holds_no_permit_while_it_waits(client: str) -> None:
    environment, budget = environment_with_room_for(1)
    job = mail_apart(environment, client=client)
    assert budget.take(1)

    after = environment.deliver(job)

    assert budget.permits_out == [0]
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    budget.give_back(1)
    environment.clock.advance(5)
    assert environment.deliver(job).status is Status.DELIVERED
    assert budget.left == COPIES * SIZE


def test_a_mail_without_files_needs_no_room() -> None:
    environment, budget = environment_with_room_for(1)
    budget.take(COPIES * SIZE)

    assert environment.deliver(environment.job(type=Channel.EMAIL)).status is Status.DELIVERED


@pytest.mark.parametrize("outcome", Outcome)
def test_bytes_are_given_back_however_the_call_ended(outcome: Outcome) -> None:
    environment, budget = environment_with_room_for(1, ScriptedProvider("first", make_answer(outcome)))
    job = mail_apart(environment)

    with suppress(RetryLater):
        environment.deliver(job)

    assert budget.left == COPIES * SIZE
