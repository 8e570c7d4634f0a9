"""What runs the checks: none hides another, however it fails; and the list is the documented one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

from structlog.testing import capture_logs

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.checks import CHECKS, Check, run_checks
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.settings import Settings

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
CONTEXT = DiagnosisContext(settings=Settings())


def well(_: DiagnosisContext) -> Iterator[CheckResult]:
    yield CheckResult("well", "it", Severity.OK, "is well")


def failing(_: DiagnosisContext) -> Iterator[CheckResult]:
    yield CheckResult("failing", "first", Severity.OK, "is well")
    raise RuntimeError("amqp://user:hunter2@host")


def test_a_check_that_fails_keeps_what_it_found_hides_no_other_and_tells_nothing_of_its_error() -> None:
    found = run_checks(CONTEXT, [Check("failing", "", failing), Check("well", "", well)])

    assert [(each.check, each.subject, each.severity) for each in found] == [
        ("failing", "first", Severity.OK),
        ("failing", "check", Severity.ERROR),
        ("well", "it", Severity.OK),
    ]
    assert "hunter2" not in str(found)


def test_the_log_says_where_a_check_failed_and_not_with_which_words() -> None:
    with capture_logs() as lines:
        run_checks(CONTEXT, [Check("failing", "", failing)])

    [line] = lines
    assert (line["event"], line["check"], line["error"]) == ("check_failed", "failing", "RuntimeError")
    assert line["at"][-1].startswith(f"{__name__}:")
    assert "exc_info" not in line, "its rendering has the words of the error in it"
    assert "hunter2" not in str(line)


def test_a_check_that_hangs_is_told_of_and_the_others_are_shown() -> None:
    end = threading.Event()

    def hanging(_: DiagnosisContext) -> Iterator[CheckResult]:
        end.wait(60)
        yield CheckResult("hanging", "it", Severity.OK, "too late")

    found = run_checks(CONTEXT, [Check("hanging", "", hanging), Check("well", "", well)], timeout_seconds=0.2)
    end.set()

    assert [(each.check, each.severity) for each in found] == [("hanging", Severity.ERROR), ("well", Severity.OK)]
    assert "no answer" in found[0].text


def test_the_time_is_that_of_all_checks_together() -> None:
    end = threading.Event()
    moments = iter([0.0])

    def hanging(_: DiagnosisContext) -> Iterator[CheckResult]:
        end.wait(5)
        yield CheckResult("hanging", "it", Severity.OK, "after its time")

    # All of the time is gone when the results are asked for.
    late = DiagnosisContext(settings=Settings(), monotonic=lambda: next(moments, 1000.0))
    found = run_checks(late, [Check("one", "", hanging), Check("two", "", hanging)], timeout_seconds=60)
    end.set()

    assert [(each.check, each.severity) for each in found] == [("one", Severity.ERROR), ("two", Severity.ERROR)]


def test_the_guide_lists_every_check_with_its_meaning() -> None:
    section = GUIDE.read_text(encoding="utf-8").split("### wavecom doctor\n")[1].split("\n## ")[0].split("\n### ")[0]

    listed = dict(re.findall(r"^\| `([a-z]+)` \| (.+) \|$", section, re.MULTILINE))

    assert listed == {each.name: each.meaning for each in CHECKS}
