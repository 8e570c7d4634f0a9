"""``wavecom doctor`` where nothing answers: exit codes, JSON, and no secret in anything that it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wavecom.cli import main

NOWHERE = {
    "MONGODB_URI": "mongodb://mongouser:hunter2@127.0.0.1:1/wavecom",
    "AMQP_URL": "amqp://rabbituser:hunter2@127.0.0.1:1/v",
    "REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
    "WAVECOM_RABBITMQ_API_URL": "http://monitor:hunter2@127.0.0.1:1/api/",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    tmp_path.chmod(0o700)
    return {"WAVECOM_HOME": str(tmp_path), "WAVECOM_METRICS_PORT": "9100", **NOWHERE}


def doctor(environment: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *words], env=environment)


def test_settings_that_cannot_be_used_are_results_too(environment: dict[str, str]) -> None:
    done = doctor({**environment, "WAVECOM_PORT": "http", "WAVECOM_WORKERS": "0"}, "--json")

    lines = list(map(json.loads, done.output.splitlines()))
    assert done.exit_code == 1
    assert {(line["check"], line["subject"], line["severity"]) for line in lines} == {
        ("settings", "WAVECOM_PORT", "error"),
        ("settings", "WAVECOM_WORKERS", "error"),
    }


def test_settings_that_cannot_be_used_have_no_other_remedy_than_what_is_said_of_them(
    environment: dict[str, str],
) -> None:
    done = doctor({**environment, "WAVECOM_RECEIPT_SLOW_SECONDS": "1200"}, "--json")

    [line] = map(json.loads, done.output.splitlines())
    assert line["subject"] == "WAVECOM_RECEIPT_WINDOW_SECONDS"
    assert "WAVECOM_RECEIPT_SLOW_SECONDS" in line["text"]
    assert line["remedy"] == ""


def test_a_password_that_is_not_escaped_is_told_of_and_not_shown(environment: dict[str, str]) -> None:
    done = doctor({**environment, "REDIS_URL": "redis://user:hunter#2@host"}, "--json")

    [line] = map(json.loads, done.output.splitlines())
    assert line["subject"] == "REDIS_URL"
    assert "%-escapes" in line["text"]
    assert "hunter" not in done.output + done.stderr


def test_servers_that_are_away_hide_nothing_and_nothing_secret_is_shown(environment: dict[str, str]) -> None:
    done = doctor(environment, "--json", "redis", "rabbitmq", "queues", "settings", "providers", "deliveries", "disk")

    worst = {(line["check"], line["severity"]) for line in map(json.loads, done.output.splitlines())}
    assert done.exit_code == 1
    assert worst >= {
        ("settings", "ok"),
        ("redis", "error"),
        ("rabbitmq", "error"),
        ("queues", "error"),
        ("deliveries", "warning"),
        ("providers", "warning"),
        ("disk", "ok"),
    }
    for secret in ("hunter2", "rabbituser", "mongouser"):
        assert secret not in done.output


def test_what_is_well_is_shown_when_asked_for_and_warnings_alone_end_with_0(environment: dict[str, str]) -> None:
    usual = doctor({**environment, "WAVECOM_PROT": "1"}, "settings")
    everything = doctor({**environment, "WAVECOM_PROT": "1"}, "settings", "--all")

    assert (usual.exit_code, everything.exit_code) == (0, 0)
    assert "WAVECOM_PROT" in usual.output
    assert "every setting can be used" not in usual.output
    assert "every setting can be used" in everything.output
    assert "2 looked at: 1 well, 1 warnings, 0 errors." in usual.output


def test_a_check_that_there_is_not_is_asked_for_wrongly(environment: dict[str, str]) -> None:
    assert doctor(environment, "weather").exit_code == 2
