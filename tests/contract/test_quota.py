"""Limits and stored answers: one suite for the shared counts on a real Redis and those of one process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from wavecom.core.local_quota import LocalQuotas
from wavecom.core.quota import Limits, QuotaDecision, QuotaRequest, QuotaService, StoredAnswer
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.quota import TIMEOUT_SECONDS, RedisQuotas

TEN = Limits(rate_per_second=1)


@pytest.fixture(params=["redis", "local"])
def quotas(request: pytest.FixtureRequest) -> Iterator[QuotaService]:
    if request.param == "local":
        yield LocalQuotas(time.time)
        return
    url = request.getfixturevalue("redis_url")
    made = RedisQuotas(connect(url, max_connections=4, timeout_seconds=TIMEOUT_SECONDS))
    yield made
    made.close()


def settled(quotas: QuotaService) -> QuotaService:
    """What is written a moment later is written."""
    if isinstance(quotas, RedisQuotas):
        quotas.write()
    return quotas


def check(
    quotas: QuotaService,
    limits: Limits,
    cost: int = 1,
    *,
    names: tuple[str, ...] = (),
    budget: str = "k",
    refused: int = 0,
    wants_answer: bool = False,
) -> QuotaDecision:
    return quotas.check(QuotaRequest(budget, limits, cost, names, refused, wants_answer))


def test_a_burst_passes_and_then_the_key_has_to_wait(quotas: QuotaService) -> None:
    decisions = [check(quotas, Limits(rate_per_second=0.5)) for _ in range(6)]

    assert [decision.refused for decision in decisions] == [None] * 5 + ["rate"]
    assert [decision.limits[0].remaining for decision in decisions] == [4, 3, 2, 1, 0, 0]
    [status] = decisions[0].limits
    assert (status.name, status.quota, status.window_seconds) == ("rate", 5, 10)
    assert 1 <= decisions[-1].retry_after_seconds <= 2


def test_what_is_paid_off_may_be_sent_again(quotas: QuotaService) -> None:
    limits = Limits(rate_per_second=20)
    assert check(quotas, limits, 200).refused is None
    assert check(quotas, limits).refused == "rate"

    time.sleep(0.3)

    assert check(quotas, limits, 5).refused is None
    # As much as is paid off in seven seconds: no machine is as slow.
    assert check(quotas, limits, 140).refused == "rate"


def test_a_batch_beyond_the_burst_is_taken_after_a_rest_and_paid_off(quotas: QuotaService) -> None:
    first = check(quotas, TEN, 1000)
    second = check(quotas, TEN)

    assert first.refused is None
    assert second.refused == "rate"
    assert 985 <= second.retry_after_seconds <= 995


def test_a_quota_is_used_up_once_and_a_refusal_uses_nothing_up(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=10)

    decisions = [check(quotas, limits, cost) for cost in (7, 4, 3, 1)]

    assert [decision.refused for decision in decisions] == [None, "daily", None, "daily"]
    assert [decision.charged for decision in decisions] == [7, 0, 3, 0]
    assert [decision.limits[0].remaining for decision in decisions] == [3, 3, 0, 0]
    assert 0 < decisions[-1].retry_after_seconds <= 86_400


def test_what_one_limit_refuses_is_not_counted_by_the_other(quotas: QuotaService) -> None:
    limits = Limits(rate_per_second=1, daily_quota=5)

    check(quotas, limits, 6)
    decision = check(quotas, limits, 5)

    assert decision.refused is None
    assert [status.remaining for status in decision.limits] == [5, 0]


def test_refused_work_counts_against_the_rate_and_not_the_quota(quotas: QuotaService) -> None:
    limits = Limits(rate_per_second=0.001, daily_quota=5)
    small = Limits(rate_per_second=0.5, daily_quota=5)

    decisions = [check(quotas, small, 0, refused=1) for _ in range(6)]

    assert [decision.refused for decision in decisions] == [None] * 5 + ["rate"]
    assert [decision.limits[1].remaining for decision in decisions] == [5] * 6
    assert check(quotas, limits, 0, refused=3, budget="batch").refused is None, (
        "larger than a burst: paid off afterwards"
    )


def test_budgets_are_counted_apart(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=1)

    decisions = [check(quotas, limits, budget=budget) for budget in ("a", "b", "a")]

    assert [decision.refused for decision in decisions] == [None, None, "daily"]


def test_many_at_once_get_no_more_than_there_is(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=100)

    with ThreadPoolExecutor(32) as pool:
        decisions = list(pool.map(lambda _: check(quotas, limits), range(300)))

    assert sum(decision.refused is None for decision in decisions) == 100


def test_a_name_is_counted_once_however_often_it_comes_at_one_time(quotas: QuotaService) -> None:
    limits = Limits(rate_per_second=0.001, daily_quota=1)

    with ThreadPoolExecutor(10) as pool:
        decisions = list(pool.map(lambda _: check(quotas, limits, 0, names=("acme:a",)), range(10)))

    assert all(decision.is_allowed for decision in decisions)
    assert sum(decision.charged for decision in decisions) == 1
    assert check(quotas, limits, 0, names=("acme:b",)).refused == "daily"


def test_of_a_batch_only_the_names_that_are_new_count(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=5)
    check(quotas, limits, 0, names=("a", "b"))

    decision = check(quotas, limits, 1, names=("a", "b", "c"))

    assert (decision.charged, decision.limits[0].remaining) == (2, 1)


def test_a_name_that_was_refused_is_not_taken_for_counted(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=1)

    decisions = [check(quotas, limits, 1, names=("a",)) for _ in range(2)]

    assert [decision.refused for decision in decisions] == ["daily", "daily"]


def test_what_is_given_back_can_be_used_again(quotas: QuotaService) -> None:
    limits = Limits(rate_per_second=0.1, daily_quota=3)
    request = QuotaRequest("k", limits, 1)
    decision = quotas.check(request)
    assert quotas.check(request).refused == "rate"

    quotas.refund(request, decision, 1)
    settled(quotas)

    again = quotas.check(request)
    assert again.refused is None
    assert again.limits[1].remaining == 2


def test_no_refund_makes_more_than_there_was(quotas: QuotaService) -> None:
    limits = Limits(rate_per_second=0.5, daily_quota=3)
    request = QuotaRequest("k", limits, 1)
    decision = quotas.check(request)

    quotas.refund(request, decision, 50)
    settled(quotas)

    assert [status.remaining for status in quotas.check(request).limits] == [4, 2]


def test_no_refund_makes_tomorrows_quota_larger(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=3)
    request = QuotaRequest("k", limits, 2)
    decision = quotas.check(request)
    assert decision.day is not None

    # Counted just before midnight, found to be repeats just after it.
    quotas.refund(request, replace(decision, day=decision.day - 1), 2)
    settled(quotas)

    assert quotas.check(request).refused == "daily"


def test_an_answer_is_known_once_it_is_written_and_costs_nothing(quotas: QuotaService) -> None:
    limits = Limits(daily_quota=1)
    answer = StoredAnswer("f", "j", '{"jobId":"j","text":"é\\n"}')
    assert check(quotas, limits, 0, names=("acme:1",), wants_answer=True).answer is None

    quotas.store_answer("acme:1", answer)
    settled(quotas)

    found = [check(quotas, limits, 0, names=("acme:1",), wants_answer=True) for _ in range(3)]
    assert [decision.answer for decision in found] == [answer] * 3
    assert check(quotas, limits, 0, names=("acme:2",), wants_answer=True).refused == "daily"
