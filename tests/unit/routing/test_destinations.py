from __future__ import annotations

from dataclasses import dataclass

import pytest

from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.routing.destinations import FIRST_SECONDS, LONGEST_SECONDS, MOST, Destinations

GREYLISTED = ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=Scope.DESTINATION)
DOMAIN = "grey.example"


@dataclass
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def told(
    destinations: Destinations, *recipients: str, answer: ProviderResult = GREYLISTED, domain: str = DOMAIN
) -> float:
    for recipient in recipients:
        destinations.record("mail", domain, answer, recipient)
    return destinations.wait_seconds("mail", domain)


def test_one_recipient_however_often_holds_nobody() -> None:
    assert told(Destinations(Time()), *"aaaaaaaaaaaa") == 0


def test_several_recipients_in_a_row_hold_their_destination() -> None:
    destinations = Destinations(Time())

    assert told(destinations, "a", "b") == 0
    assert told(destinations, "c") == FIRST_SECONDS
    assert destinations.wait_seconds("mail", "other.example") == 0
    assert destinations.wait_seconds("backup", DOMAIN) == 0


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.REJECTED])
def test_an_answer_that_decides_ends_the_row_and_the_wait(outcome: Outcome) -> None:
    destinations = Destinations(Time())
    told(destinations, *"ab")

    told(destinations, "x", answer=ProviderResult(outcome, "smtp_250"))

    assert told(destinations, *"cd") == 0
    assert told(destinations, "e") == FIRST_SECONDS
    assert told(destinations, "x", answer=ProviderResult(outcome, "smtp_250")) == 0


def test_each_pause_is_twice_as_long_up_to_the_longest() -> None:
    time = Time()
    destinations = Destinations(time)
    told(destinations, *"ab")

    pauses = []
    for number in range(9):
        pauses.append(told(destinations, str(number), str(number)))
        time.now += pauses[-1]

    assert pauses == [5, 10, 20, 40, 80, 160, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]


def test_what_was_under_way_when_it_began_does_not_make_it_longer() -> None:
    assert told(Destinations(Time()), *"abcdefghijkl") == FIRST_SECONDS


def test_a_wish_counts_and_is_bounded() -> None:
    def wish(seconds: float) -> ProviderResult:
        return ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=Scope.DESTINATION, retry_after_seconds=seconds)

    assert told(Destinations(Time()), *"abc", answer=wish(60)) == 60
    assert told(Destinations(Time()), *"abc", answer=wish(1e14)) == LONGEST_SECONDS


@pytest.mark.parametrize(
    "answer",
    [
        ProviderResult(Outcome.UNAVAILABLE, "smtp_421"),
        ProviderResult(Outcome.UNAVAILABLE, "smtp_452", scope=Scope.RECIPIENT),
        ProviderResult(Outcome.UNAVAILABLE, "connect", scope=Scope.PROVIDER),
        ProviderResult(Outcome.UNKNOWN, "timeout"),
    ],
)
def test_what_is_about_something_else_holds_no_destination(answer: ProviderResult) -> None:
    assert told(Destinations(Time()), *"abcdef", answer=answer) == 0


def test_without_a_domain_nothing_is_held() -> None:
    assert told(Destinations(Time()), *"abcdef", domain="") == 0


def test_no_more_are_known_than_fit() -> None:
    destinations = Destinations(Time())
    for number in range(MOST + 10):
        told(destinations, *"abc", domain=f"{number}.example")

    assert destinations.wait_seconds("mail", "0.example") == 0
    assert destinations.wait_seconds("mail", f"{MOST + 9}.example") > 0
    assert destinations.known == MOST
