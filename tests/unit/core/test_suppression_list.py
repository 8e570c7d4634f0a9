from __future__ import annotations

import contextlib

import pytest

from tests.factories import NOW, make_answer
from tests.fakes import FakeClock, ScriptedProvider
from tests.memory_storage import MemorySuppressionStore
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import TEST_SANDBOX
from wavecom.core.states import Status
from wavecom.core.suppression_check import SuppressionCheck
from wavecom.core.suppression_list import PAGE_SIZE, SuppressionList
from wavecom.core.suppressions import (
    NewSuppression,
    Suppression,
    SuppressionFilter,
    SuppressionScope,
    SuppressionSource,
)
from wavecom.errors import RetryLater, StoreError


class Environment(DeliveryEnvironment):
    """A delivery that keeps a suppression list, and asks it."""

    def __init__(self, *providers: ScriptedProvider, sandbox: ScriptedProvider | None = None) -> None:
        clock = FakeClock(NOW)
        self.store = MemorySuppressionStore()
        super().__init__(
            *providers,
            clock=clock,
            sandbox=sandbox,
            preflights=[SuppressionCheck(self.store, clock)],
            on_rejected_recipients=SuppressionList(self.store, clock).add_rejected,
        )

    def entries(self) -> list[Suppression]:
        return list(self.store.search(SuppressionFilter(), 100, None, self.clock.now()).entries)


@pytest.mark.parametrize(
    ("channel", "reason", "source", "scope"),
    [
        (Channel.PUSH, Reason.RECIPIENT_GONE, SuppressionSource.GONE, SuppressionScope.ALL),
        (Channel.EMAIL, Reason.RECIPIENT_INVALID, SuppressionSource.BOUNCE, SuppressionScope.ALL),
        (Channel.SMS, Reason.RECIPIENT_OPTED_OUT, SuppressionSource.STOP, SuppressionScope.MARKETING),
    ],
)
def test_who_cannot_be_reached_is_not_called_again(
    channel: Channel, reason: Reason, source: SuppressionSource, scope: SuppressionScope
) -> None:
    provider = ScriptedProvider("first", make_answer(Outcome.REJECTED, "fcm_unregistered", reason=reason))
    environment = Environment(provider)
    first, second = environment.job(type=channel), environment.job(type=channel)

    after = environment.deliver(first), environment.deliver(second)

    assert [each.error and each.error.code for each in after] == [reason.value, "suppressed"]
    assert [message.job_id for message in provider.messages] == [first.job_id]
    [entry] = environment.entries()
    assert (entry.source, entry.scope, entry.by) == (source, scope, "provider first")
    assert "fcm_unregistered" in entry.reason


def test_an_opt_out_lets_one_time_passwords_pass() -> None:
    answer = make_answer(Outcome.REJECTED, "twilio_21610", reason=Reason.RECIPIENT_OPTED_OUT)
    environment = Environment(ScriptedProvider("first", answer, make_answer()))
    environment.deliver(environment.job(type=Channel.SMS))

    after = environment.deliver(environment.job(type=Channel.SMS, priority=Priority.HIGH))

    assert after.status is Status.DELIVERED


@pytest.mark.parametrize(
    "answer",
    [
        make_answer(Outcome.REJECTED, "http_400"),
        make_answer(Outcome.REJECTED, "http_402", reason=Reason.BALANCE),
        # Another provider may know the recipient better.
        make_answer(Outcome.UNAVAILABLE, "http_503", reason=Reason.RECIPIENT_INVALID),
    ],
)
def test_other_answers_put_nobody_on_the_list(answer: object) -> None:
    environment = Environment(ScriptedProvider("first", answer))  # type: ignore[arg-type]
    job = environment.job()

    with contextlib.suppress(RetryLater):
        environment.deliver(job)

    assert environment.entries() == []


def test_a_test_accounts_sandbox_puts_nobody_on_the_list() -> None:
    answer = make_answer(Outcome.REJECTED, "x", reason=Reason.RECIPIENT_GONE)
    environment = Environment(sandbox=ScriptedProvider(TEST_SANDBOX, answer))

    after = environment.deliver(environment.job(client="acme:test"))

    assert after.error is not None
    assert after.error.code == "recipient_gone"
    assert environment.entries() == []


def test_the_entry_is_kept_before_the_answer_is_recorded() -> None:
    answer = make_answer(Outcome.REJECTED, "x", reason=Reason.RECIPIENT_GONE)
    seen: list[Status] = []
    environment = DeliveryEnvironment(
        ScriptedProvider("first", answer), on_rejected_recipients=lambda _: seen.append(environment.read(job).status)
    )
    job = environment.job()

    environment.deliver(job)

    assert seen == [Status.PROCESSING]


def test_a_store_that_is_away_is_waited_for_and_a_bug_costs_no_record() -> None:
    answer = make_answer(Outcome.REJECTED, "x", reason=Reason.RECIPIENT_GONE)
    errors: list[Exception] = [StoreError("away"), StoreError("away"), ValueError("bug")]

    def fail(_: object) -> None:
        raise errors.pop(0)

    environment = DeliveryEnvironment(ScriptedProvider("first", answer), on_rejected_recipients=fail)

    after = environment.deliver(environment.job())

    assert after.error is not None
    assert after.error.code == "recipient_gone"
    assert errors == []


def test_pages_go_on_where_they_were_when_the_store_is_back() -> None:
    store, clock = MemorySuppressionStore(), FakeClock(NOW)
    suppressions = SuppressionList(store, clock)
    count = 2 * PAGE_SIZE + 1
    suppressions.add([new_entry(f"token-{number}") for number in range(count)])

    pages = suppressions.pages(SuppressionFilter(account="acme"))
    found = list(next(pages))
    store.is_away = True
    with pytest.raises(StoreError):
        next(pages)
    store.is_away = False
    found += [entry for page in pages for entry in page]

    assert [len(found), len({entry.recipient for entry in found})] == [count, count]
    assert pages.is_done
    assert list(next(suppressions.pages(SuppressionFilter(account="nobody")))) == []


def new_entry(recipient: str) -> NewSuppression:
    return NewSuppression(
        account="acme",
        channel=Channel.PUSH,
        recipient=recipient,
        source=SuppressionSource.MANUAL,
        scope=SuppressionScope.ALL,
        by="key k-1",
        reason="",
    )
