"""schemathesis over what a running WaveCom says about itself: every phase, every check, both good and bad data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHASES = ("examples", "coverage", "fuzzing", "stateful")
#: Hypothesis parses the source of lambdas, and two threads that parse at once may fail in older Pythons ("AST
#: constructor recursion depth mismatch", https://github.com/python/cpython/issues/106905).
WORKERS = 2 if sys.version_info >= (3, 12) else 1
_CONFIG = Path(__file__).with_name("schemathesis.toml")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run came to. ``output`` is schemathesis's own report."""

    cases: int
    failures: int
    is_complete: bool
    operations: int
    output: str

    @property
    def is_clean(self) -> bool:
        """Every operation was tested, and nothing was found."""
        return self.is_complete and not self.failures


def fuzz(
    url: str,
    key: str,
    folder: Path,
    *,
    examples: int,
    seconds: int | None = None,
    seed: int | None = None,
    phases: Sequence[str] = PHASES,
) -> Findings:
    """Run it with ``key``: at most ``examples`` cases for each operation and phase, at most ``seconds`` in all."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += [f"--config-file={_CONFIG}", "run", f"{url}/api/openapi.json", "-H", f"Authorization: Bearer {key}"]
    command += [f"--phases={','.join(phases)}", f"--max-examples={examples}", "--checks=all", "--continue-on-failure"]
    command += ["--report=json", f"--report-json-path={report}", "--no-shrink", "--warnings=off"]
    command += [f"--workers={WORKERS}"]
    # It tries each operation that succeeds with a wrong key as well, and one address may send 20 of these a minute: the
    # last ones would be answered 429. test_authentication.py asks it of every operation.
    command += ["--exclude-checks=ignored_auth"]
    # How quick answers are is measured elsewhere, on a machine that does nothing else.
    command += ["--suppress-health-check=all", "--max-response-time=60", "--request-timeout=60"]
    command += [] if seconds is None else [f"--max-time={seconds}"]
    command += [] if seed is None else [f"--seed={seed}"]
    # Where it runs it leaves its caches behind.
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    output = ended.stdout + ended.stderr
    if not report.exists():
        return Findings(0, 1, False, 0, output)
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    operations, cases = found["operations"], found["test_cases"]
    is_complete = operations["tested"] == operations["total"] and not operations["errored"] and not cases["errored"]
    # Exit code 1 is failures; any other but 0 is schemathesis's own trouble.
    failures = sum(each["count"] for each in found["failures"]) or (ended.returncode != 0)
    return Findings(cases["generated"], int(failures), is_complete, operations["tested"], output)
