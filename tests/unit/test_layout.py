"""The layout that a newcomer walks through: short modules, and a docstring on everything that others may use."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("wavecom", "harness", "tests")

UNIT = REPOSITORY / "tests" / "unit"
#: Folders of tests/unit that mirror no part of wavecom/.
ELSEWHERE = {
    "harness": "mirrors harness/, which stands beside wavecom/",
    "core/stateful": "whole lives of jobs, through all of the core at once",
}
#: What is about all of the repository stands above the folders.
OF_THE_REPOSITORY = {"test_dependencies.py", "test_fence.py", "test_layout.py", "test_private_names.py"}

MEDIAN_LINES = 150
MOST_LINES = 450


def modules(folder: str) -> dict[str, int]:
    """Path → lines."""
    return {
        str(path.relative_to(REPOSITORY)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (REPOSITORY / folder).rglob("*.py")
        if path.name != "__init__.py"
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_half_of_all_modules_are_short_and_none_is_long(folder: str) -> None:
    lines = modules(folder)

    assert statistics.median(lines.values()) <= MEDIAN_LINES
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_all_of_wavecom_is_in_what_is_installed() -> None:
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    patterns = setup["options.package_data"]["wavecom"].split()
    shipped = REPOSITORY / "wavecom"
    files = [path for path in shipped.rglob("*") if path.is_file() and path.suffix != ".pyc"]

    left_out = {str(path) for path in files if path.suffix == ".py" and not (path.parent / "__init__.py").exists()}
    data = {path for path in files if path.suffix != ".py"}

    assert left_out == set(), "setuptools finds packages by __init__.py; from the checkout all works without it"
    assert data == {path for pattern in patterns for path in shipped.glob(pattern)}


def place_of(test: Path) -> tuple[str, Path]:
    """Folder of a unit test below tests/unit, and the folder of wavecom/ that it mirrors.

    A folder may mirror one module: tests/unit/core/sweep/ stands for wavecom/core/sweep.py.
    """
    folder = test.parent.relative_to(UNIT)
    mirrored = REPOSITORY / "wavecom" / folder
    return str(folder), mirrored.parent if mirrored.with_suffix(".py").is_file() else mirrored


UNIT_TESTS = [path for path in sorted(UNIT.rglob("test_*.py")) if str(path.parent.relative_to(UNIT)) not in ELSEWHERE]


def test_each_folder_of_unit_tests_has_the_name_of_a_package_or_module() -> None:
    places = dict(map(place_of, UNIT_TESTS))

    assert [folder for folder, mirrored in places.items() if not mirrored.is_dir()] == []


def test_a_unit_test_with_the_name_of_a_module_stands_where_the_module_stands() -> None:
    packages: dict[str, set[Path]] = {}
    for module in (REPOSITORY / "wavecom").rglob("*.py"):
        packages.setdefault(module.stem, set()).add(module.parent)

    misplaced = [
        str(test.relative_to(REPOSITORY))
        for test in UNIT_TESTS
        if (named := packages.get(test.stem.removeprefix("test_"))) and place_of(test)[1] not in named
    ]

    assert misplaced == []


def test_above_all_folders_stand_tests_of_modules_that_stand_there_too() -> None:
    modules = {path.stem for path in (REPOSITORY / "wavecom").glob("*.py")}
    tests = {path.name for path in UNIT.glob("test_*.py")} - OF_THE_REPOSITORY

    assert {test for test in tests if not any(f"{test[5:-3]}_".startswith(f"{name}_") for name in modules)} == set()


def undocumented(path: Path) -> Iterator[str]:
    """Public functions, classes and methods without a docstring. A method may say ``See ...`` and no more."""

    def walk(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
        for child in node.body:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if child.name.startswith("_"):
                continue
            if ast.get_docstring(child) is None and not _is_inherited(node, child):
                yield f"{path.relative_to(REPOSITORY)}: {prefix}{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    return walk(ast.parse(path.read_text(encoding="utf-8")), "")


def _is_inherited(owner: ast.Module | ast.ClassDef, child: ast.stmt) -> bool:
    """A method of a class with a base: what it does may be said there. Marshmallow's ``Meta`` says nothing."""
    if isinstance(child, ast.ClassDef):
        return child.name == "Meta"
    return isinstance(owner, ast.ClassDef) and bool(owner.bases)


@pytest.mark.parametrize("folder", ["wavecom", "harness", "benchmarks"])
def test_everything_public_says_what_it_is(folder: str) -> None:
    found = [each for path in sorted((REPOSITORY / folder).rglob("*.py")) for each in undocumented(path)]

    assert found == []


#: Where a docstring is what ``--help`` shows, and an error ends the command with a message and an exit code.
COMMANDS = ("wavecom/commands/", "wavecom/cli.py")


def unnamed_errors(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each error that a public function raises in its own body and nobody says so.

    Its docstring says it, or its class's, or the module's for all functions of it; or it names with ``See`` where the
    contract is. What only a bug meets is nobody's contract (``AssertionError``, ``NotImplementedError``).
    """
    tree = ast.parse(source)

    def walk(node: ast.Module | ast.ClassDef, said: str) -> Iterator[tuple[int, str]]:
        for child in node.body:
            if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
                yield from walk(child, said + (ast.get_docstring(child) or ""))
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
                own = ast.get_docstring(child) or ""
                if not own.startswith("See "):
                    yield from ((line, name) for line, name in _raised(child) if name not in said + own)

    return walk(tree, ast.get_docstring(tree) or "")


def _raised(function: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = error.attr if isinstance(error, ast.Attribute) else getattr(error, "id", "")
            if name.endswith("Error") and name not in {"AssertionError", "NotImplementedError"}:
                yield node.lineno, name
        yield from _raised(node)


@pytest.mark.parametrize("folder", ["wavecom", "harness"])
def test_a_docstring_names_the_errors_that_its_function_raises(folder: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {name}"
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        if not str(path.relative_to(REPOSITORY)).startswith(COMMANDS)
        for line, name in unnamed_errors(path.read_text(encoding="utf-8"))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def read():\n    raise OSError(1)", ["OSError"]),
        ('def read():\n    """Raises ``OSError``."""\n    raise OSError(1)', []),
        ('class Of:\n    """Raises ``OSError``."""\n    def read(self):\n        raise OSError', []),
        ('def read():\n    """See ``Port.read``."""\n    raise OSError(1)', []),
        ("def _read():\n    raise OSError(1)", []),
        ("def read():\n    try:\n        pass\n    except OSError:\n        raise\n    raise AssertionError", []),
    ],
)
def test_an_error_that_nobody_names_is_found(source: str, found: list[str]) -> None:
    assert [name for _, name in unnamed_errors(source)] == found


#: Numbers that say nothing without a unit, by the end of their names: ``timeout`` does, ``timeout_seconds`` has one.
MEASURES = re.compile(
    r"(?:^|_)(?:timeout|delay|latency|interval|duration|wait|age|lag|pause|ttl|rate|size|elapsed|lifetime|period|window)$"
)
UNITS = re.compile(r"second|minute|hour|\bms\b|byte|MiB|number of", re.IGNORECASE)


def unitless(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each number that a public function takes or answers without saying in what it is measured."""

    def walk(node: ast.Module | ast.ClassDef, said: str) -> Iterator[tuple[int, str]]:
        for child in node.body:
            if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
                yield from walk(child, ast.get_docstring(child) or "")
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and re.match(r"[a-z]|__init__", child.name):
                doc = said + (ast.get_docstring(child) or "")
                named = [(each.arg, each.annotation) for each in (*child.args.args, *child.args.kwonlyargs)]
                for name, annotation in [*named, (child.name, child.returns)]:
                    is_number = annotation is not None and re.fullmatch(
                        r"(float|int)( \| None)?", ast.unparse(annotation)
                    )
                    is_counted = f"``{name}`` " in doc  # ``size`` jobs
                    if is_number and MEASURES.search(name) and not is_counted and not UNITS.search(doc):
                        yield child.lineno, name

    return walk(ast.parse(source), "")


@pytest.mark.parametrize("folder", ["wavecom", "harness"])
def test_a_number_that_is_measured_says_in_what(folder: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {name}"
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        if not str(path.relative_to(REPOSITORY)).startswith(COMMANDS)
        for line, name in unitless(path.read_text(encoding="utf-8"))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def wait(timeout: float) -> None: ...", ["timeout"]),
        ("def wait(timeout_seconds: float) -> None: ...", []),
        ('def wait(timeout: float) -> None:\n    """``timeout``: seconds."""', []),
        ('def fill(size: int) -> None:\n    """Makes ``size`` jobs."""', []),
        ("class Of:\n    def latency(self) -> float | None: ...", ["latency"]),
        ("def _wait(timeout: float) -> None: ...", []),
    ],
)
def test_a_number_without_a_unit_is_found(source: str, found: list[str]) -> None:
    assert [name for _, name in unitless(source)] == found


def public_classes(path: Path) -> Iterator[str]:
    """The public classes of a module, within others too: marshmallow's ``Meta`` has no name of its own."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != "Meta":
            yield node.name


def test_one_name_means_one_thing() -> None:
    """A schema keeps the short name, which the published document shows; what is like it elsewhere says where."""
    places: dict[str, list[str]] = {}
    for folder in ("wavecom", "harness"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for name in public_classes(path):
                places.setdefault(name, []).append(str(path.relative_to(REPOSITORY)))

    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


#: What names a file of the repository: a path below one of its folders, or a page by its name alone.
NAMED_FILE = re.compile(
    r"(?<![\w./:$-])"
    r"(?:(?:wavecom|tests|harness|benchmarks|docs|tools|deploy|examples)/[\w./-]*\w\.(?:py|md|lua|toml|yaml)|[\w-]+\.md)\b"
)


#: Named, and not there: what a reader makes by a guide, or a command writes.
NOT_THERE = {
    "deploy/providers.toml",
    "wavecom/providers/pigeon.py",
    "docs/providers/pigeon.md",
    "pigeon.md",
    "tests/contract/providers/test_pigeon.py",
    "docs/reports/faults.md",
    "NAME.md",
}


def named_files(text: str) -> set[str]:
    """The files that a text names, as it names them."""
    return set(NAMED_FILE.findall(text))


def texts() -> Iterator[Path]:
    """What people read: code and documents, all but reports, which tell of what was there at their time."""
    for folder in ("wavecom", "harness", "benchmarks", "tests", "docs", "deploy", "tools", ".github"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if (
                path.is_file()
                and path.suffix in {"", ".py", ".lua", ".md", ".yaml"}
                and "reports" not in path.parts
                and path != Path(__file__)
            ):
                yield path
    yield from sorted(REPOSITORY.glob("*.py"))
    yield from (REPOSITORY / name for name in ("README.md", "setup.cfg", "pyproject.toml", "Makefile"))


def test_every_file_that_a_text_names_is_in_the_repository() -> None:
    pages = {path.name for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]}

    dangling = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in texts()
        for name in named_files(path.read_text(encoding="utf-8"))
        if not (REPOSITORY / name).exists() and name not in pages | NOT_THERE
    }

    assert dangling == set()


def test_a_file_that_a_text_names_is_found() -> None:
    text = "See design.md section 6, (docs/celery.md) and tests/unit/test_gone.py; not https://a.example/docs/page.md."

    assert named_files(text) == {"design.md", "docs/celery.md", "tests/unit/test_gone.py"}


#: ``make TARGET``, perhaps with variables before it, as code within a text and as a step of a workflow ...
MADE = re.compile(r"(?:`|\brun: )(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)")
#: ... and as a line of a block of code.
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE_LINE = re.compile(r"^(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", re.MULTILINE)


def made_targets(text: str) -> set[str]:
    """The targets of the Makefile that a text has made."""
    return {*MADE.findall(text), *(target for block in BLOCK.findall(text) for target in MADE_LINE.findall(block))}


def test_every_target_that_a_text_has_made_is_one_of_the_makefile() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    made = {
        (str(path.relative_to(REPOSITORY)), target)
        for path in [*texts(), REPOSITORY / "CHANGELOG.md"]
        for target in made_targets(path.read_text(encoding="utf-8"))
    }

    assert {"run", "test", "check-deploy"} <= {target for _, target in made}
    assert {each for each in made if each[1] not in targets} == set()


def test_a_target_that_a_text_has_made_is_found() -> None:
    text = """To make one, see `make lint` and `FAST=0 make faults ARGS=x`. They
make nobody wait.
```sh
make run
```
      - run: make check
"""

    assert made_targets(text) == {"lint", "faults", "run", "check"}
