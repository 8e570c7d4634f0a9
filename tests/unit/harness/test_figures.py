"""What a stretch of load came to, from what clients and provider remember."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from harness.figures import (
    ArrivalRecord,
    Figures,
    Latencies,
    LoadInterval,
    RequestRecord,
    cost_ratio_at_full_speed,
    figures_of,
    is_growing,
    per_second,
)
from harness.measure import read_arrivals, read_requests
from harness.processes import Sample, Usage
from harness.scenarios.peaks import Answers, settled_after
from harness.speed import CoreSpeed


def accepted(at: float, *job_ids: str, latency: float = 0.01) -> RequestRecord:
    return RequestRecord(at, at, at + latency, 202, job_ids)


AT_FULL_SPEED = CoreSpeed(mean=500.0, best=500.0)


def stretch(requests: list[RequestRecord], since: float = 0, until: float = 10) -> LoadInterval:
    before = Sample({"web": Usage(1.0, 50, (50,))}, 100.0)
    after = Sample({"web": Usage(1.5, 60, (20, 40)), "worker": Usage(0.25, 80, (80,))}, 101.0)
    return LoadInterval(requests, (since, until), (before, after))


def measured(
    requests: list[RequestRecord],
    arrivals: dict[str, ArrivalRecord],
    pace: CoreSpeed = AT_FULL_SPEED,
    recorded: Mapping[str, float] = MappingProxyType({}),
) -> Figures:
    return figures_of([stretch(requests)], arrivals, recorded, batch=1, unexpected=0, pace=pace)


def test_what_arrived_once_is_neither_lost_nor_repeated() -> None:
    figures = measured(
        [accepted(0, "a"), accepted(1, "b")], {"a": ArrivalRecord(0.1, 1, "main"), "b": ArrivalRecord(1.1, 1, "main")}
    )

    assert figures.is_whole
    assert (figures.accepted, figures.received, figures.lost, figures.repeated) == (2, 2, 0, 0)


def test_what_never_arrived_is_lost_and_what_arrived_twice_is_repeated() -> None:
    figures = measured([accepted(0, "a"), accepted(1, "b")], {"a": ArrivalRecord(0.1, 2, "main")})

    assert not figures.is_whole
    assert (figures.lost, figures.repeated) == (1, 1)


def test_acceptance_counts_from_the_moment_at_which_a_request_was_meant_to_be_sent() -> None:
    held_up = RequestRecord(intended=1.0, sent=3.0, answered=3.5, status=202, job_ids=("a",))

    figures = measured([held_up], {"a": ArrivalRecord(4.0, 1, "main")})

    assert figures.accept.p50 == 2500
    assert figures.accept_from_sending.p50 == 500
    assert figures.end_to_end.p50 == 500


def test_a_provider_that_is_faster_than_the_answer_counts_as_no_time() -> None:
    figures = measured([accepted(0, "a", latency=0.2)], {"a": ArrivalRecord(0.1, 1, "main")})

    assert figures.end_to_end.most == 0


def test_a_notification_is_due_when_its_request_was_meant_to_be_sent() -> None:
    held_up = RequestRecord(intended=1.0, sent=3.0, answered=3.5, status=202, job_ids=("a", "lost"))

    figures = measured([held_up], {"a": ArrivalRecord(3.25, 1, "main")})

    assert (figures.due_to_provider.count, figures.due_to_provider.p50) == (1, 2250)


def test_how_long_a_job_took_is_what_the_store_says_of_those_of_this_load_that_have_ended() -> None:
    requests = [accepted(0, "a"), accepted(1, "waits")]

    figures = measured(requests, {}, recorded={"a": 0.075, "of another load": 9.0})

    assert (figures.created_to_recorded.count, figures.created_to_recorded.most) == (1, 75)


def test_every_notification_of_a_batch_counts() -> None:
    figures = measured([accepted(0, "a", "b", "c")], {key: ArrivalRecord(0.5, 1, "main") for key in "abc"})

    assert figures.accepted == 3
    assert figures.accept.count == 1


def test_processor_time_is_shared_out_over_what_was_accepted() -> None:
    figures = measured([accepted(0, "a"), accepted(1, "b")], {})

    # 0.5 s more for web; all of a worker's that was started meanwhile; the other 0.25 s are somebody else's.
    assert figures.cpu_ms == {"web": 250, "worker": 125}
    assert figures.cpu_ms_total == 375
    assert figures.noise_cores == pytest.approx(0.025)
    assert figures.process_mib == {"web": 40, "worker": 80}


def test_what_a_notification_costs_at_full_speed_stands_beside_what_it_cost_on_slow_cores() -> None:
    figures = measured([accepted(0, "a"), accepted(1, "b")], {}, CoreSpeed(mean=250.0, best=400.0))

    assert figures.cpu_ms_total == 375
    assert figures.cpu_ms_at_full_speed == pytest.approx(375 / 1.6)


def test_answers_are_counted_by_status_and_by_what_became_of_the_unanswered() -> None:
    requests = [
        accepted(0, "a"),
        RequestRecord(0, 0, 1, 503, ()),
        RequestRecord(0, 0, 10, -1, ()),
        RequestRecord(0, 0, 10, -3, ()),
    ]

    figures = measured(requests, {})

    assert figures.answers == {"202": 1, "503": 1, "timed_out": 1, "never_sent": 1}


def test_a_backlog_grows_when_more_waits_in_the_end_than_in_the_middle() -> None:
    offered = [number / 100 for number in range(1000)]

    keeps_up = [at + 0.1 for at in offered]
    falls_behind = [at * 1.5 for at in offered]

    assert not is_growing(offered, keeps_up, 0, 10)
    assert is_growing(offered, falls_behind, 0, 10)


def test_one_long_hiccup_at_the_beginning_is_no_growing_backlog() -> None:
    offered = [number / 100 for number in range(1000)]
    received = [max(3.0, at + 0.1) for at in offered]

    assert not is_growing(offered, received, 0, 10)


def test_latencies_of_nothing_are_zero() -> None:
    assert Latencies.of([]) == Latencies(0, 0, 0, 0, 0)


def test_quantiles_are_values_that_were_measured() -> None:
    latencies = Latencies.of([number / 1000 for number in range(1, 101)])

    assert (latencies.p50, latencies.p95, latencies.p99, latencies.most) == (51, 96, 100, 100)


def test_moments_are_counted_by_the_second() -> None:
    assert per_second([10.1, 10.9, 12.5], 10) == {0: 2, 2: 1}


def test_what_the_helpers_write_is_read_back(tmp_path: Path) -> None:
    requests, arrivals = tmp_path / "requests", tmp_path / "arrivals"
    requests.write_bytes(
        b"1.000000 1.500000 2.000000 202 0 a,b\n3.000000 0.000000 13.000000 -3 0 \n4.000000 4.000000 5.000000 503 1 \n"
    )
    arrivals.write_bytes(b"a 2.500000 1 main\n")

    assert read_requests(requests) == [
        RequestRecord(1, 1.5, 2, 202, ("a", "b")),
        RequestRecord(3, 0, 13, -3, ()),
        RequestRecord(4, 4, 5, 503, (), has_retry_after=True),
    ]
    assert read_arrivals(arrivals) == {"a": ArrivalRecord(2.5, 1, "main")}


def test_acceptance_is_as_usual_again_after_the_last_slow_window() -> None:
    slow = [accepted(number / 10, "a", latency=0.5) for number in range(70)]
    usual = [accepted(number / 10, "a", latency=0.02) for number in range(70, 200)]

    assert settled_after([*slow, *usual]) == 10
    assert settled_after(usual) == 0


def test_what_is_accepted_after_an_overload_does_not_count_as_carried_through_it() -> None:
    requests = [accepted(0, "a"), accepted(9, "b"), accepted(9.5, "c", latency=0.7)]

    assert Answers.of(requests, seconds=10).accepted_per_second == pytest.approx(0.2)


def test_every_answer_to_an_overload_is_an_acceptance_a_promise_or_odd() -> None:
    promised = RequestRecord(0, 1, 1.5, 503, (), has_retry_after=True)
    bare, broken, too_many = (
        RequestRecord(0, 1, 3, 503, ()),
        RequestRecord(0, 1, 1.1, 500, ()),
        RequestRecord(0, 1, 1.1, 429, ()),
    )
    given_up, never_sent = RequestRecord(0, 1, 11, -1, ()), RequestRecord(0, 0, 10, -3, ())

    answers = Answers.of([accepted(0, "a"), promised, bare, broken, too_many, given_up, never_sent], seconds=10)

    assert (answers.refused, answers.unpromised, answers.odd) == (2, 1, 2)
    assert (answers.slowest_refusal_ms, answers.slowest_acceptance_ms) == (2000, 10)


def test_pauses_between_stretches_of_load_do_not_count() -> None:
    first, second = [accepted(0, "a"), accepted(0.99, "b")], [accepted(80, "c"), accepted(80.99, "d")]
    arrivals = {key: ArrivalRecord(at, 1, "main") for key, at in {"a": 0.5, "b": 1.5, "c": 80.5, "d": 81.5}.items()}
    stretches = [stretch(first, 0, 2), stretch(second, 80, 82)]

    figures = figures_of(stretches, arrivals, {}, batch=1, unexpected=0, pace=AT_FULL_SPEED)

    assert (figures.accepted, figures.received) == (4, 4)
    assert (figures.accept_seconds, figures.seconds) == (2, 3)
    assert figures.accepted_per_second == 2
    # Twice 0.5 s of web and 0.25 of the worker, of twice one second that the machine was kept busy, in twice two.
    assert figures.cpu_ms == {"web": 250, "worker": 125}
    assert figures.used_cores == pytest.approx(0.375)
    assert figures.noise_cores == pytest.approx(0.125)


def test_costs_compare_as_if_the_cores_had_been_as_fast_in_both() -> None:
    calm = measured([accepted(0, "a"), accepted(1, "b")], {}, CoreSpeed(mean=500, best=500))
    slow = measured([accepted(0, "a"), accepted(1, "b")], {}, CoreSpeed(mean=400, best=500))

    assert cost_ratio_at_full_speed(slow, calm) == 0.8
