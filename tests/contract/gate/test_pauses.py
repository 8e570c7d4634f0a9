"""Every gate: pauses that a provider asks for."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.contract.gate.fleet import (
    GOOD,
    SLACK_SECONDS,
    Fleet,
    call,
    granted,
    health,
    is_refused,
    refusal,
    told,
    wait,
    wait_until,
)
from wavecom.core.job import ProviderResult, Scope
from wavecom.routing import gate
from wavecom.routing.gate import GateSettings


@pytest.mark.parametrize("rate_per_second", [None, 1000])
@pytest.mark.parametrize("code", ["http_429", "http_503"])
def test_a_pause_that_several_recipients_in_a_row_are_told_of_holds_for_all(
    fleet: Fleet, rate_per_second: float | None, code: str
) -> None:
    settings = GateSettings(rate_per_second=rate_per_second)
    first, second = fleet.join(settings), fleet.join(settings)
    second.release(granted(second), GOOD, 5)
    wait_until(lambda: health(first).calls > 0, "the good call is counted")

    call(first, wait(60, code=code), to="a")
    call(first, wait(70, code=code), to="b")
    call(second, wait(80, code=code), to="c")

    for member in (first, second):
        wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")
        assert refusal(member).retry_after_seconds == pytest.approx(60, abs=SLACK_SECONDS)
    assert health(second).throttled_for_seconds == pytest.approx(60, abs=SLACK_SECONDS)
    assert health(second).throttled_reason == f"3 recipients in a row were told to wait, last {code}"
    assert 0 <= health(second).throttled_since_seconds < SLACK_SECONDS


@pytest.mark.parametrize(
    ("answer", "recipients"),
    [
        (wait(40), ["a"]),
        (wait(3600, code="http_503"), ["a"]),
        (wait(99_999_999_999_999), ["a"]),
        (wait(40), ["a"] * 8),
        (wait(40), ["a", "b"] * 4),
        (wait(None), ["a", "b"]),
        (wait(40, Scope.RECIPIENT), list("abcdefgh")),
        (wait(40, Scope.MESSAGE), list("abcdefgh")),
        (wait(40, Scope.DESTINATION), list("abcdefgh")),
        (wait(40, Scope.WORKER, "timeout"), list("abcdefgh")),
    ],
)
def test_what_a_few_recipients_are_told_holds_nobody_else(
    fleet: Fleet, answer: ProviderResult, recipients: list[str]
) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)
    call(second, GOOD)

    for recipient in recipients:
        call(first, answer, to=recipient)
    call(second, GOOD, times=5)

    wait_until(lambda: health(second).calls >= 5, "the calls are counted")
    for member in (first, second):
        assert not is_refused(member, gate.THROTTLED)()
        assert health(member).throttled_for_seconds == 0


def test_a_call_that_is_taken_ends_the_row(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    for recipient in "abcdef":
        call(first, wait(40), to=recipient)
        call(first, GOOD)
    call(second, GOOD)

    wait_until(lambda: health(first).calls >= 12, "the calls are counted")
    assert health(second).throttled_for_seconds == 0


def test_an_answer_that_speaks_for_all_needs_no_other(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, wait(40, Scope.PROVIDER))

    for member in (first, second):
        wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")
    assert health(second).throttled_reason == "the provider asked for a pause of all calls: http_429"


def test_who_joins_later_knows_of_the_pause_before_the_first_call(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=1000)
    first, second = fleet.join(settings), fleet.join(settings)
    call(first, wait(60, Scope.PROVIDER))
    wait_until(is_refused(second, gate.THROTTLED), "the pause is known")

    late = fleet.join(settings)

    assert refusal(late).reason == gate.THROTTLED


@pytest.mark.parametrize("seconds", [1e9, 99_999_999_999_999, float("inf")])
@pytest.mark.parametrize("scope", [None, Scope.PROVIDER])
def test_no_pause_is_longer_than_the_cap_whatever_is_asked_for(
    fleet: Fleet, seconds: float, scope: Scope | None
) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, wait(seconds, scope), times=1 if scope else settings.breaker.recipients_to_pause)

    wait_until(is_refused(second, gate.THROTTLED), "the other knows of the pause")
    assert refusal(second).retry_after_seconds <= settings.breaker.pause_cap_seconds


def test_a_pause_ends_and_both_are_told_once_at_the_same_level(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    with capture_logs() as logs:
        call(first, wait(0.3, Scope.PROVIDER))
        wait_until(lambda: told(logs, "provider_paused"), "the pause is told")
        granted(first)
        granted(second)
        wait_until(lambda: told(logs, "provider_resumed"), "its end is told")

    assert [(entry["event"], entry["log_level"]) for entry in logs if "provider_" in entry["event"]] == [
        ("provider_paused", "warning"),
        ("provider_resumed", "warning"),
    ]
