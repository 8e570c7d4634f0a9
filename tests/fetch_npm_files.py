"""``python -m tests.fetch_npm_files``: bring what tests need of npm packages into the virtual environment."""

from __future__ import annotations

import sys

from tests.accessibility_rules import AXE
from tests.npm_files import NpmFiles, NpmProgram
from tests.openid_provider import PROGRAM
from tests.provider_descriptions import DESCRIPTIONS

PACKAGES: tuple[NpmFiles | NpmProgram, ...] = (DESCRIPTIONS, AXE, PROGRAM)


def main() -> int:
    """Bring what is missing, or with ``--check`` only tell; the exit code."""
    if "--check" in sys.argv:
        return 0 if all(each.are_there for each in PACKAGES) else 1
    for each in PACKAGES:
        each.fetch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
