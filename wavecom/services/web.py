"""Services of a web process: the API and the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pymongo.database import Database

from wavecom import __version__
from wavecom.accounts import KeyAdministration, KeyRing
from wavecom.accounts.sessions import Sessions
from wavecom.accounts.sign_on import SignOn
from wavecom.accounts.users import Users
from wavecom.broker.background import BackgroundPublisher
from wavecom.broker.delivery_queues import REFRESH_SECONDS as LAYOUT_SECONDS
from wavecom.broker.publisher import RECHECK_SECONDS, AmqpPublisher
from wavecom.core.acceptance import Acceptance
from wavecom.core.audit import AuditReader
from wavecom.core.background_operations import BackgroundOperations
from wavecom.core.bulk_cancellation import BulkCancellation
from wavecom.core.bulk_operations import StopRequests
from wavecom.core.callback_administration import CallbackAdministration
from wavecom.core.campaigns.administration import CampaignAdministration
from wavecom.core.campaigns.uploading import CampaignUploads
from wavecom.core.client_events import FOLLOW_SECONDS, EventAccounts
from wavecom.core.dead_letter_operations import DeadLetters
from wavecom.core.event_reading import EventReader
from wavecom.core.fallback_acceptance import Fallbacks
from wavecom.core.fallback_following import FallbackObserver
from wavecom.core.keys import KeyRecord
from wavecom.core.measurements import MeasurementStore
from wavecom.core.operations import Operations
from wavecom.core.overview import Overview
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.prices import SegmentPrices
from wavecom.core.provider_administration import ProviderAdministration
from wavecom.core.receipt_counts import ReceiptCounter
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.stats import Stats
from wavecom.core.store_guard import finds_older
from wavecom.core.submission import Submission
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.rendering import TemplateRenderer
from wavecom.core.transition_writer import TransitionWriter
from wavecom.core.unsubscribe import UnsubscribeLinks
from wavecom.core.uploads import Uploads
from wavecom.internals import fast_paths
from wavecom.periodic import Periodic
from wavecom.readiness import broker_check, deliveries_check, redis_check
from wavecom.services.acceptance import help_answers_of, quotas_of, submission_of
from wavecom.services.callback_administration import callback_administration_of
from wavecom.services.campaigns import campaigns_of
from wavecom.services.fallbacks import fallbacks_of
from wavecom.services.overview import OverviewReader
from wavecom.services.receipts import ReceiptServices, processor_of, receipt_services, receiving_providers
from wavecom.services.recipients import recipients_of
from wavecom.services.shared import (
    ClosableServices,
    cancellation_of,
    dead_letters_of,
    delivery_queues_of,
    new_key_id,
    policy_of,
    progress_of,
    provider_administration_of,
    segment_prices_of,
    sessions_of,
    users_of,
    usual_limits,
)
from wavecom.services.sign_on import sign_on_of
from wavecom.services.store_preparation import StorePreparation
from wavecom.services.suppressions import suppressions_of, unsubscribe_links_of
from wavecom.services.templates import templates_of
from wavecom.services.traces import tracing_of
from wavecom.services.uploads import uploads_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.client_events import MongoEventAccountStore, MongoEventLog
from wavecom.storage.mongo.fallbacks import MongoFallbackStore
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.keys import MongoKeyStore
from wavecom.storage.mongo.measurements import MongoMeasurementStore
from wavecom.storage.mongo.outbox import MongoOutbox
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.mongo.stop_requests import MongoStopRequests
from wavecom.storage.mongo.store_heartbeat import MongoStoreHeartbeat
from wavecom.storage.redis.client import connect as connect_redis
from wavecom.storage.redis.heartbeat_memory import RedisHeartbeatMemory
from wavecom.storage.redis.receipt_counts import RedisReceiptCounter

Check = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices(ClosableServices):
    """What the web app works with: the API and the pages share every one of them."""

    settings: Settings
    clock: Clock
    jobs: JobRepository
    submission: Submission
    operations: Operations
    dead_letters: DeadLetters
    cancellation: BulkCancellation
    stats: Stats
    keys: KeyRing
    acceptance: Acceptance
    fallbacks: Fallbacks
    key_administration: KeyAdministration
    sessions: Sessions
    users: Users
    #: None: no identity provider vouches for anybody.
    sign_on: SignOn | None
    outbox: MongoOutbox
    providers: ProviderAdministration
    suppressions: SuppressionList
    receipts: ReceiptServices
    events: EventReader
    callbacks: CallbackAdministration
    uploads: Uploads
    recipients: RecipientAdministration
    campaigns: CampaignAdministration
    campaign_uploads: CampaignUploads
    templates: TemplateRenderer
    template_administration: TemplateAdministration
    segment_prices: SegmentPrices
    audit: AuditReader
    measurements: MeasurementStore
    stop_requests: StopRequests
    background: BackgroundOperations
    receipt_counts: ReceiptCounter
    #: What is going on now; asks each server once, and never raises for one that is away.
    read_overview: Callable[[], Overview]
    #: None: nobody has said under which address recipients reach this deployment.
    unsubscribe_links: UnsubscribeLinks | None
    #: Name of a server of ours → raises ``UnavailableError`` unless it answers.
    checks: Mapping[str, Check]


def web_services(settings: Settings, database: Database[dict[str, Any]]) -> WebServices:
    """Services of one web process over the database that flask-pymongo supplies. To be called after the fork.

    Raises ``ProvidersFileError``.
    """
    fast_paths.switch(is_on=settings.fast_paths)
    queues = delivery_queues_of(settings, database)
    jobs = MongoJobRepository(
        database["jobs"], message_grace=policy_of(settings).message_grace, queues=lambda: queues.layout.lane_queues
    )
    clock = StoreClock(jobs.now).start()
    looking = [Periodic(queues.try_refresh, seconds=LAYOUT_SECONDS, name="queue-layout").start()]
    if queues.is_parted:
        queues.try_refresh()
    publisher = AmqpPublisher(settings.amqp, origin=settings.worker_name, queues=queues)
    rechecking = Periodic(publisher.recheck, seconds=RECHECK_SECONDS, name="broker-recheck").start()
    background = BackgroundPublisher(publisher)
    stats = MongoStats(database, now=clock.now)
    key_store = MongoKeyStore(database)
    keys = KeyRing(key_store, clock)
    redis_client = connect_redis(settings.redis_url)
    quotas = quotas_of(settings)

    event_account_store = MongoEventAccountStore(database)
    event_accounts = EventAccounts(event_account_store)
    following = Periodic(event_accounts.refresh, seconds=FOLLOW_SECONDS, name="event-accounts").start()

    def prepare() -> None:
        ensure_indexes(database)
        event_accounts.refresh()
        MongoAuditLog(database).record_release(__version__, clock.now())
        if settings.api_key is not None:
            keys.ensure_first_key(settings.api_key)

    preparation = StorePreparation(prepare)
    sessions = sessions_of(settings, database, clock)
    users = users_of(settings, database, clock)

    def on_key_ended(record: KeyRecord) -> None:
        keys.forget(record)
        sessions.end_with_key(record)

    def check_store() -> None:
        jobs.ping()
        preparation.check()

    tracing = tracing_of(settings, policy_of(settings), "web")
    writer = TransitionWriter(
        jobs=jobs,
        publisher=publisher,
        # Who sends does not wait for the broker's confirm.
        accepted_publisher=background,
        stats=stats,
        clock=clock,
        policy=policy_of(settings),
        observers=[] if tracing is None else [tracing.recorder],
        move_observers=[FallbackObserver(MongoFallbackStore(database))],
    )
    suppressions = suppressions_of(database, clock)
    unsubscribe_links = unsubscribe_links_of(settings)
    submission = submission_of(
        settings,
        database,
        jobs=jobs,
        writer=writer,
        clock=clock,
        quotas=quotas,
        unsubscribe_links=unsubscribe_links,
        event_accounts=event_accounts,
        traces=None if tracing is None else tracing.sampler,
    )
    receiving = receiving_providers(settings)
    receipt_counter = RedisReceiptCounter(redis_client)
    receipts = receipt_services(
        settings,
        receiving,
        database,
        processor_of(
            settings,
            database,
            receiving,
            jobs=jobs,
            writer=writer,
            suppressions=suppressions,
            counter=receipt_counter,
            clock=clock,
            help_answers=help_answers_of(settings, submission, clock),
        ),
    )
    uploads, named_files = uploads_of(settings, database, clock)
    recipients, preference_rules = recipients_of(database, suppressions, clock)
    acceptance = Acceptance(submission, quotas, usual_limits(settings), named_files, preference_rules)
    templates, template_administration = templates_of(settings, database, clock)
    campaigns, campaign_uploads = campaigns_of(settings, database, clock, template_administration)
    measurements = MongoMeasurementStore(database)
    stop_requests = MongoStopRequests(database)
    # With a connection of its own, made when the first page asks: publishing waits for no page.
    queue_reader = AmqpPublisher(settings.amqp, origin=settings.worker_name, queues=queues)
    overview = OverviewReader(
        stats=stats,
        measurements=measurements,
        queues=queues,
        look_at=queue_reader.look_at,
        redis_client=redis_client,
        clock=clock,
        home=settings.home,
    )
    return WebServices(
        settings=settings,
        clock=clock,
        jobs=jobs,
        submission=submission,
        operations=Operations(jobs=jobs, writer=writer, clock=clock, policy=policy_of(settings)),
        dead_letters=dead_letters_of(settings, database, jobs, writer, clock),
        cancellation=cancellation_of(settings, database, jobs, writer, clock),
        stats=stats,
        keys=keys,
        acceptance=acceptance,
        fallbacks=fallbacks_of(
            settings,
            database,
            jobs=jobs,
            writer=writer,
            acceptance=acceptance,
            submission=submission,
            clock=clock,
            event_accounts=event_accounts,
        ),
        key_administration=KeyAdministration(
            store=key_store,
            audit=MongoAuditLog(database),
            clock=clock,
            new_id=new_key_id,
            on_ended=on_key_ended,
            usual=usual_limits(settings),
        ),
        sessions=sessions,
        users=users,
        sign_on=sign_on_of(settings, users, clock),
        outbox=MongoOutbox(database),
        providers=provider_administration_of(settings, database, redis_client, clock),
        suppressions=suppressions,
        receipts=receipts,
        events=EventReader(log=MongoEventLog(database), accounts=event_account_store, clock=clock),
        callbacks=callback_administration_of(settings, database, clock),
        uploads=uploads,
        recipients=recipients,
        campaigns=campaigns,
        campaign_uploads=campaign_uploads,
        templates=templates,
        template_administration=template_administration,
        segment_prices=segment_prices_of(settings),
        audit=MongoAuditLog(database),
        measurements=measurements,
        stop_requests=stop_requests,
        background=BackgroundOperations(stop_requests),
        receipt_counts=receipt_counter,
        read_overview=overview.read,
        unsubscribe_links=unsubscribe_links,
        checks={
            "mongodb": check_store,
            "rabbitmq": broker_check(publisher),
            "redis": redis_check(redis_client),
            "deliveries": deliveries_check(
                progress_of(redis_client, clock),
                clock.now,
                partial(finds_older, MongoStoreHeartbeat(database), RedisHeartbeatMemory(redis_client)),
            ),
        },
        close_callbacks=[
            stats.close,
            background.close,
            rechecking.close,
            *(each.close for each in looking),
            following.close,
            publisher.close,
            queue_reader.close,
            clock.close,
            quotas.close,
            receipt_counter.close,
            redis_client.close,
            *([] if tracing is None else [tracing.close]),
        ],
    )
