"""``wavecom campaigns`` against the API, whose application answers in place of a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from click.testing import CliRunner, Result

from tests.campaign_environment import phones
from tests.unit.web.conftest import KEY, WebEnvironment, make_environment
from wavecom.commands import campaigns as commands

URL = ["--url", "http://localhost"]
DEFINITION = {"name": "Spring", "notification": {"type": "sms", "payload": {"text": "Hello"}}}


class Server:
    """Answers requests with the application; breaks the connection at these uploads, and is away after that."""

    def __init__(self, environment: WebEnvironment) -> None:
        self._client = environment.app.test_client()
        self.breaks: set[int] = set()
        self.uploads = 0
        #: Requests that are not answered after a break.
        self.away = 0
        self._refuses = 0

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        if self._refuses:
            self._refuses -= 1
            raise requests.ConnectionError
        data = options.get("data")
        if data is not None:
            self.uploads += 1
            data = b"".join(data)
            if self.uploads in self.breaks:
                self._refuses = self.away
                raise requests.ConnectionError
        answer = self._client.open(
            url, method=method, headers=options.get("headers"), data=data, json=options.get("json")
        )
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(dict(answer.headers))
        response.raw = BytesIO(answer.data)
        return response


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(make_environment())
    monkeypatch.setattr(requests, "request", server.request)
    monkeypatch.setattr(commands, "_PART", 4_000)
    monkeypatch.setattr(commands, "_FIRST_PAUSE_SECONDS", 0)
    return server


def run(*arguments: str, key: str | None = KEY) -> Result:
    return CliRunner().invoke(commands.campaigns, list(arguments), env={"WAVECOM_API_KEY": key})


def made(result: Result) -> str:
    """The id of the campaign that was made; the application's log stands in the output, too."""
    [campaign_id] = re.findall(r"^Campaign (\S+)$", result.output, re.MULTILINE)
    return str(campaign_id)


def files(folder: Path, rows: int = 1_000) -> list[str]:
    people, definition = folder / "people.csv", folder / "campaign.json"
    people.write_text("phone\n" + "".join(f"{phone}\n" for phone in phones(rows)) + "none\n", encoding="utf-8")
    definition.write_bytes(orjson.dumps(DEFINITION))
    return [str(people), "--define", str(definition)]


def test_a_file_is_uploaded_in_parts_started_and_listed(server: Server, tmp_path: Path) -> None:
    uploaded = run("upload", *files(tmp_path), *URL)

    assert uploaded.exit_code == 0, uploaded.output
    assert "1,001 rows, 1 of them rejected." in uploaded.output
    campaign_id = made(uploaded)
    assert server.uploads > 3
    assert run("rejected", campaign_id, *URL).output.splitlines()[1].startswith("1001,1002,phone,invalid,")
    assert run("start", campaign_id, *URL).output.endswith("Spring: running\n")
    assert "running" in run("list", *URL).output
    assert orjson.loads(run("show", campaign_id, *URL).output.splitlines()[-1])["counts"]["rows"] == 1_001


def test_an_upload_whose_connection_breaks_goes_on(server: Server, tmp_path: Path) -> None:
    server.breaks = {2, 3}

    assert "1,001 rows" in run("upload", *files(tmp_path), *URL).output


def test_an_upload_outlasts_a_server_that_is_started_again(server: Server, tmp_path: Path) -> None:
    server.breaks, server.away = {2, 4}, 4

    uploaded = run("upload", *files(tmp_path), *URL)

    assert "1,001 rows, 1 of them rejected." in uploaded.output


def test_who_has_to_give_up_is_told_how_to_go_on_and_not_to_make_another(server: Server, tmp_path: Path) -> None:
    server.breaks, server.away = {2}, 100

    given_up = run("upload", *files(tmp_path), *URL)

    assert given_up.exit_code == 1
    assert f"--resume {made(given_up)} in place of --define" in given_up.output
    assert "run the same command again" not in given_up.output
    assert "Redis" not in given_up.output


def test_one_that_was_given_up_is_resumed(server: Server, tmp_path: Path) -> None:
    server.breaks = set(range(2, 20))
    given_up = run("upload", *files(tmp_path), *URL)
    assert (given_up.exit_code, "--resume" in given_up.output) == (1, True)
    server.breaks = set()

    resumed = run("upload", str(tmp_path / "people.csv"), "--resume", made(given_up), *URL)

    assert "1,001 rows, 1 of them rejected." in resumed.output


def test_what_the_api_refuses_is_told_with_its_field(server: Server, tmp_path: Path) -> None:
    arguments = files(tmp_path)
    (tmp_path / "campaign.json").write_bytes(orjson.dumps(DEFINITION | {"notification": {"type": "fax"}}))

    refused = run("upload", *arguments, *URL)

    assert refused.exit_code == 1
    assert "/notification/type: must be one of" in refused.output


def test_without_a_key_or_with_a_file_of_another_kind_it_says_what_it_needs(server: Server, tmp_path: Path) -> None:
    assert "WAVECOM_API_KEY" in run("list", *URL, key=None).output
    (tmp_path / "people.xlsx").touch()
    assert ".csv" in run("upload", str(tmp_path / "people.xlsx"), "--resume", "x", *URL).output
