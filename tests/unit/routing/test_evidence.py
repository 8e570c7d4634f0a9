from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.routing.evidence import (
    EVERYBODY,
    MAX_RECIPIENTS,
    THROTTLED_SECONDS,
    CallCounts,
    HealthSignal,
    PauseRequests,
    RecentFailures,
    asked_seconds,
    health_signal,
    key_of,
    probe_outcome,
)

SCOPES_OF_OTHERS = [Scope.MESSAGE, Scope.RECIPIENT, Scope.DESTINATION]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ProviderResult(Outcome.ACCEPTED, "http_202"), HealthSignal.WORKS),
        (ProviderResult(Outcome.REJECTED, "http_400"), HealthSignal.WORKS),
        (ProviderResult(Outcome.UNAVAILABLE, "http_503"), HealthSignal.FAILS),
        (ProviderResult(Outcome.UNAVAILABLE, "connect", scope=Scope.PROVIDER), HealthSignal.FAILS),
        (ProviderResult(Outcome.UNAVAILABLE, "http_401", scope=Scope.PROVIDER), HealthSignal.FAILS),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429"), HealthSignal.LIMITS),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", scope=Scope.PROVIDER), HealthSignal.LIMITS),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", scope=Scope.RECIPIENT), HealthSignal.WORKS),
        (ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=Scope.DESTINATION), HealthSignal.WORKS),
        (ProviderResult(Outcome.UNAVAILABLE, "vonage_1", is_limit=True), HealthSignal.LIMITS),
        (
            ProviderResult(Outcome.UNAVAILABLE, "http_429", scope=Scope.PROVIDER, reason=Reason.QUOTA),
            HealthSignal.FAILS,
        ),
        (ProviderResult(Outcome.UNKNOWN, "timeout"), HealthSignal.FAILS),
        (ProviderResult(Outcome.UNKNOWN, "timeout", scope=Scope.WORKER), HealthSignal.SILENT),
        (ProviderResult(Outcome.UNAVAILABLE, "connect", scope=Scope.WORKER), HealthSignal.SILENT),
    ],
)
def test_what_an_answer_says_about_its_provider(answer: ProviderResult, expected: HealthSignal) -> None:
    assert health_signal(answer) is expected


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=7), 7),
        (ProviderResult(Outcome.UNAVAILABLE, "http_503", retry_after_seconds=7), 7),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=-1), 0),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=99_999_999_999_999), 86_400),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=float("inf")), 86_400),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=float("nan")), 0),
        (ProviderResult(Outcome.UNAVAILABLE, "http_429"), THROTTLED_SECONDS),
        (ProviderResult(Outcome.UNAVAILABLE, "vonage_1", is_limit=True), THROTTLED_SECONDS),
        (ProviderResult(Outcome.UNAVAILABLE, "http_503"), None),
        (ProviderResult(Outcome.ACCEPTED, "http_202", retry_after_seconds=7), None),
        (ProviderResult(Outcome.UNKNOWN, "http_504", retry_after_seconds=7), None),
        *[(ProviderResult(Outcome.UNAVAILABLE, "http_429", "", None, 7, each), None) for each in SCOPES_OF_OTHERS],
        (ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=7, scope=Scope.PROVIDER), 7),
    ],
)
def test_for_how_long_an_answer_asks_not_to_be_called(answer: ProviderResult, seconds: float | None) -> None:
    assert asked_seconds(answer) == seconds


def test_a_recipient_that_fails_again_and_again_counts_once() -> None:
    tally = CallCounts()

    for recipient in "aabab":
        tally.count(HealthSignal.FAILS, recipient=recipient, code="http_503")

    assert (tally.calls, tally.failures, tally.failures_in_a_row) == (2, 2, 2)


def test_after_a_success_it_counts_in_the_row_and_not_in_the_rate() -> None:
    tally = CallCounts()
    tally.count(HealthSignal.FAILS, recipient="a")
    tally.count(HealthSignal.WORKS)

    tally.count(HealthSignal.FAILS, recipient="a")
    tally.count(HealthSignal.FAILS, recipient="a")

    assert (tally.calls, tally.failures, tally.failures_in_a_row, tally.successes) == (2, 1, 1, 1)


@pytest.mark.parametrize("recipient", ["", EVERYBODY])
def test_who_has_no_name_and_the_provider_itself_count_each_time(recipient: str) -> None:
    tally = CallCounts()

    for _ in range(3):
        tally.count(HealthSignal.FAILS, recipient=recipient)

    assert (tally.calls, tally.failures_in_a_row, tally.recipients) == (3, 3, {})


def test_what_limits_us_is_a_call_and_neither_good_nor_bad() -> None:
    tally = CallCounts()
    tally.count(HealthSignal.FAILS, recipient="a")

    tally.count(HealthSignal.LIMITS)
    tally.count(HealthSignal.SILENT)

    assert (tally.calls, tally.failures, tally.failures_in_a_row, tally.successes) == (2, 1, 1, 0)


def tally_of(*failures: str, good: int = 0) -> CallCounts:
    tally = CallCounts()
    for _ in range(good):
        tally.count(HealthSignal.WORKS)
    for recipient in failures:
        tally.count(HealthSignal.FAILS, recipient=recipient)
    return tally


def test_what_another_process_counted_is_not_counted_again() -> None:
    failed = RecentFailures()
    failed.without_repeats(tally_of("a", "b"), now=100, window_seconds=10)

    again = failed.without_repeats(tally_of("b", "c"), now=101, window_seconds=10)

    assert (again.calls, again.failures, again.failures_in_a_row) == (1, 1, 1)


def test_in_the_next_window_it_counts_in_the_rate_again_and_in_the_row_only_after_a_success() -> None:
    failed = RecentFailures()
    failed.without_repeats(tally_of("a"), now=100, window_seconds=10)

    later = failed.without_repeats(tally_of("a"), now=111, window_seconds=10)
    after = failed.without_repeats(tally_of("a", good=1), now=112, window_seconds=10)

    assert (later.failures, later.failures_in_a_row) == (1, 0)
    assert (after.failures, after.failures_in_a_row) == (0, 1)


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=8), max_size=8))
def test_a_row_is_never_longer_than_the_recipients_in_it(parts: list[list[str]]) -> None:
    failed = RecentFailures()

    counted = [failed.without_repeats(tally_of(*part), now=100, window_seconds=10) for part in parts]

    names = [name for part in parts for name in part]
    distinct = len({name for name in names if name}) + names.count("")
    assert sum(each.failures_in_a_row for each in counted) == distinct
    assert sum(each.failures for each in counted) == distinct


def test_no_more_recipients_are_kept_than_are_needed() -> None:
    tally = tally_of(*map(str, range(1000)))
    failed = RecentFailures()
    failed.without_repeats(tally, now=100, window_seconds=10)

    assert tally.failures_in_a_row == 1000
    assert len(tally.recipients) == MAX_RECIPIENTS


def test_a_pause_is_as_long_as_all_of_them_ask() -> None:
    requests = PauseRequests()

    pauses = [requests.add(name, seconds, 3) for name, seconds in [("a", 60), ("b", 1e14), ("b", 50), ("c", 40)]]

    assert pauses == [0, 0, 0, 40]
    assert requests.add("d", 90, 3) == 40
    assert requests.add("e", 90, 3) == 40
    assert requests.add("f", 90, 3) == 90


def test_a_call_that_was_taken_ends_the_evidence() -> None:
    requests = PauseRequests()
    for name in "ab":
        requests.add(name, 60, 3)

    requests.clear()

    assert requests.add("c", 60, 3) == 0


@pytest.mark.parametrize(
    ("found", "is_slow", "expected"),
    [
        (HealthSignal.WORKS, False, "success"),
        (HealthSignal.LIMITS, False, "success"),
        (HealthSignal.WORKS, True, "failure"),
        (HealthSignal.FAILS, False, "failure"),
        (HealthSignal.SILENT, True, "unused"),
    ],
)
def test_what_a_probe_showed(found: HealthSignal, is_slow: bool, expected: str) -> None:
    assert probe_outcome(found, is_slow=is_slow) == expected


def test_what_is_about_the_provider_is_nobodys_in_particular() -> None:
    assert key_of(ProviderResult(Outcome.UNAVAILABLE, "connect", scope=Scope.PROVIDER), "a") == EVERYBODY
    assert key_of(ProviderResult(Outcome.UNAVAILABLE, "http_503"), "a") == "a"
