"""tools/bootstrap asks for what is missing, in one line, and does nothing twice."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.machine import python_build

ROOT = Path(__file__).parents[3]
ORDINARY = ("sh", "cat", "cksum", "dirname", "env", "mkdir", "sed", "tail", "touch")
# Stands for the Python of a virtual environment, and notes what pip is asked to do.
PYTHON = '#!/bin/sh\ncase "$*" in *"-m pip"*) echo "$@" >>"{calls}" ;; esac\n'


class Machine:
    """A checkout with a PATH that holds just what the test puts there."""

    def __init__(self, folder: Path, user_id: int) -> None:
        self.checkout = folder / "checkout"
        self.programs = folder / "bin"
        self.calls = folder / "calls"
        (self.checkout / "tools").mkdir(parents=True)
        self.programs.mkdir()
        for name in ("tools/bootstrap", "setup.cfg", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, self.checkout / name)
        for name in ORDINARY:
            (self.programs / name).symlink_to(str(shutil.which(name)))
        self.install("id", f"echo {user_id}")
        self.install("sleep", f"exec {shutil.which('sleep')} 0.02")  # between two looks at a step's progress
        self._write(self.checkout / ".venv/bin/python", PYTHON.format(calls=self.calls))

    def install(self, name: str, script: str = "") -> None:
        self._write(self.programs / name, f"#!/bin/sh\n{script}\n")

    def bootstrap(self, profile: str = "run", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "tools/bootstrap", profile],
            env={"PATH": str(self.programs), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def noted(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def user(tmp_path: Path) -> Machine:
    """Neither root nor allowed to become it."""
    machine = Machine(tmp_path, user_id=1000)
    machine.install("apt-get", f'echo apt-get "$@" >>"{machine.calls}"')
    return machine


@pytest.fixture
def root(tmp_path: Path) -> Machine:
    """Root, with an apt that notes what it is asked for; the first install fails for want of package lists."""
    machine = Machine(tmp_path, user_id=0)
    lists = tmp_path / "lists"
    machine.install(
        "apt-get",
        f'echo apt-get "$@" >>"{machine.calls}"\n'
        f'case "$*" in *update*) touch "{lists}" ;; *) [ -e "{lists}" ] || exit 100 ;; esac',
    )
    return machine


# Debian's RabbitMQ is in /usr/sbin, where the script looks too.
has_system_rabbitmq = pytest.mark.skipif(
    not Path("/usr/sbin/rabbitmq-server").exists(), reason="the machine has no RabbitMQ in /usr/sbin"
)


def test_who_may_not_install_is_told_the_one_line_that_does(user: Machine) -> None:
    done = user.bootstrap("test")

    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "sudo apt-get" in line)
    assert "apt-get update && sudo apt-get install -y" in line
    assert line.endswith("redis-server chromium git curl")
    assert user.noted() == []


@has_system_rabbitmq
def test_root_gets_it_installed_with_fresh_package_lists_where_needed(root: Machine) -> None:
    done = root.bootstrap()

    assert done.returncode == 0, done.stdout
    asked = [line.split()[-1] for line in root.noted() if line.startswith("apt-get")]
    assert asked == ["redis-server", "update", "redis-server"]


@has_system_rabbitmq
def test_a_server_of_the_users_own_need_not_be_installed(user: Machine) -> None:
    done = user.bootstrap(REDIS_URL="redis://redis.example.test:6379/0")

    assert done.returncode == 0, done.stdout


def test_packages_are_installed_from_the_lock_with_hashes_and_once(user: Machine) -> None:
    user.install("redis-server")
    user.install("rabbitmq-server")

    first, second = user.bootstrap(), user.bootstrap()

    assert (first.returncode, second.returncode) == (0, 0), first.stdout
    assert second.stdout == ""
    packages, ours = user.noted()
    assert packages.endswith("--require-hashes -r requirements.lock")
    assert ours.endswith("--no-deps --no-build-isolation -e .")


def test_a_changed_lock_is_installed(user: Machine) -> None:
    user.install("redis-server")
    user.install("rabbitmq-server")
    user.bootstrap()

    (user.checkout / "requirements.lock").write_text("celery==5.7.1\n")
    user.bootstrap()

    assert len(user.noted()) == 4


def test_what_the_tests_need_is_enough_to_run(user: Machine) -> None:
    for name in ("redis-server", "rabbitmq-server", "chromium", "git", "curl"):
        user.install(name)

    tested, run = user.bootstrap("test"), user.bootstrap("run")

    assert (tested.returncode, run.returncode) == (0, 0), tested.stdout
    assert ["requirements-dev.lock" in line for line in user.noted()] == [True, False]


def test_a_failed_step_shows_the_end_of_its_output(user: Machine) -> None:
    user.install("redis-server")
    user.install("rabbitmq-server")
    python = user.checkout / ".venv/bin/python"
    python.write_text('#!/bin/sh\ncase "$*" in *"-m pip"*) echo "no network here"; exit 1 ;; esac\n')

    done = user.bootstrap()

    assert done.returncode == 1
    assert "no network here" in done.stdout
    assert not list((user.checkout / ".venv").glob(".wavecom*"))


class Pythons:
    """Stand-ins for interpreters, in folders of their own on PATH; whichever makes the environment is noted."""

    def __init__(self, user: Machine, folder: Path) -> None:
        for name in ("redis-server", "rabbitmq-server"):
            user.install(name)
        user.install("cp", f'exec {shutil.which("cp")} "$@"')
        shutil.rmtree(user.checkout / ".venv")
        user._write(user.checkout / "new-python", PYTHON.format(calls=user.calls))
        self._user = user
        self._root = folder
        self._folders: list[str] = []

    def add(self, folder: str, name: str = "python3", *, is_suitable: bool = True, is_optimised: bool = False) -> str:
        """Behind those that are there already."""
        path = self._root / folder / name
        script = '#!/bin/sh\ncase "$*" in\n'
        script += f"*ensurepip*) exit {int(not is_suitable)} ;;\n*sysconfig*) exit {int(not is_optimised)} ;;\n"
        script += f'*venv*--clear*) echo made by {path} >>"{self._user.calls}"\n'
        script += f"    {shutil.which('mkdir')} -p .venv/bin; cp new-python .venv/bin/python ;;\nesac\n"
        self._user._write(path, script)
        if str(path.parent) not in self._folders:
            self._folders.append(str(path.parent))
        return str(path)

    def chosen(self, **environment: str) -> str:
        """The one that makes the environment, or what is said when none does."""
        path = ":".join([*self._folders, str(self._user.programs)])
        done = self._user.bootstrap(PATH=path, **environment)
        made = [line.removeprefix("made by ") for line in self._user.noted() if line.startswith("made by ")]
        return made[0] if made else done.stdout


@pytest.fixture
def pythons(user: Machine, tmp_path: Path) -> Pythons:
    return Pythons(user, tmp_path / "path with spaces")


def test_a_profile_optimised_python_is_preferred_wherever_it_is_on_the_path(pythons: Pythons) -> None:
    pythons.add("version-manager")
    pythons.add("version-manager", "python3.13")
    system = pythons.add("system", is_optimised=True)

    assert pythons.chosen() == system


def test_the_first_python_will_do_when_none_is_optimised(pythons: Pythons) -> None:
    pythons.add("old", is_suitable=False)
    first = pythons.add("version-manager")
    pythons.add("system")

    assert pythons.chosen() == first


def test_an_optimised_python_that_is_too_old_is_none(pythons: Pythons) -> None:
    pythons.add("old", is_suitable=False, is_optimised=True)
    plain = pythons.add("old", "python3.12")

    assert pythons.chosen() == plain


def test_a_python_that_is_named_is_taken_whatever_else_there_is(pythons: Pythons) -> None:
    pythons.add("system", is_optimised=True)
    named = pythons.add("own", "python-of-mine")

    assert pythons.chosen(WAVECOM_PYTHON=named) == named


def test_a_named_python_that_will_not_do_is_no_reason_to_take_another(pythons: Pythons) -> None:
    pythons.add("system", is_optimised=True)
    named = pythons.add("old", is_suitable=False)

    assert f"WAVECOM_PYTHON names {named}, which is no Python 3.11" in pythons.chosen(WAVECOM_PYTHON=named)


@pytest.mark.parametrize(
    ("arguments", "profile_flag", "is_optimised"),
    [("'--enable-optimizations'", "-fprofile-use", True), ("", "-fprofile-use", False), ("", "", True)],
    ids=["by its own options", "plain", "by its distribution"],
)
def test_how_a_python_was_built_is_told_alike_by_script_and_report(
    arguments: str, profile_flag: str, is_optimised: bool
) -> None:
    variables = {"CONFIG_ARGS": arguments, "PGO_PROF_GEN_FLAG": "-fprofile-generate", "PGO_PROF_USE_FLAG": profile_flag}
    code = re.search(r"is_optimised\(\) \{.*?-c '(.*?)'", (ROOT / "tools/bootstrap").read_text(), re.DOTALL)
    assert code is not None
    stubbed = code[1].replace("known = sysconfig.get_config_var", f"known = {variables!r}.get")

    done = subprocess.run([sys.executable, "-c", stubbed], check=False)

    assert (done.returncode == 0) is is_optimised
    assert ("profile-guided" in python_build(variables).split(",")[0]) is is_optimised


def test_without_a_python_that_is_new_enough_it_says_what_is_needed(user: Machine) -> None:
    shutil.rmtree(user.checkout / ".venv")
    user.install("python3", "exit 1")

    done = user.bootstrap()

    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stdout


def test_an_old_virtual_environment_is_made_anew(user: Machine) -> None:
    user.install("redis-server")
    user.install("rabbitmq-server")
    (user.checkout / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    (user.checkout / "new-python").write_text(PYTHON.format(calls=user.calls))
    (user.checkout / "new-python").chmod(0o755)
    user.install("cp", f'exec {shutil.which("cp")} "$@"')
    user.install(
        "python3", f'case "$*" in *venv*--clear*) echo "$@" >>"{user.calls}"; cp new-python .venv/bin/python ;; esac'
    )

    done = user.bootstrap()

    assert "is made anew" in done.stdout
    made, packages, ours = user.noted()
    assert made == "-m venv --clear .venv"
    assert "requirements.lock" in packages
    assert "-e ." in ours
