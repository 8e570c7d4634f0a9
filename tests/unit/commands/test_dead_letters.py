"""``wavecom dead-letters`` over memory: what it shows, what it does, and what it says."""

from __future__ import annotations

import json
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from tests.dead_letter_environment import DeadLetterEnvironment, foreign_message
from tests.factories import NOW, later
from tests.operator_services import operator_services_with
from wavecom.commands.dead_letters import dead_letters as command
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState
from wavecom.core.job import JobError
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


@pytest.fixture
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment()


class Wavecom(Protocol):
    """``wavecom dead-letters`` with these arguments."""

    def __call__(self, *arguments: str) -> Result: ...


@pytest.fixture
def wavecom(environment: DeadLetterEnvironment) -> Wavecom:
    services = operator_services_with(
        clock=environment.clock,
        jobs=environment.jobs,
        dead_letters=environment.dead_letters,
        foreign_messages=environment.foreign_messages,
        reconciliation=environment.reconciliation,
    )

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(command, list(arguments), obj=services)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_the_list_masks_recipients(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    [job] = environment.dead(1, to={"phone": "+12025550143"})

    shown = wavecom("list")

    assert (shown.exit_code, job.job_id in shown.stdout, "0143" in shown.stdout) == (0, True, False)
    assert "1 in all." in shown.stdout


def test_the_json_list_is_one_object_a_line_the_newest_first(
    environment: DeadLetterEnvironment, wavecom: Wavecom
) -> None:
    jobs = environment.dead(3)

    lines = [json.loads(line) for line in wavecom("list", "--json", "--limit", "2").stdout.splitlines()]

    assert [line["jobId"] for line in lines] == [jobs[2].job_id, jobs[1].job_id]
    assert lines[0]["error"]["code"] == "rejected"
    assert lines[0]["to"] == "+12…43"
    assert "metadata" not in lines[0]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--error-code", "rejected"], 2),
        (["--provider", "mail"], 1),
        (["--type", "email"], 1),
        (["--since", "30m"], 1),
        (["--until", NOW.isoformat()], 0),
        (["--since", "2026-03-14T09:26:53.589", "--client", "acme"], 3),
        (["--until", "30m", "--error-code", "rejected"], 2),
    ],
)
def test_the_list_takes_every_filter(
    environment: DeadLetterEnvironment, wavecom: Wavecom, arguments: list[str], count: int
) -> None:
    environment.dead(2)
    environment.dead(
        1, type=Channel.EMAIL, finished_at=later(3000), error=JobError("outcome_unknown", "timeout", "mail")
    )

    assert len(wavecom("list", "--json", *arguments).stdout.splitlines()) == count


def test_show_hides_personal_data_until_asked(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    [job] = environment.dead(1, payload={"text": "Your one-time password is 493817"})

    hidden = wavecom("show", job.job_id)
    revealed = wavecom("show", job.job_id, "--reveal", "--operator", "ada")

    assert "accepted" in hidden.stdout
    assert "493817" not in hidden.stdout
    assert "+12025550143" not in hidden.stdout
    assert "493817" in revealed.stdout
    assert "+12025550143" in revealed.stdout
    assert (environment.audit.only().action, environment.audit.only().operator) == (AuditAction.REVEAL, "ada")


def test_a_job_that_nobody_knows_is_said_in_words(wavecom: Wavecom) -> None:
    result = wavecom("show", "no-such-job")

    assert (result.exit_code, "There is no notification no-such-job" in result.stderr) == (1, True)


def test_replay_says_what_it_did_and_takes_the_dead_letters_out_of_the_queue(
    environment: DeadLetterEnvironment, wavecom: Wavecom
) -> None:
    environment.dead(3)

    result = wavecom("replay", "--rate", "1000")

    assert (result.exit_code, environment.queue.content, len(environment.published())) == (0, [], 3)
    assert "3 replayed. Audit entry run-1." in result.stdout


def test_a_dry_run_counts_by_error_and_provider(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    environment.dead(3)
    before = environment.everything()

    result = wavecom("discard", "--dry-run")

    assert "3 would be discarded" in result.stdout
    assert "rejected" in result.stdout
    assert "sandbox" in result.stdout
    assert environment.everything() == before


def test_unknown_ids_end_with_an_error(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    [job] = environment.dead()

    result = wavecom("replay", job.job_id, "nobody")

    assert (result.exit_code, environment.status(job)) == (1, Status.QUEUED)
    assert "1 job id unknown" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["list", "x", "--client", "acme"], ["discard", "--raw", "x"], ["list", "--since", "soon"]]
)
def test_contradictions_are_refused(wavecom: Wavecom, arguments: list[str]) -> None:
    assert wavecom(*arguments).exit_code == 2


def test_a_store_that_is_away_is_said_in_words(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    environment.dead()
    environment.audit.is_away = True

    result = wavecom("replay")

    assert result.exit_code == 1
    assert "Check MONGODB_URI" in result.stderr
    assert "Traceback" not in result.output


def test_a_broker_that_is_away_does_not_stop_a_replay(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    [job] = environment.dead()
    environment.queue.is_up = False

    result = wavecom("replay")

    assert (result.exit_code, environment.status(job)) == (0, Status.QUEUED)
    assert "the sweep publishes them" in result.stdout
    assert "by themselves when it is back" in result.stderr


def test_raw_messages_are_shown_so_that_a_terminal_does_nothing_with_them(
    environment: DeadLetterEnvironment, wavecom: Wavecom
) -> None:
    environment.dead(1)
    environment.queue.content.append(foreign_message(head=b"\x1b[2Jhello\n\xff[red]"))

    result = wavecom("list", "--raw")

    assert "\\x1b[2Jhello\\x0a\\xff[red]" in result.stdout
    assert "1 in all." in result.stdout


def test_raw_messages_are_dropped(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    [job] = environment.dead()
    environment.queue.content.append(foreign_message())

    result = wavecom("discard", "--raw")

    assert "1 dropped." in result.stdout
    assert environment.queue.ids() == [job.job_id]


def test_an_interrupted_replay_is_resumed_by_its_audit_entry(
    environment: DeadLetterEnvironment, wavecom: Wavecom
) -> None:
    environment.dead(4)

    def interrupt(operation: BulkOperation) -> None:
        if operation.done == 2 and operation.state is BulkOperationState.RUNNING:
            environment.audit.on_record = lambda _operation: None
            raise KeyboardInterrupt

    environment.audit.on_record = interrupt
    interrupted = wavecom("replay", "--rate", "5")
    resumed = wavecom("resume", "run-1", "--rate", "1000", "--operator", "bob")

    assert (interrupted.exit_code, resumed.exit_code) == (130, 0)
    assert "2 replayed. Audit entry run-2." in resumed.stdout
    assert len(environment.published()) == 4
    assert (environment.audit.operations["run-2"].operator, environment.queue.content) == ("bob", [])


def test_what_cannot_be_resumed_is_said_in_words(environment: DeadLetterEnvironment, wavecom: Wavecom) -> None:
    environment.dead(1)
    wavecom("discard", "--dry-run")

    dry, unknown = wavecom("resume", "run-1"), wavecom("resume", "run-7")

    assert (dry.exit_code, "was a dry run" in dry.stderr) == (1, True)
    assert (unknown.exit_code, "no audit entry of a replay or discard" in unknown.stderr) == (1, True)
