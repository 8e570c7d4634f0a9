"""Replay, discard and resume on real servers, by the command: what is written, what leaves the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.integration.dead_letters.servers import EVERYTHING, FAST, DeadLetterServers
from tests.waiting import wait_until
from wavecom.commands.dead_letters import dead_letters as command
from wavecom.core.bulk_operations import BulkOperation, BulkOptions
from wavecom.core.job import JobError
from wavecom.core.states import Status


def test_a_replay_publishes_messages_and_its_dead_letters_leave_the_queue(servers: DeadLetterServers) -> None:
    jobs = servers.dead(20)
    [other] = servers.dead(1, error=JobError("outcome_unknown", "timeout", "mail"))

    result = CliRunner().invoke(
        command, ["replay", "--error-code", "rejected", "--rate", "1000", "--operator", "ada"], obj=servers.services
    )

    assert result.exit_code == 0, result.output
    replayed = [servers.jobs.get(job.job_id) for job in jobs]
    assert {(job.status, job.replays, job.logs[-1].event) for job in replayed if job} == {
        (Status.QUEUED, 1, "replayed")
    }
    assert (servers.published(), servers.ids()) == (20, [other.job_id])
    [entry] = servers.database["audit"].find()
    assert {name: entry[name] for name in ("action", "operator", "state", "filters", "dryRun", "done")} == {
        "action": "replay",
        "operator": "ada",
        "state": "finished",
        "filters": {"error_code": "rejected"},
        "dryRun": False,
        "done": 20,
    }
    assert (entry["firstJobId"], entry["lastJobId"]) == (jobs[0].job_id, jobs[-1].job_id)
    assert entry["reasons"] == [{"code": "rejected", "provider": "sandbox", "count": 20}]


def test_a_discarded_job_has_no_dead_letter_and_can_still_be_replayed_by_its_id(servers: DeadLetterServers) -> None:
    job, _ = servers.dead(2)

    discarded = CliRunner().invoke(command, ["discard", job.job_id], obj=servers.services)
    again = CliRunner().invoke(command, ["discard", job.job_id], obj=servers.services)
    depth = len(servers.queued())
    replayed = CliRunner().invoke(command, ["replay", job.job_id], obj=servers.services)

    assert "1 discarded." in discarded.output
    assert "0 discarded, 1 were done already" in again.output
    assert "1 replayed." in replayed.output
    assert depth == 1
    stored = servers.jobs.get(job.job_id)
    assert stored is not None
    assert [entry.event for entry in stored.logs] == ["accepted", "discarded", "replayed"]


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_changes_nothing(servers: DeadLetterServers, action: str) -> None:
    servers.dead(5)
    servers.foreign_messages(b"x")
    before = servers.everything()

    result = CliRunner().invoke(command, [action, "--dry-run"], obj=servers.services)
    raw = CliRunner().invoke(command, ["discard", "--raw", "--dry-run"], obj=servers.services)

    assert "5 would be" in result.output
    assert "1 would be dropped" in raw.output
    assert servers.everything() == before
    assert servers.database["audit"].count_documents({"dryRun": True}) == 2


def test_raw_messages_are_dropped_and_dead_letters_stay(servers: DeadLetterServers) -> None:
    jobs = servers.dead(3)
    servers.foreign_messages(b"one", b"two")

    listed = CliRunner().invoke(command, ["list", "--raw"], obj=servers.services)
    dropped = CliRunner().invoke(command, ["discard", "--raw"], obj=servers.services)

    assert "2 in all." in listed.output
    assert "2 dropped." in dropped.output
    assert servers.ids() == [job.job_id for job in jobs]


def start_and_kill(servers: DeadLetterServers, action: str) -> None:
    """A command that is killed when it has moved some jobs."""
    variables = {**os.environ, "AMQP_URL": servers.amqp_url, "MONGODB_URI": servers.mongodb_uri}
    first = subprocess.Popen(
        [sys.executable, "-m", "wavecom.cli", "dead-letters", action, "--yes", "--rate", "5"],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: servers.database["jobs"].count_documents({"deadLetteredAt": {"$exists": False}}) >= 3)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait(10)


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_command_killed_in_the_middle_is_finished_by_running_it_again(
    servers: DeadLetterServers, action: str
) -> None:
    jobs = servers.dead(30)
    start_and_kill(servers, action)

    second = getattr(servers.services.dead_letters, action)(EVERYTHING, FAST)
    servers.services.reconciliation.run()

    assert 0 < second.done < 30
    stored = [servers.jobs.get(job.job_id) for job in jobs]
    done = {"replay": "replayed", "discard": "discarded"}[action]
    assert {tuple(entry.event for entry in job.logs) for job in stored if job} == {("accepted", done)}
    assert servers.queued() == []
    states = {entry["state"]: entry["done"] for entry in servers.database["audit"].find()}
    assert set(states) == {"running", "finished"}
    # Its last batch may be written and not counted yet.
    assert 30 - second.done - states["running"] in {0, 1}


def test_a_command_that_was_killed_is_resumed_by_its_audit_entry(servers: DeadLetterServers) -> None:
    jobs = servers.dead(30)
    start_and_kill(servers, "replay")
    [first] = servers.database["audit"].find()
    assert first["state"] == "running"

    resumed = CliRunner().invoke(command, ["resume", first["_id"], "--rate", "1000"], obj=servers.services)

    assert resumed.exit_code == 0, resumed.output
    stored = [servers.jobs.get(job.job_id) for job in jobs]
    assert [job.replays for job in stored if job] == [1] * 30
    # The one that was written when the process was killed may be unpublished: the sweep publishes it when it is due.
    assert servers.published() in {29, 30}
    assert servers.queued() == []
    second = servers.database["audit"].find_one({"resumes": first["_id"]})
    assert second is not None
    assert (second["state"], second["asOf"]) == ("finished", first["startedAt"])
    # Its last batch may be written and not counted yet.
    assert 30 - second["done"] - first["done"] in {0, 1}


def test_two_operators_at_once_replay_each_job_once(servers: DeadLetterServers) -> None:
    jobs = servers.dead(40)
    second = servers.new_services()
    others: list[BulkOperation] = []

    def meanwhile(_run: BulkOperation) -> None:
        if not others:
            others.append(second.dead_letters.replay(EVERYTHING, FAST))

    try:
        first = servers.services.dead_letters.replay(
            EVERYTHING, BulkOptions(operator="ada", rate_per_second=50), meanwhile
        )
    finally:
        second.close()

    assert first.done + others[0].done == 40
    stored = [servers.jobs.get(job.job_id) for job in jobs]
    assert [job.replays for job in stored if job] == [1] * 40
    assert servers.published() == 40
