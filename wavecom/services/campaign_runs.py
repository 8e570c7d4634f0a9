"""Campaigns as a worker makes notifications of their rows."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace

import structlog

from wavecom.accounts import KeyRing
from wavecom.broker.topology import partition_names, queue_name
from wavecom.core.acceptance import Acceptance
from wavecom.core.actor import Actor
from wavecom.core.campaigns.administration import limits_of
from wavecom.core.campaigns.lane_room import LaneRoom
from wavecom.core.campaigns.model import Campaign
from wavecom.core.campaigns.runner import CampaignRunner
from wavecom.core.client_events import EventAccounts
from wavecom.core.lanes import LaneQueue, in_region
from wavecom.core.quota import UNLIMITED
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import StoreError
from wavecom.services.acceptance import quotas_of, submission_of
from wavecom.services.recipients import recipients_of
from wavecom.services.shared import usual_limits
from wavecom.services.suppressions import suppressions_of, unsubscribe_links_of
from wavecom.services.traces import Tracing
from wavecom.services.uploads import uploads_of
from wavecom.services.worker_foundation import WorkerFoundation
from wavecom.storage.mongo.campaigns import MongoCampaignStore, MongoOutcomeCounter
from wavecom.storage.mongo.client_events import MongoEventAccountStore
from wavecom.storage.mongo.keys import MongoKeyStore

log = structlog.get_logger()

#: How soon a campaign's turn comes again that had nothing to send: a pause, a cancellation and a pace go by it.
_REST_SECONDS = 0.2
#: Rotations of a key since it started a campaign that are followed.
_ROTATIONS = 10
#: How long the end of the process waits for a step.
_END_SECONDS = 5.0


class PreparedRunner:
    """A runner, and what it must have read before each round."""

    def __init__(self, runner: CampaignRunner, prepare: Callable[[], None], close: Callable[[], None]) -> None:
        self._runner = runner
        self._prepare = prepare
        self._close = close

    def close(self) -> None:
        """Let others take what it holds, and end its connections."""
        try:
            self._runner.release()
        except StoreError as error:
            log.warning("campaigns_store_away", error=type(error).__name__)
        self._close()

    def round(self) -> int | None:
        """See ``CampaignRunner.round``; outcomes are counted as well, and what is left over is let go of."""
        self._prepare()
        moved = self._runner.round()
        self._runner.count_outcomes()
        self._runner.sweep()
        return moved


def runner_of(foundation: WorkerFoundation, writer: TransitionWriter, tracing: Tracing | None) -> PreparedRunner:
    """What makes notifications of rows, as a web process would that is asked for each of them."""
    settings, database, clock = foundation.settings, foundation.database, foundation.clock
    quotas = quotas_of(settings)
    event_accounts = EventAccounts(MongoEventAccountStore(database))
    submission = submission_of(
        settings,
        database,
        jobs=foundation.jobs,
        writer=writer,
        clock=clock,
        quotas=quotas,
        unsubscribe_links=unsubscribe_links_of(settings),
        event_accounts=event_accounts,
        traces=None if tracing is None else tracing.sampler,
    )
    _, named_files = uploads_of(settings, database, clock)
    recipients, preferences = recipients_of(database, suppressions_of(database, clock), clock)

    usual = usual_limits(settings)
    key_store = MongoKeyStore(database)
    keys = KeyRing(key_store, clock)

    def actor_of(campaign: Campaign) -> Actor | None:
        name = campaign.started_by or campaign.created_by
        actor = Actor(client=campaign.account, name=name, budget=campaign.budget, limits=campaign.limits)
        if campaign.budget is None:
            return actor
        key_id: str | None = name.removeprefix("key ")
        for _ in range(_ROTATIONS):
            caller = None if key_id is None else keys.caller_of(key_id)
            if caller is not None:
                return replace(actor, limits=limits_of(caller, usual), senders=caller.senders)
            record = None if key_id is None else key_store.find_by_id(key_id)
            # Who rotates a key goes on with the one that has its place.
            key_id = None if record is None else record.replaced_by
        return None

    def depth(queue: LaneQueue) -> int | None:
        layout = foundation.queues.layout
        depths = []
        for region in ("", *layout.regions):
            names = partition_names(queue_name(in_region(queue, region)), layout.partitions)
            found = [foundation.publisher.depth(name) for name in names]
            depths.append(None if None in found else sum(each or 0 for each in found))
        return None if None in depths else max(each or 0 for each in depths)

    runner = CampaignRunner(
        store=MongoCampaignStore(database),
        # The limits of each are those that its actor brings.
        acceptance=Acceptance(submission, quotas, UNLIMITED, named_files, preferences),
        jobs=foundation.jobs,
        writer=writer,
        room=LaneRoom(depth, clock.monotonic, seconds=settings.campaign_lane_seconds),
        counter=MongoOutcomeCounter(database),
        find_recipients=recipients.find,
        find_actor=actor_of,
        clock=clock,
        policy=foundation.policy,
        token=uuid.uuid4().hex,
    )
    return PreparedRunner(runner, event_accounts.refresh, quotas.close)


class CampaignLoop:
    """Runs campaigns on a thread of its own while there are any, so that no tick of the same process waits for them."""

    def __init__(self, runner: PreparedRunner, stopping: threading.Event, is_held: Callable[[], bool]) -> None:
        self._runner = runner
        self._stopping = stopping
        self._is_held = is_held
        self._is_running = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """See to it that the thread runs. To be called once a second."""
        # What an older copy of the store holds as not sent was sent before.
        if self._is_held() or not self._is_running.acquire(blocking=False):
            return
        self._thread = threading.Thread(target=self._run, name="campaigns", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of campaigns and connections, once the thread has ended."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)
            if self._thread.is_alive():
                # It has a step to end; its campaigns are others' when its leases are over.
                log.warning("campaigns_still_running")
                return
        self._runner.close()

    def _run(self) -> None:
        try:
            while not (self._stopping.is_set() or self._closing.is_set() or self._is_held()):
                moved = self._runner.round()
                if moved is None:
                    return
                if moved == 0:
                    self._stopping.wait(_REST_SECONDS)
        except StoreError as error:
            log.warning("campaigns_store_away", error=type(error).__name__)
        except Exception:
            # The thread's border; the next tick starts another.
            log.exception("campaigns_failed")
        finally:
            self._is_running.release()
