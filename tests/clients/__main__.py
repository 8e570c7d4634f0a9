"""``python -m tests.clients`` (``make clients``): clients made from the API's description, built, and used against it.

openapi-generator makes a client for Python, TypeScript, Go and Java of what a running web app serves as its
description; a small program in each language then sends, reads, lists and is refused, and stops at the first type that
does not fit. Needs Java (for the generator) and the tools of each language: node with npm, go, javac with mvn. Exit
code 0: every client did every step.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table

from tests.running_api import running_api
from tests.web_process import KEY

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
#: The package that brings openapi-generator as a jar, and its version.
GENERATOR = HERE / "requirements.txt"


@dataclass(frozen=True, slots=True)
class Language:
    """How a client in one language is made: openapi-generator's name for it, and the commands that build and use it."""

    generator: str
    tools: tuple[str, ...]
    #: In a folder with the client in ``client/``: copies the program there and runs what is needed.
    use: Callable[[Path, Mapping[str, str]], None]


def main() -> int:
    """Make, build and use the clients that were asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(LANGUAGES), help="one language; may be repeated")
    options = parser.parse_args()
    names = options.only or sorted(LANGUAGES)
    lacking = {tool for name in names for tool in ("java", *LANGUAGES[name].tools) if not shutil.which(tool)}
    if lacking:
        print(f"These programs are missing on PATH: {', '.join(sorted(lacking))}.", file=sys.stderr)
        return 2
    table = Table("client", "outcome", "seconds")
    is_good = True
    console = Console()
    with tempfile.TemporaryDirectory(prefix="wavecom-clients-") as folder:
        home = Path(folder)
        with console.status("installing openapi-generator"):
            generator = _generator(home)
        with running_api(home) as (web, _):
            description = home / "openapi.json"
            description.write_bytes(requests.get(f"{web.url}/api/openapi.json", timeout=30).content)
            variables = {"WAVECOM_URL": web.url, "WAVECOM_API_KEY": KEY}
            for name in names:
                started_at = time.monotonic()
                with console.status(f"{name}: make, build, use"):
                    outcome = _try(LANGUAGES[name], home / name, generator, description, variables)
                is_good = is_good and not outcome
                table.add_row(name, outcome or "every step done", f"{time.monotonic() - started_at:.0f}")
    console.print(table)
    return 0 if is_good else 1


def _generator(home: Path) -> Path:
    """The command, in a virtual environment of its own: nothing that WaveCom needs comes from there."""
    environment = home / "generator"
    _run([sys.executable, "-m", "venv", str(environment)], home)
    _run([str(environment / "bin" / "pip"), "install", "--quiet", "--requirement", str(GENERATOR)], home)
    return environment / "bin" / "openapi-generator-cli"


def _try(language: Language, folder: Path, generator: Path, description: Path, variables: Mapping[str, str]) -> str:
    """Empty when the program did every step, else the end of what was printed."""
    folder.mkdir()
    make = [str(generator), "generate", "-i", str(description), "-g", language.generator, "-o", str(folder / "client")]
    try:
        _run(make, folder)
        language.use(folder, variables)
    except subprocess.CalledProcessError as failed:
        lines = f"{failed.stdout}\n{failed.stderr}".strip().splitlines()
        return "\n".join(["failed: " + " ".join(map(str, failed.cmd))[:80], *lines[-30:]])
    return ""


def _run(command: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, **(variables or {})}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=600)


def _use_python(folder: Path, variables: Mapping[str, str]) -> None:
    environment = folder / "environment"
    _run([sys.executable, "-m", "venv", str(environment)], folder)
    _run([str(environment / "bin" / "pip"), "install", "--quiet", str(folder / "client")], folder)
    _run([str(environment / "bin" / "python"), str(PROGRAMS / "program.py")], folder, variables)


def _use_typescript(folder: Path, variables: Mapping[str, str]) -> None:
    shutil.copytree(PROGRAMS / "typescript", folder, dirs_exist_ok=True)
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund"], folder)
    _run(["npx", "tsc", "--project", "."], folder)
    _run(["node", "built/program.js"], folder, variables)


def _use_go(folder: Path, variables: Mapping[str, str]) -> None:
    program = folder / "program"
    shutil.copytree(PROGRAMS / "go", program)
    module = (folder / "client" / "go.mod").read_text(encoding="utf-8").splitlines()[0].removeprefix("module ")
    _run(["go", "mod", "init", "example.com/program"], program)
    _run(["go", "mod", "edit", f"-replace={module}={folder / 'client'}", f"-require={module}@v0.0.0"], program)
    _run(["go", "mod", "tidy"], program)
    _run(["go", "run", "."], program, variables)


def _use_java(folder: Path, variables: Mapping[str, str]) -> None:
    client = folder / "client"
    shutil.copytree(PROGRAMS / "java", client / "src" / "main" / "java", dirs_exist_ok=True)
    quiet = ["mvn", "--quiet", "--batch-mode", "-Dmaven.test.skip=true", "-Dmaven.javadoc.skip=true"]
    _run([*quiet, "compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath"], client)
    libraries = (client / "classpath").read_text(encoding="utf-8").strip()
    _run(["java", "-cp", f"target/classes:{libraries}", "Program"], client, variables)


LANGUAGES = {
    "go": Language("go", ("go",), _use_go),
    "java": Language("java", ("mvn", "javac"), _use_java),
    "python": Language("python", (), _use_python),
    "typescript": Language("typescript-fetch", ("npm", "node"), _use_typescript),
}

if __name__ == "__main__":
    sys.exit(main())
