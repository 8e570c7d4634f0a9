"""The rules of ``wavecom doctor``: which fact is well, which is worth a look, which is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import NOW
from wavecom.core import diagnosis
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.storage.mongo.indexes import INDEXES

OK, WARNING, ERROR = Severity
GIB = 1024**3


@pytest.mark.parametrize(("seconds", "severity"), [(0.001, OK), (0.05, OK), (0.2, WARNING)])
def test_a_slow_server_is_worth_a_look(seconds: float, severity: Severity) -> None:
    found = diagnosis.latency("redis", "Redis", seconds, "redis-cli slowlog get")

    assert (found.severity, bool(found.remedy)) == (severity, severity is not OK)


@pytest.mark.parametrize(
    ("version", "severity"),
    [("3.10.8", OK), ("3.10", OK), ("4.0.1", OK), ("10.1", OK), ("3.9.29", ERROR), ("3", ERROR), ("", ERROR)],
)
def test_versions_are_compared_by_their_numbers(version: str, severity: Severity) -> None:
    assert diagnosis.version("rabbitmq", "RabbitMQ", version, (3, 10)).severity is severity


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "severity"),
    [(0.2, 0.0, OK), (-1.0, 0.0, OK), (1.5, 1.0, OK), (1.5, 0.0, WARNING), (-30, 0, WARNING), (90, 0, ERROR)],
)
def test_a_clock_is_off_by_what_no_doubt_explains(ahead: float, uncertainty: float, severity: Severity) -> None:
    found = diagnosis.clock("MongoDB", ahead, uncertainty)

    assert found.severity is severity
    assert ("ahead of" in found.text) is (ahead > 0)


@pytest.mark.parametrize(
    ("days", "severity"), [(31, OK), (29, WARNING), (3.5, WARNING), (2, ERROR), (0, ERROR), (-400, ERROR)]
)
def test_a_certificate_is_told_of_in_time(days: float, severity: Severity) -> None:
    found = diagnosis.certificate("RabbitMQ", NOW + timedelta(days=days), NOW)

    assert found.severity is severity
    assert ("ended" in found.text) is (days <= 0)


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [(20, 100, OK), (60, 2000, OK), (9, 100, WARNING), (1, 100, ERROR), (0, 0, ERROR)],
)
def test_a_disk_is_full_by_its_share_unless_there_is_plenty(free: int, total: int, severity: Severity) -> None:
    assert diagnosis.disk("WAVECOM_HOME", free * GIB, total * GIB, "du").severity is severity


def faults(results: list[CheckResult]) -> list[tuple[Severity, str]]:
    return [(each.severity, each.text.split()[0]) for each in results]


def test_indexes_are_missing_different_or_none_of_ours() -> None:
    declared = [
        {"name": "a_1", "key": {"a": 1}, "unique": True},
        {"name": "b_1", "key": {"b": 1}},
        {"name": "c_1", "key": {"c": 1}},
    ]
    found = {
        "_id_": {"key": [("_id", 1)]},
        "a_1": {"key": [("a", 1)]},
        "b_1": {"key": [("b", 1.0)], "sparse": False},
        "x_1": {"key": [("x", 1)]},
    }

    results = diagnosis.indexes("jobs", declared, found)

    assert faults(results) == [(ERROR, "lacks"), (ERROR, "a_1"), (WARNING, "x_1")]
    assert "c_1" in results[0].text
    assert 'dropIndex("x_1")' in results[2].remedy


@pytest.mark.parametrize("collection", sorted(INDEXES))
def test_indexes_as_declared_are_well(collection: str) -> None:
    documents = [each.document for each in INDEXES[collection]]
    found = {each["name"]: {**each, "key": list(each["key"].items())} for each in documents}

    assert faults(diagnosis.indexes(collection, documents, found)) == [(OK, "has")]


def test_a_queue_that_nobody_consumes_names_the_process_that_should() -> None:
    found = diagnosis.consumers("notifications.sms.high", 0, 7, "worker-high")

    assert (found.severity, found.remedy) == (ERROR, "wavecom start worker-high")
    assert diagnosis.consumers("notifications.sms.high", 2, 7, "worker-high").severity is OK


def test_a_variable_that_is_no_setting_is_named_and_others_are_nobodys_business() -> None:
    found = diagnosis.unknown_variables(["PATH", "WAVECOM_PROT", "WAVECOM_PORT"], {"WAVECOM_PORT"})

    assert [(each.subject, each.severity) for each in found] == [("WAVECOM_PROT", WARNING)]


def test_the_worst_of_several_results_counts() -> None:
    results = [CheckResult("disk", "x", severity, "") for severity in (WARNING, ERROR, OK)]

    assert (diagnosis.worst(results), diagnosis.worst(results[:1]), diagnosis.worst([])) == (ERROR, WARNING, OK)
