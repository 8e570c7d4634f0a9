"""What a check of ``wavecom doctor`` finds wrong, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.context import CheckFunction, DiagnosisContext
from wavecom.settings import Settings


def faults(check: CheckFunction, settings: Settings, ahead: timedelta = timedelta()) -> list[CheckResult]:
    """What is not well, with this machine's clock so far ``ahead``."""
    context = DiagnosisContext(settings=settings, now=lambda: datetime.now(UTC) + ahead)
    results = list(check(context))
    assert results, "a check that says nothing looks as if all were well"
    return [each for each in results if each.severity is not Severity.OK]
