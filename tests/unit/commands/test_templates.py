"""``wavecom templates``, over memory and over the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from tests.fakes import FakeClock
from tests.operator_services import operator_services_with
from tests.running_server import running
from tests.template_environment import ORDER, TemplateEnvironment, sms_source
from tests.unit.web.conftest import KEY, make_environment
from wavecom.cli import main
from wavecom.commands.template_places import PAGE_SIZE
from wavecom.core.templates.folder import files_of


def told(done: Result) -> str:
    """What the command says, without what is logged where nobody has set up the log."""
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "[info " not in line)


class Environment:
    def __init__(self, folder: Path) -> None:
        self.templates = TemplateEnvironment.over(FakeClock())
        self.folder = folder
        self._services = operator_services_with(templates=self.templates.administration)

    def run(self, command: str, *arguments: str) -> Result:
        words = [command, *([] if command == "list" else [str(self.folder)]), *arguments, "--client", "acme"]
        return CliRunner().invoke(main, ["templates", *words], obj=self._services)

    def write(self, name: str, source: dict[str, object]) -> None:
        for path, text in files_of(source).items():
            (self.folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name / path).write_text(text, encoding="utf-8")

    def current(self, name: str) -> int | None:
        return self.templates.administration.current("acme", name)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_what_is_pushed_is_a_draft_or_sent_at_once(environment: Environment) -> None:
    environment.write("order", ORDER)

    tried = environment.run("push", "--dry-run")
    drafted = environment.run("push", "--note", "commit 1234")
    published = environment.run("push", "--publish")
    again = environment.run("push", "--publish")

    assert [told(each) for each in (tried, drafted, published, again)] == [
        "order: would be saved\n",
        "order: version 1 saved as a draft\n",
        "order: version 1 published\n",
        "order: as it is\n",
    ]
    [version] = environment.templates.administration.versions("acme", "order", 10).items
    assert (version.note, environment.current("order")) == ("commit 1234", 1)
    assert "@" in version.created_by


def test_layouts_and_partials_come_before_what_needs_them(environment: Environment) -> None:
    mail = {"subject": "x", "html": "<p>Hello</p>", "layout": "zbase"}
    environment.write("a-order", {"contents": {"en": {"email": mail}}})
    layout = {"kind": "layout", "contents": {"en": {"html": "{{ content }}{% include 'zfoot' %}"}}}
    environment.write("zbase", layout)
    environment.write("zfoot", {"kind": "partial", "contents": {"en": {"html": "<i>x</i>"}}})

    done = environment.run("push", "--publish")

    assert done.exit_code == 0, done.output
    assert [line.partition(":")[0] for line in told(done).splitlines()] == ["zfoot", "zbase", "a-order"]


def test_what_is_wrong_is_told_by_file_and_costs_no_other(environment: Environment) -> None:
    environment.write("bad", sms_source("one\n{{ nothing }}"))
    environment.write("odd", ORDER)
    (environment.folder / "odd" / "en" / "fax.txt").write_text("x")
    environment.write("good", ORDER)

    done = environment.run("push", "--publish")

    assert done.exit_code == 1
    assert "bad/en/sms.txt: /contents/en/sms/text line 2: uses nothing, which is not declared" in done.stderr
    assert "odd/en/fax.txt:" in done.stderr
    assert (environment.current("good"), environment.current("bad"), environment.current("odd")) == (1, None, None)


def test_a_changed_partial_reaches_the_templates_that_include_it(environment: Environment) -> None:
    environment.write("order", sms_source("Hello {% include 'foot' %}"))
    told_each_time = []
    for text in ("old", "new", "new"):
        environment.write("foot", {"kind": "partial", "contents": {"en": {"text": text}}})
        told_each_time.append(told(environment.run("push", "--publish")))

    assert told_each_time == [
        "foot: version 1 published\norder: version 1 published\n",
        "foot: version 2 published\norder: version 2 published\n",
        "foot: as it is\norder: as it is\n",
    ]


def test_a_difference_is_shown_line_by_line(environment: Environment) -> None:
    environment.templates.publish("acme", "order", sms_source("one\ntwo"))
    environment.run("pull")
    same = environment.run("diff")
    (environment.folder / "order" / "en" / "sms.txt").write_text("one\nthree\n")

    other = environment.run("diff")

    assert (same.exit_code, same.stdout) == (0, "")
    assert other.exit_code == 1
    assert "-two\n+three\n" in other.stdout


def test_names_in_another_order_and_what_goes_without_saying_are_no_difference(environment: Environment) -> None:
    """As somebody writes it by hand: ``example`` last, no ``variables`` where there are none."""
    environment.write("hello", {"contents": {"en": {"sms": {"text": "Hello"}}}})
    name = {"maxLength": 60, "required": True, "example": "Bo", "type": "text"}
    environment.write("named", {**sms_source("Hello {{ name }}", name=name), "kind": "message"})
    (environment.folder / "hello" / "template.json").write_text("{}")

    environment.run("push", "--publish")
    again, other = environment.run("push", "--publish"), environment.run("diff")

    assert told(again) == "hello: as it is\nnamed: as it is\n"
    assert (other.exit_code, other.stdout) == (0, "")


def test_what_is_pulled_replaces_a_templates_files_and_no_others(environment: Environment) -> None:
    environment.write("order", ORDER)
    (environment.folder / "order" / "README.md").write_text("ours")
    (environment.folder / "mine").mkdir()
    environment.templates.publish("acme", "order", sms_source("new"))
    environment.templates.publish("acme", "other", sms_source("other"))

    done = environment.run("pull", "order")

    assert done.stdout == "order: version 1\n"
    files = {path.relative_to(environment.folder).as_posix() for path in environment.folder.rglob("*.*")}
    assert files == {"order/template.json", "order/en/sms.txt", "order/README.md"}


def test_a_list_says_what_is_sent_and_what_is_newest(environment: Environment) -> None:
    environment.templates.publish("acme", "order", ORDER)
    environment.write("order", sms_source("new"))
    environment.run("push")

    listed = json.loads(environment.run("list", "--json").stdout)
    table = environment.run("list").stdout

    assert listed == {"name": "order", "current": 1, "newest": 2, "state": "draft"}
    assert table.splitlines()[1].split() == ["order", "message", "1", "2", "draft", "en"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["push", "."], "Say whose templates"),
        (["push", ".", "--client", "a b"], "--client must be"),
        (["push", ".", "--url", "https://wavecom.example"], "WAVECOM_API_KEY"),
        (["push", "./none", "--client", "acme"], "There is no folder"),
        (["push", ".", "none", "--client", "acme"], "has no template none"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(
    environment: Environment, arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WAVECOM_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    services = operator_services_with(templates=environment.templates.administration)

    done = CliRunner().invoke(main, ["templates", *arguments], obj=services)

    assert done.exit_code == 2
    assert why in done.stderr


def test_all_templates_are_listed_however_many_pages_they_fill(
    environment: Environment,
) -> None:
    for number in range(PAGE_SIZE + 1):
        environment.templates.publish("acme", f"t-{number:03}", sms_source("x"))

    assert len(environment.run("list", "--json").stdout.splitlines()) == PAGE_SIZE + 1


@pytest.fixture
def api() -> Iterator[str]:
    """The address of an API over memory."""
    with running(make_server("127.0.0.1", 0, make_environment().app, threaded=True)) as address:
        yield address


def test_a_key_does_the_same_over_the_api(
    environment: Environment, api: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAVECOM_API_KEY", KEY)
    environment.write("order", ORDER)
    environment.write("bad", sms_source("{{ nothing }}"))

    def run(command: str, *arguments: str) -> Result:
        words = [command, *arguments, "--url", api]
        return CliRunner().invoke(main, ["templates", *words])

    pushed = run("push", str(tmp_path), "--publish")
    differs = run("diff", str(tmp_path), "order")
    pulled = run("pull", str(tmp_path / "copy"))
    listed = run("list", "--json")
    monkeypatch.setenv("WAVECOM_API_KEY", "wrong")
    refused = run("list")

    assert (pushed.exit_code, told(pushed)) == (1, "order: version 1 published\n")
    assert "bad/en/sms.txt: /contents/en/sms/text line 1: uses nothing" in pushed.stderr
    assert (differs.exit_code, pulled.stdout) == (0, "order: version 1\n")
    assert (tmp_path / "copy" / "order" / "en" / "sms.txt").is_file()
    assert json.loads(listed.stdout) == {"name": "order", "current": 1, "newest": 1, "state": "published"}
    assert refused.exit_code == 1
    assert "answers 401" in refused.stderr
