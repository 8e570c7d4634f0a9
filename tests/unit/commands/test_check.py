"""``wavecom check``: what it says of a providers file, right or wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wavecom.cli import main

GOOD = """
[providers.gateway]
type = "http"
url = "https://user:pa55@gateway.example:8443/send/t0ken?key=s3cret"
headers = { Authorization = "Bearer ${TOKEN}" }
rate_per_second = 200

[providers.mail]
type = "smtp"
host = "mail.example"
sender = "bank@example.com"

[providers.box]
type = "sandbox"

[providers.spare]
type = "sandbox"

[routes]
email = ["mail", { provider = "gateway", weight = 90 }, { provider = "box", weight = 10 }]
push = ["gateway"]
"""


def check(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)], env=environment)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "providers.toml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_said_to_serve_what_by_whom(file: Path) -> None:
    result = check(file, TOKEN="s3cret")

    words = " ".join(result.output.split())
    assert result.exit_code == 0
    assert "email all mail, else gateway 90% or box 10%" in words
    assert "sms all nobody: sending it is refused (422 channel_not_served)" in words
    assert "push all gateway" in words
    assert "gateway http https://gateway.example:8443 email, sms, push 10 s 200 a second" in words
    assert "mail smtp mail.example:587 email" in words
    assert "no route names the provider spare" in words
    assert "the sandbox box (email) reaches nobody" in words
    assert "restart the workers" in words


def test_no_secret_is_shown(file: Path) -> None:
    output = check(file, TOKEN="s3cret").output

    assert not [word for word in ("s3cret", "pa55", "t0ken") if word in output]


def test_every_mistake_of_a_wrong_file_is_named_by_line(file: Path) -> None:
    file.write_text(GOOD.replace("rate_per_second", "rate").replace('push = ["gateway"]', 'push = ["gate"]'))

    result = check(file, TOKEN="")

    assert result.exit_code == 2
    assert "providers.toml:5: providers.gateway.headers.Authorization: the environment variable TOKEN is not set" in (
        result.output
    )
    assert "providers.toml:6: providers.gateway.rate: is not known here" in result.output
    assert 'providers.toml:21: routes.push: there is no provider "gate"' in result.output


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    result = check(tmp_path / "none.toml")

    assert result.exit_code == 2
    assert "none.toml: can't be read: No such file" in result.output


def test_without_a_name_it_is_the_one_of_the_environment(file: Path) -> None:
    assert f"{file} can be used." in check(TOKEN="t", WAVECOM_PROVIDERS=str(file)).output
    assert "the sandbox takes every channel" in check(WAVECOM_PROVIDERS="").output


def test_it_is_listed_and_explains_itself() -> None:
    assert "check" in CliRunner().invoke(main, ["--help"]).output
    assert "Exit code" in check("--help").output
