"""Services of operators' commands, and of the reconciliation of dead letters."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wavecom.accounts import KeyAdministration
from wavecom.accounts.sessions import Sessions
from wavecom.accounts.users import Users
from wavecom.broker import topology
from wavecom.broker.dead_letter_queue import AmqpDeadLetterQueue
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.audit import AuditReader
from wavecom.core.callback_administration import CallbackAdministration
from wavecom.core.dead_letter_operations import DeadLetters
from wavecom.core.fallback_following import FallbackObserver
from wavecom.core.foreign_messages import ForeignMessages
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.reconciliation import Reconciliation
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.transition_writer import TransitionWriter
from wavecom.internals import fast_paths
from wavecom.services.callback_administration import callback_administration_of
from wavecom.services.shared import (
    ClosableServices,
    bulk_runner_of,
    dead_letters_of,
    new_key_id,
    policy_of,
    sessions_of,
    users_of,
)
from wavecom.services.suppressions import suppressions_of
from wavecom.services.templates import templates_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.client import connect as connect_mongo
from wavecom.storage.mongo.client import default_database
from wavecom.storage.mongo.dead_letters import MongoDeadLetterRepository
from wavecom.storage.mongo.fallbacks import MongoFallbackStore
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.keys import MongoKeyStore
from wavecom.storage.mongo.stats import MongoStats


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorServices(ClosableServices):
    """What the commands of people who run WaveCom work with, and the reconciliation of dead letters."""

    clock: Clock
    jobs: JobRepository
    dead_letters: DeadLetters
    foreign_messages: ForeignMessages
    keys: KeyAdministration
    sessions: Sessions
    users: Users
    audit: AuditReader
    reconciliation: Reconciliation
    suppressions: SuppressionList
    callbacks: CallbackAdministration
    templates: TemplateAdministration


def operator_services(settings: Settings) -> OperatorServices:
    """Services of an operator's command, or of the reconciliation. Connects when first used."""
    policy = policy_of(settings)
    client = connect_mongo(settings.mongodb_uri, pool_size=4)
    database = default_database(client)
    jobs = MongoJobRepository(database["jobs"], message_grace=policy.message_grace)
    clock = StoreClock(jobs.now).start()
    stats = MongoStats(database, now=clock.now)
    fast_paths.switch(is_on=settings.fast_paths)
    publisher = AmqpPublisher(settings.amqp, origin=settings.worker_name)
    writer = TransitionWriter(
        jobs=jobs,
        publisher=publisher,
        stats=stats,
        clock=clock,
        policy=policy,
        move_observers=[FallbackObserver(MongoFallbackStore(database))],
    )
    sessions = sessions_of(settings, database, clock)
    dead_letter_queue = AmqpDeadLetterQueue(settings.amqp, origin=settings.worker_name)
    return OperatorServices(
        clock=clock,
        jobs=jobs,
        dead_letters=dead_letters_of(settings, database, jobs, writer, clock),
        foreign_messages=ForeignMessages(
            queue=dead_letter_queue, runner=bulk_runner_of(database, clock), clock=clock, sleep=time.sleep
        ),
        keys=KeyAdministration(
            store=MongoKeyStore(database),
            audit=MongoAuditLog(database),
            clock=clock,
            new_id=new_key_id,
            on_ended=sessions.end_with_key,
        ),
        sessions=sessions,
        users=users_of(settings, database, clock),
        audit=MongoAuditLog(database),
        reconciliation=Reconciliation(
            repository=MongoDeadLetterRepository(database),
            queue=dead_letter_queue,
            depth=lambda: publisher.depth(topology.DEAD_QUEUE),
            publisher=publisher,
            clock=clock,
            sleep=time.sleep,
        ),
        suppressions=suppressions_of(database, clock),
        callbacks=callback_administration_of(settings, database, clock),
        templates=templates_of(settings, database, clock)[1],
        close_callbacks=[stats.close, publisher.close, clock.close, client.close],
    )
