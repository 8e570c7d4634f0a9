"""What is said of a deployment that was measured from outside."""

from __future__ import annotations

from typing import Any

import pytest

from harness.figures import ArrivalRecord, RequestRecord
from harness.http_client import Address
from harness.load import RequestOutcome
from harness.target import TargetFigures, figures_of


def request(number: int, *, status: int = 202, seconds: float = 0.1) -> RequestRecord:
    """Meant for second ``number``, answered so many seconds later."""
    job_ids = (f"job-{number}",) if status == 202 else ()
    return RequestRecord(float(number), number + 0.01, number + seconds, status, job_ids)


def job(status: str = "delivered", seconds: int = 2) -> dict[str, Any]:
    return {
        "status": status,
        "createdAt": "2026-03-14T09:26:00.000Z",
        "updatedAt": f"2026-03-14T09:26:{seconds:02}.500Z",
    }


def figures(*requests: RequestRecord, jobs: Any = (), arrivals: Any = None) -> TargetFigures:
    return figures_of(requests or [request(0), request(1)], jobs, arrivals)


def test_latencies_count_from_the_moment_a_request_was_meant_for() -> None:
    found = figures(request(0), request(1, seconds=0.5), request(2, status=429), jobs=[job(), job(seconds=4)])

    assert (found.offered, found.accepted, found.answers) == (3, 2, {"202": 2, "429": 1})
    assert (found.accept.p50, found.accept.most) == (500, 500)
    assert (found.polled.count, found.polled.most) == (2, 4500)
    assert (found.end_to_end, found.lost, found.repeated) == (None, None, None)
    assert not found.is_whole


def test_what_did_not_arrive_and_what_arrived_twice_is_counted() -> None:
    late = {"job-0": ArrivalRecord(0.7, 2, "main"), "of somebody else": ArrivalRecord(0.1, 1, "main")}

    found = figures(jobs=[job()], arrivals=late)

    assert (found.lost, found.repeated) == (1, 1)
    assert found.end_to_end is not None
    assert found.end_to_end.most == pytest.approx(600)
    assert not found.is_whole


@pytest.mark.parametrize(
    ("changes", "is_whole"),
    [
        ({}, True),
        ({"jobs": [job("queued")]}, False),
        ({"jobs": [job("404")]}, False),
        ({"arrivals": {"job-0": ArrivalRecord(0.2, 1, "main"), "job-1": ArrivalRecord(1.2, 1, "main")}}, True),
    ],
)
def test_whole_is_what_was_all_accepted_and_has_ended(changes: dict[str, Any], is_whole: bool) -> None:
    assert figures(**{"jobs": [job()], **changes}).is_whole is is_whole


def test_what_was_never_answered_has_a_name() -> None:
    assert figures(request(0, status=RequestOutcome.TIMED_OUT)).answers == {"timed_out": 1}


def test_an_address_may_have_tls_and_a_prefix() -> None:
    plain, secure = Address.of("http://127.0.0.1:8000"), Address.of("https://bank.example/notify/")

    assert (plain.host, plain.port, plain.tls, plain.authority, plain.prefix) == (
        "127.0.0.1",
        8000,
        None,
        "127.0.0.1:8000",
        "",
    )
    assert (secure.port, secure.authority, secure.prefix) == (443, "bank.example", "/notify")
    assert secure.tls is not None
    assert secure.tls.check_hostname


@pytest.mark.parametrize("url", ["bank.example", "ftp://bank.example", "https://u:p@bank.example", "http://"])
def test_what_is_no_address_of_an_api_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not the address of an API"):
        Address.of(url)
