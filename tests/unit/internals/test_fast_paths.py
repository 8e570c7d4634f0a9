"""Whether undocumented parts of libraries may be used: the setting, and what each library's check finds."""

from __future__ import annotations

import prometheus_client
import pytest
from structlog.testing import capture_logs

from wavecom.internals import amqp, celery, fast_paths, kombu, marshmallow, smorest
from wavecom.internals.fast_paths import Library, changed_signature, missing_attributes
from wavecom.providers.transport import urllib3


def disabled(library: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value("wavecom_fast_path_disabled", {"library": library})


@pytest.mark.parametrize(
    "module",
    [amqp, celery, kombu, marshmallow, smorest, urllib3],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_the_locked_version_of_a_library_is_as_expected(module: object) -> None:
    library: Library = getattr(module, "LIBRARY")  # noqa: B009 - modules have no common type

    with capture_logs() as logs:
        assert library.is_as_expected()

    assert logs == []


def test_a_library_that_is_as_expected_is_fast_and_checked_once() -> None:
    checks: list[None] = []

    def check() -> list[str]:
        checks.append(None)
        return []

    library = Library("good", check)

    assert library.is_fast()
    assert library.is_fast()
    assert library.is_as_expected()
    assert len(checks) == 1
    assert disabled("good") == 0


def test_a_library_that_has_changed_is_told_once_and_its_documented_ways_are_used() -> None:
    library = Library("changed", lambda: ["Consumer has no create_task_handler"])

    with capture_logs() as logs:
        assert not library.is_fast()
        assert not library.is_as_expected()

    [entry] = logs
    assert (entry["event"], entry["log_level"], entry["library"]) == ("fast_path_disabled", "error", "changed")
    assert entry["found"] == ["Consumer has no create_task_handler"]
    assert disabled("changed") == 1


def test_a_check_that_raises_is_a_library_that_has_changed() -> None:
    def check() -> list[str]:
        raise AttributeError("module has no attribute state")

    library = Library("raising", check)

    with capture_logs() as logs:
        assert not library.is_fast()

    assert "AttributeError" in logs[0]["found"][0]
    assert disabled("raising") == 1


def test_the_setting_switches_every_fast_path_off_and_tells_nobody_of_a_change() -> None:
    library = Library("switched", list)

    fast_paths.switch(is_on=False)

    with capture_logs() as logs:
        assert not library.is_fast()
        assert library.is_as_expected()
    assert logs == []
    assert disabled("switched") == 0


class Owner:
    limit = 3

    def read(self, channel: object, tag: int = 0, **options: object) -> None: ...


@pytest.mark.parametrize(
    ("found", "is_changed"),
    [
        (missing_attributes(Owner, "limit", "read"), False),
        (missing_attributes(Owner, "limit", "write"), True),
        (changed_signature(Owner, "read", "channel"), False),
        (changed_signature(Owner, "read", "channel", "tag"), False),
        (changed_signature(Owner, "read"), True),
        (changed_signature(Owner, "read", "tag"), True),
        (changed_signature(Owner, "read", "channel", "tag", "more"), True),
        (changed_signature(Owner, "limit"), True),
        (changed_signature(Owner, "gone"), True),
    ],
)
def test_what_has_changed_is_found(found: list[str], is_changed: bool) -> None:
    assert bool(list(found)) is is_changed
