"""Whatever is installed with WaveCom is used by it."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

#: Required though nothing imports them.
NOT_IMPORTED = {
    "flask-swagger-ui": "wavecom/web/try_it.py serves the files in it",
    "tzdata": "zoneinfo reads it, where the system has no time zones of its own",
    "honcho": "runs the Procfile, for those who do not use `wavecom run` or a supervisor of their own",
}

#: Held to one minor release, because undocumented parts are used (docs/celery.md).
HELD = {"celery": "~=5.7.0", "kombu": "~=5.7.0", "amqp": "~=5.4.2"}


def required() -> Mapping[str, str]:
    """Name → versions, of ``install_requires``."""
    metadata = configparser.ConfigParser()
    metadata.read(REPOSITORY / "setup.cfg")
    lines = [line.partition(";")[0].strip() for line in metadata["options"]["install_requires"].splitlines()]
    found = [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?(.*)", line) for line in lines if line and line[0] != "#"]
    return {match[1]: match[2].strip() for match in found if match is not None}


def imported() -> set[str]:
    """The distributions of which something is imported in what is shipped."""
    modules = set()
    for path in [*(REPOSITORY / "wavecom").rglob("*.py"), REPOSITORY / "celeryconfig.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    distributions = packages_distributions()
    return {re.sub(r"[-_.]+", "-", name).lower() for module in modules for name in distributions.get(module, ())}


def test_every_requirement_is_imported_or_there_for_a_reason() -> None:
    used = imported()

    assert len(required()) > 20
    assert {name for name in required() if name not in used} == set(NOT_IMPORTED)


def test_libraries_of_which_undocumented_parts_are_used_on_every_message_are_held_to_a_minor_release() -> None:
    assert {name: required()[name] for name in HELD} == HELD
