"""Finding the jobs that receipts are about: by our ids, and by the provider's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pymongo import MongoClient, monitoring
from pymongo.database import Database

from tests.factories import later, make_job, make_job_id
from wavecom.core.job import Job, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.ports import JobRepository
from wavecom.core.states import Status
from wavecom.storage.mongo.jobs import MongoJobRepository


def test_jobs_are_found_by_their_ids_with_logs_and_without_payloads(jobs: JobRepository) -> None:
    first, second = make_job(), make_job(status=Status.SENT, provider_message_id="m-1")
    jobs.insert([first, second])

    found = jobs.by_ids([second.job_id, make_job_id(), first.job_id])

    assert found == {job.job_id: replace(job, payload={}) for job in (first, second)}


def test_jobs_are_found_by_the_providers_name_for_their_message(jobs: JobRepository) -> None:
    wanted = [make_job(status=Status.SENT, provider="twilio", provider_message_id=f"SM{n}") for n in range(3)]
    other = make_job(status=Status.SENT, provider="vonage", provider_message_id="SM0")
    jobs.insert([*wanted, other, make_job()])

    found = jobs.by_message_ids("twilio", ["SM0", "SM2", "SM9"])

    assert found == {"SM0": replace(wanted[0], payload={}), "SM2": replace(wanted[2], payload={})}
    assert jobs.by_message_ids("vonage", ["SM0"])["SM0"].job_id == other.job_id
    assert jobs.by_message_ids("mailgun", ["SM0"]) == {}


def test_it_is_known_which_accounts_have_sent_to_a_recipient(jobs: JobRepository) -> None:
    for client in ("acme", "acme", "bank", "acme:test"):
        jobs.insert([_text_message(client)])
    jobs.insert([_text_message("shop", provider="vonage"), _text_message("other", to={"phone": "+12025550199"})])
    jobs.insert([make_job(client="mailer", type=Channel.EMAIL, provider="twilio", to={"email": "amina@example.com"})])

    assert jobs.accounts_that_sent("twilio", Channel.SMS, "+12025550143") == {"acme", "bank", "acme:test"}
    assert jobs.accounts_that_sent("twilio", Channel.EMAIL, "Amina@example.com") == {"mailer"}
    assert jobs.accounts_that_sent("mailgun", Channel.SMS, "+12025550143") == frozenset()


def _text_message(client: str, **overrides: Any) -> Job:
    fields = {"type": Channel.SMS, "to": {"phone": "+12025550143"}, "provider": "twilio", "status": Status.SENT}
    return make_job(client=client, **fields | overrides)


def test_a_receipt_is_known_again_by_the_log(jobs: JobRepository) -> None:
    entry = LogEntry(
        make_job().created_at, "receipt", provider="twilio", receipt_id="SM1:delivered", happened_at=later(5)
    )
    job = make_job(logs=(entry,))
    jobs.insert([job])

    [found] = jobs.by_ids([job.job_id]).values()

    assert found.logs == (entry,)


def test_every_one_of_many_is_found_by_the_providers_name(jobs: JobRepository) -> None:
    many = [make_job(status=Status.SENT, provider="twilio", provider_message_id=f"SM{n}") for n in range(300)]
    jobs.insert(many)

    found = jobs.by_message_ids("twilio", [f"SM{n}" for n in range(300)])

    assert {name: job.job_id for name, job in found.items()} == {f"SM{n}": job.job_id for n, job in enumerate(many)}


class FindCommands(monitoring.CommandListener):
    """The read concern of each ``find`` of a client."""

    def __init__(self) -> None:
        self.concerns: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.concerns.append(event.command.get("readConcern"))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        return None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        return None


def test_what_receipts_are_answered_by_can_not_be_rolled_back(
    indexed_database: Database[dict[str, Any]], mongodb_uri: str
) -> None:
    commands = FindCommands()
    with MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[commands]) as client:
        jobs = MongoJobRepository(client[indexed_database.name]["jobs"])
        job = make_job(status=Status.SENT, provider="twilio", provider_message_id="SM1")
        jobs.insert([job])
        jobs.get(job.job_id)
        commands.concerns.clear()

        by_id, by_name = jobs.by_ids([job.job_id]), jobs.by_message_ids("twilio", ["SM1"])

    assert (list(by_id), list(by_name)) == ([job.job_id], ["SM1"])
    assert commands.concerns == [{"level": "majority"}] * 2
