"""``wavecom restore``: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.factories import NOW, later, make_job, make_job_id
from tests.recovery_environment import RestoredInstallation
from wavecom.commands.restore import restore
from wavecom.core.states import Status
from wavecom.core.store_guard import RememberedBeat
from wavecom.services.store_recovery import RecoveryServices


@pytest.fixture
def installation() -> RestoredInstallation:
    return RestoredInstallation()


def run(installation: RestoredInstallation, *arguments: str) -> Result:
    services = RecoveryServices(recovery=installation.recovery, clock=installation.clock)
    return CliRunner().invoke(restore, ["--operator", "ada@ops", *arguments], obj=services)


def test_it_says_of_when_the_copy_is_what_was_put_aside_and_what_to_do_next(
    installation: RestoredInstallation,
) -> None:
    job, unsent = make_job(), make_job_id(later(minutes=20))
    installation.put(job)
    installation.queues.waiting = [unsent]
    installation.answers.kept = {"a": unsent, "b": make_job_id(later(minutes=21))}

    result = run(installation)

    assert result.exit_code == 0
    assert f"copy is of {NOW:%Y-%m-%d %H:%M:%S} UTC" in result.output
    assert f"until {later(hours=1):%Y-%m-%d %H:%M:%S} is lost" in result.output
    assert "1 notification put aside as unconfirmed" in result.output
    assert "2 notifications that RabbitMQ or Redis know of are lost; 1 of them were not sent" in result.output
    assert "1 answer to repeated requests forgotten, 1 left" in result.output
    assert "wavecom unconfirmed list" in result.output
    assert unsent in result.output
    assert installation.status_of(job) is Status.UNCONFIRMED


def test_a_dry_run_says_what_would_be_done_and_does_nothing(installation: RestoredInstallation) -> None:
    job = make_job()
    installation.put(job)

    result = run(installation, "--dry-run")

    assert result.exit_code == 0
    assert "1 notification would be put aside" in result.output
    assert "Nothing was changed" in result.output
    assert installation.status_of(job) is Status.QUEUED


def test_what_is_lost_is_written_a_line_each(installation: RestoredInstallation, tmp_path: Path) -> None:
    unsent, perhaps = make_job_id(later(minutes=20)), make_job_id(later(minutes=21))
    installation.queues.waiting = [unsent]
    installation.answers.kept = {"b": perhaps}

    result = run(installation, "--lost", str(tmp_path / "lost.jsonl"), "--json")

    lines = [json.loads(line) for line in (tmp_path / "lost.jsonl").read_text().splitlines()]
    assert [(line["jobId"], line["isUnsent"]) for line in lines] == [(unsent, True), (perhaps, False)]
    assert lines[0]["acceptedAt"].startswith(f"{later(minutes=20):%Y-%m-%dT%H:%M:%S}")
    summary = json.loads(result.output)
    assert (summary["lost"], summary["lostUnsent"], summary["held"]) == (2, 1, 0)


def test_a_store_that_is_not_older_is_no_error(installation: RestoredInstallation) -> None:
    installation.memory.latest_by_store["store"] = RememberedBeat(10, NOW)

    result = run(installation)

    assert result.exit_code == 0
    assert "nothing to do" in result.output
    assert "--copied-at" in result.output


def test_of_a_store_that_nothing_remembers_the_operator_says_when_it_was_copied(
    installation: RestoredInstallation,
) -> None:
    installation.memory.latest_by_store.clear()
    job = make_job()
    installation.put(job)

    result = run(installation, "--copied-at", NOW.isoformat())

    assert result.exit_code == 0
    assert "until an unknown time is lost" in result.output
    assert installation.status_of(job) is Status.UNCONFIRMED


def test_while_workers_run_it_says_to_stop_them(installation: RestoredInstallation) -> None:
    installation.queues.consumers = 1

    result = run(installation)

    assert result.exit_code == 1
    assert "stop worker and worker-high first" in result.output


def test_a_server_that_is_away_is_told_in_words(installation: RestoredInstallation) -> None:
    installation.memory.is_away = True

    result = run(installation)

    assert result.exit_code == 1
    assert "Check REDIS_URL" in result.output


def test_answers_are_all_forgotten_where_that_is_asked_for(installation: RestoredInstallation) -> None:
    installation.answers.kept = {"b": make_job_id(later(minutes=21))}

    result = run(installation, "--forget-all-answers")

    assert "1 answer to repeated requests forgotten, 0 left" in result.output
    assert installation.answers.kept == {}
