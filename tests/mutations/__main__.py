"""Make a mistake on purpose and see whether a test notices: ``python -m tests.mutations [WORD ...]``.

The mistakes stand in ``mutations.toml`` beside this file. Each is made alone, in a copy of the tree, and the tests it
names are run there: they must be green without it and red with it. WORDs pick the mistakes whose name or file holds
one of them. Exits with 1 when a mistake goes unnoticed, or when its text is no longer found in the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutations.toml")
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "var", "build", "dist", "htmlcov")
TIMEOUT_SECONDS = 900
GREEN, RED = 0, 1


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def is_about(self, words: list[str]) -> bool:
        return not words or any(word.lower() in f"{self.name} {self.file}".lower() for word in words)


def read_mutations() -> list[Mutation]:
    entries = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutation"]
    return [Mutation(**(entry | {"tests": tuple(entry["tests"])})) for entry in entries]


def run_tests(tree: Path, tests: tuple[str, ...], *, shows_red: bool = False) -> int:
    """pytest's exit code: 0 all green, 1 some red, others for tests that could not be run."""
    environment = os.environ | {
        "PYTHONPATH": str(tree),
        # A file that is changed twice in a second would be taken for the same by the cache.
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": "brief",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    run = subprocess.run(
        command, cwd=tree, env=environment, timeout=TIMEOUT_SECONDS, check=False, capture_output=True, text=True
    )
    if run.returncode not in (GREEN, RED):
        print(run.stdout, run.stderr, sep="\n", file=sys.stderr)
    elif run.returncode == RED and shows_red:
        print(run.stdout[-4000:], file=sys.stderr)
    return run.returncode


def problem_with(tree: Path, mutation: Mutation) -> str | None:
    """What is wrong with the mutation; None when its tests turn red, as they should."""
    path = tree / mutation.file
    sound = path.read_text(encoding="utf-8")
    found = sound.count(mutation.old)
    if found != 1:
        return f"its text is found {found} times in {mutation.file}, not once"
    path.write_text(sound.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        code = run_tests(tree, mutation.tests)
    finally:
        path.write_text(sound, encoding="utf-8")
    if code == GREEN:
        return "no test noticed"
    return None if code == RED else f"the tests could not be run (pytest ended with {code})"


def main(words: list[str]) -> int:
    mutations = [mutation for mutation in read_mutations() if mutation.is_about(words)]
    if not mutations:
        print(f"No mutation is about {' or '.join(words)}.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="wavecom-mutations-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        everything = tuple(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
        print(f"Without a mistake: {' '.join(everything)}", flush=True)
        if run_tests(tree, everything, shows_red=True) != GREEN:
            print("These tests are red already, so they would prove nothing.", file=sys.stderr)
            return 1
        problems = 0
        for number, mutation in enumerate(mutations, start=1):
            problem = problem_with(tree, mutation)
            problems += problem is not None
            print(
                f"{number:3}/{len(mutations)} {'noticed' if problem is None else 'MISSED '} {mutation.name}", flush=True
            )
            if problem is not None:
                print(f"            {problem}", flush=True)
    print(f"{len(mutations) - problems} of {len(mutations)} mistakes were noticed.")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
