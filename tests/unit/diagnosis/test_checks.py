"""What runs the checks: none hides another, however it fails; and the list is the documented one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

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


def test_a_check_that_hangs_is_told_of_and_the_others_are_shown() -> None:
    end = threading.Event()

    def hanging(_: DiagnosisContext) -> Iterator[CheckResult]:
        end.wait(60)
        yield CheckResult("hanging", "it", Severity.OK, "too late")

    found = run_checks(CONTEXT, [Check("hanging", "", hanging), Check("well", "", well)], timeout_seconds=0.2)
    end.set()

    assert [(each.check, each.severity) for each in found] == [("hanging", Severity.ERROR), ("well", Severity.OK)]
    assert "no answer" in found[0].text


def test_the_guide_lists_every_check_with_its_meaning() -> None:
    section = GUIDE.read_text(encoding="utf-8").split("### wavecom doctor\n")[1].split("\n## ")[0].split("\n### ")[0]

    listed = dict(re.findall(r"^\| `([a-z]+)` \| (.+) \|$", section, re.MULTILINE))

    assert listed == {each.name: each.meaning for each in CHECKS}
