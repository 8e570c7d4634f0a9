from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from wavecom.core.worker_health import WorkerHealth, problems
from wavecom.health import health_of, report_path

NODE = "worker1@host"


def vitals(**overrides: Any) -> WorkerHealth:
    well: dict[str, Any] = {"loop_age": 1, "oldest_delivery_age": 0, "silence_age": 1, "in_hand": 0, "ready": None}
    return WorkerHealth(**(well | overrides))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param({}, (), id="fresh"),
        pytest.param({"loop_age": 31}, ("loop_stuck",), id="the main loop hangs"),
        pytest.param({"oldest_delivery_age": 91, "in_hand": 1}, ("delivery_stuck",), id="a delivery hangs"),
        pytest.param({"silence_age": 61, "ready": 5}, ("consumer_silent",), id="messages wait and none comes"),
        pytest.param({"silence_age": 61, "ready": 0}, (), id="nothing to do"),
        pytest.param({"silence_age": 61, "ready": None}, (), id="the broker can't be asked"),
        pytest.param({"silence_age": 61, "ready": 5, "in_hand": 3}, (), id="its hands are full"),
        pytest.param({"silence_age": 59, "ready": 5}, (), id="not for long"),
        pytest.param({"cancelled": ["q"]}, ("consumer_cancelled",), id="somebody cancelled a consumer"),
        pytest.param({"stalled": ["q"]}, ("deliveries_stalled",), id="due work waits and nothing moves"),
    ],
)
def test_a_worker_is_ill_when_it_makes_no_progress_that_it_could_make(
    overrides: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert problems(vitals(**overrides)) == expected


def report(home: Path, **content: Any) -> None:
    path = report_path(home, NODE)
    path.parent.mkdir(parents=True)
    path.write_bytes(orjson.dumps(content))


def test_a_fresh_report_without_problems_is_well(tmp_path: Path) -> None:
    report(tmp_path, at=1000.0, problems=[])

    assert health_of(tmp_path, NODE, now=1010.0).is_well


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param({"at": 1000.0, "problems": ["consumer_silent"]}, "consumer_silent", id="says what is wrong"),
        pytest.param({"at": 960.0, "problems": []}, "50 s ago", id="too old"),
        pytest.param({"at": 1000.0}, "can't be read", id="not a report"),
    ],
)
def test_anything_else_is_not_and_says_why(tmp_path: Path, content: dict[str, Any], reason: str) -> None:
    report(tmp_path, **content)

    found = health_of(tmp_path, NODE, now=1010.0)

    assert not found.is_well
    assert reason in found.reason


@pytest.mark.parametrize(
    ("problems", "is_well"),
    [
        (["consumer_cancelled", "deliveries_stalled"], True),
        (["consumer_silent"], False),
        (["deliveries_stalled", "loop_stuck"], False),
    ],
)
def test_who_would_end_the_worker_is_told_of_fatal_problems_alone(
    tmp_path: Path, problems: list[str], is_well: bool
) -> None:
    report(tmp_path, at=1000.0, problems=problems)

    assert health_of(tmp_path, NODE, now=1010.0, fatal_only=True).is_well is is_well


def test_a_worker_that_never_reported_is_not_well(tmp_path: Path) -> None:
    found = health_of(tmp_path, NODE)

    assert not found.is_well
    assert NODE in found.reason
