"""``python -m tests.fuzz`` (``make fuzz``): thousands of generated calls against real servers, good and bad ones.

Starts RabbitMQ, Redis, MongoDB, the web app and a worker in a temporary folder, then runs schemathesis over what the
web app serves as its description: with keys of one scope each, then with one that may do everything. Exit
code 0: nothing was found; 1: something was, or fewer cases were generated than asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.fuzzing import PHASES, Findings, fuzz
from tests.running_api import running_api
from tests.web_process import KEY
from wavecom.accounts import make_key


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="how many must have been generated (5000)")
    parser.add_argument("--examples", type=int, default=400, help="at most, for each operation and phase (400)")
    parser.add_argument("--seconds", type=int, default=900, help="at most, for the key that may do everything (900)")
    parser.add_argument("--seed", type=int, help="to repeat a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wavecom-fuzz-") as name, running_api(Path(name)) as (web, keys):
        few = ("examples", "fuzzing")
        runs: list[tuple[str, str, int, int | None, Sequence[str]]]
        runs = [(f"scope {scope}", key, 5, None, few) for scope, key in keys.items()]
        runs += [("a key that nobody knows", make_key(), 5, None, few)]
        runs += [("all scopes", KEY, options.examples, options.seconds, PHASES)]
        all_found = []
        for title, key, examples, seconds, phases in runs:
            started_at = time.monotonic()
            found = fuzz(web.url, key, Path(name), examples=examples, seconds=seconds, seed=options.seed, phases=phases)
            all_found.append(found)
            _report(title, found, time.monotonic() - started_at)
        errors = [line for line in web.logged().splitlines() if '"unhandled_error"' in line]
    cases = sum(found.cases for found in all_found)
    is_good = all(found.is_clean for found in all_found) and cases >= options.cases and not errors
    print(f"{cases} cases, {sum(found.failures for found in all_found)} failures, {len(errors)} unhandled errors")
    return 0 if is_good else 1


def _report(title: str, found: Findings, seconds: float) -> None:
    print(
        f"{title}: {found.operations} operations, {found.cases} cases, {found.failures} failures in {seconds:.0f} s",
        flush=True,
    )
    if not found.is_clean:
        print(found.output, flush=True)


if __name__ == "__main__":
    sys.exit(main())
