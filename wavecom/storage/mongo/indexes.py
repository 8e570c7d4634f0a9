"""Every index there is, in one table, each with the question it answers; what answers no question is not here.

Each index costs every write that touches it. The ones on ``jobs`` marked "small" hold only a few of the jobs, or are
touched once in a job's life: partial indexes are what keeps three writes a notification cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.database import Database

from wavecom.core.client_events import KEPT
from wavecom.core.states import Status
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import writing
from wavecom.storage.mongo.sharded_jobs import EARLIER_KEYS

_DAY_SECONDS = 86_400


def _index(*keys: str, only: Mapping[str, Any] | None = None, **options: Any) -> IndexModel:
    """An ascending index on ``keys``, of those documents that match ``only``.

    Ascending serves lists that begin with the newest just as well, read backwards; the embedded servers lose the lower
    end of a range in a descending one.
    """
    if only is not None:
        options["partialFilterExpression"] = dict(only)
    return IndexModel([(key, ASCENDING) for key in keys], **options)


def _present(field: str) -> dict[str, Any]:
    return {field: {"$exists": True}}


#: How jobs end when they do not end well; far fewer than are delivered, so finding them must not mean reading all.
_UNLUCKY = sorted(status.value for status in (Status.FAILED, Status.EXPIRED, Status.CANCELLED))

INDEXES: dict[str, list[IndexModel]] = {
    "jobs": [
        # Every write and look-up; and no job twice, however often an insert is repeated.
        _index("shardKey", "jobId", unique=True),
        # One job per idempotency key, which determines the shard key. Partial: jobs without a key must not collide.
        _index("shardKey", "client", "idempotencyKey", unique=True, only=_present("idempotencyKey")),
        # The sweep, queue by queue; also lists of open jobs, by status alone. Not partial, because the embedded Python
        # server plans with no partial index; what finished jobs leave in it is small: they share all but the job.
        _index("status", "queue", "dueAt"),
        # The sweep's look for parked jobs beside a deep backlog of due ones. Small: hardly any job is ever parked.
        _index("parkedUntil", sparse=True),
        # Events that nobody has published yet. Small: for a second, and of accounts that use events alone.
        _index("eventsDueAt", sparse=True),
        # A client's list, newest first, with the tie-breaker of its cursor.
        _index("client", "createdAt", "jobId"),
        # The operators' list over all clients; and every list by ``TimeRanges``, on the embedded servers.
        _index("createdAt", "jobId"),
        # Lists of what went wrong. Small, and not touched by a notification that goes well.
        _index("status", "createdAt", "jobId", only={"status": {"$in": _UNLUCKY}}),
        # "Did this customer get our message?" Written once, at the insert.
        _index("recipient", "createdAt", "jobId"),
        # What has a recipient had of a category, for its cap? Written once, at the insert, for registered recipients.
        _index("client", "recipientId", "category", only=_present("recipientId")),
        # "What became of order 42?" Written once, at the insert, for those that have metadata.
        _index("labels", "createdAt", "jobId", only=_present("labels")),
        # How many notifications of a campaign have each status; and those of it that wait, to be cancelled. Small: of
        # campaigns alone.
        _index("campaign", "status", only=_present("campaign")),
        # Receipts of providers that echo no job id. Written once, with the record.
        _index("provider", "providerMessageId", only=_present("providerMessageId")),
        # Dead letters: counted every few seconds, listed and replayed by the operators. Small: few jobs ever have one.
        _index("deadLetteredAt", sparse=True),
        # Finished jobs go when their retention is over. Partial: open jobs have no purgeAt and cost nothing here.
        _index("purgeAt", only=_present("purgeAt"), expireAfterSeconds=0),
    ],
    "events": [
        # No position twice; an account's log, in its order. What it costs only those pay who use events.
        _index("account", "position", unique=True),
        # The events of one notification.
        _index("jobId", "position"),
        _index("publishedAt", expireAfterSeconds=KEPT.days * _DAY_SECONDS),
    ],
    "fallbacks": [
        # Which must be looked at? Asked every second. Small: those that have ended are not in it.
        _index("dueAt", sparse=True),
        # Events that nobody has published yet. Small, as that on jobs is.
        _index("eventsDueAt", sparse=True),
        _index("purgeAt", only=_present("purgeAt"), expireAfterSeconds=0),
    ],
    "callbacks": [
        # Who has callbacks? Asked for each batch of events.
        _index("account"),
        # Which must be looked at? Asked every second.
        _index("state", "dueAt"),
        # Whose client is to be told that it fails? Asked every second, of very few.
        _index("owedNotice", only=_present("owedNotice")),
    ],
    "callback_deliveries": [
        # What is due for a callback, and when is the next.
        _index("callbackId", "dueAt"),
        # A callback's list, newest first.
        _index("callbackId", "createdAt"),
        _index("createdAt", expireAfterSeconds=(KEPT.days + 1) * _DAY_SECONDS),
    ],
    "templates": [
        # No version twice; a template's versions, in their order; and an account's templates.
        _index("client", "name", "version", unique=True),
        # Which version is sent? Asked every other second by each process that sends it.
        _index("client", "name", "publishedAt", only=_present("publishedAt")),
    ],
    "files": [
        # An account's files, and what they hold together.
        _index("account", "expiresAt"),
        _index("expiresAt", expireAfterSeconds=0),
    ],
    "campaigns": [
        # An account's list, newest first, with the tie-breaker of its cursor; and the operators'.
        _index("account", "createdAt", "_id"),
        _index("createdAt", "_id"),
        # Whose turn is it? Asked every second.
        _index("status", "dueAt"),
        # Of which is the outcome open? Small: those that are under way.
        _index("countedAt", only=_present("countedAt")),
        _index("purgeAt", expireAfterSeconds=0),
    ],
    "campaign_chunks": [
        # Which rows are next?
        _index("campaignId", "lastRow"),
        _index("purgeAt", expireAfterSeconds=0),
    ],
    "blobs": [
        # Attachments go when the last job that has them can have gone.
        _index("purgeAt", expireAfterSeconds=0),
    ],
    "audit": [
        # What happened lately? Never purged: an operator's decision.
        _index("startedAt"),
    ],
    "keys": [
        _index("hash", unique=True),
        # Rotating and revoking; and whether the key that a page's session was opened with is still good.
        _index("keyId", unique=True),
        _index("client"),
    ],
    "users": [
        # Whom does the identity provider vouch for? Nobody twice.
        _index("subject", "issuer", unique=True, only=_present("subject")),
    ],
    "sessions": [
        # Who looks at this page?
        _index("hash", unique=True),
        _index("sessionId", unique=True),
        # Has somebody more than enough?
        _index("viewer"),
        _index("keyId"),
        # Those that are too old go.
        _index("expiresAt", expireAfterSeconds=0),
    ],
    "receipts": [
        # What is to be tried again. Small, and empty where every receipt finds its job.
        _index("nextTryAt", sparse=True),
        # What nobody could apply, or read, goes.
        _index("purgeAt", expireAfterSeconds=0),
    ],
    "suppressions": [
        # One entry of a source for a recipient; and who of these may not be sent anything?
        _index("digest", "source", unique=True),
        # What was written lately? Every worker asks several times a second.
        _index("changedAt"),
        # An account's list, newest first, with the tie-breaker of its cursor; and the operators'.
        _index("account", "createdAt", "_id"),
        _index("createdAt", "_id"),
        # The same for one recipient.
        _index("recipient"),
    ],
    "recipients": [
        # An account's list, by id. Who a recipient is, is asked by ``_id``, which is made of both.
        _index("account", "recipientId"),
        # Who has this device? Asked when one is registered.
        _index("account", "pushTokens.address"),
    ],
    "categories": [
        # An account's categories. Asked every other second by each process that sends any.
        _index("account"),
    ],
    "stats": [
        # Totals over a range of minutes; and counters older than the longest report go.
        _index("minute", expireAfterSeconds=400 * _DAY_SECONDS),
        _index("client", "minute"),
    ],
    "stats_hourly": [
        # The same over days and months.
        _index("hour", expireAfterSeconds=400 * _DAY_SECONDS),
        _index("client", "hour"),
    ],
    "stop_requests": [
        # An operation has long stopped by then.
        _index("at", expireAfterSeconds=7 * _DAY_SECONDS),
    ],
    "measurements": [
        # How long did it take, in the last hours?
        _index("at", expireAfterSeconds=3 * _DAY_SECONDS),
    ],
    "measurements_hourly": [
        # The same over days and months.
        _index("at", expireAfterSeconds=400 * _DAY_SECONDS),
    ],
    "sandbox_outbox": [
        # A repeated delivery is counted, not kept twice.
        _index("deliveryKey", unique=True),
        # The page, newest first, with the tie-breaker of its cursor.
        _index("at", "deliveryKey"),
        _index("at", expireAfterSeconds=7 * _DAY_SECONDS),
    ],
}


#: What each collection is sharded by on a sharded MongoDB; None: not at all, it is small and stays on one shard.
#: Every unique index begins with the key, as MongoDB demands; one on ``_id``, which every collection has, would not be
#: unique over all shards, so ``_id`` either is the key, determines it, or is made by chance (docs/mongodb.md, ADR 41).
SHARD_KEYS: dict[str, tuple[str, ...] | None] = {
    "jobs": ("shardKey",),
    # A log has one order, so one place. An event's ``_id`` is of a job, which is of one account.
    "events": ("account",),
    # Hashed: its ids are in the order of time, so all new ones would go to one shard.
    "fallbacks": ("_id",),
    "callbacks": None,
    # ``_id`` begins with the callback's.
    "callback_deliveries": ("callbackId",),
    # ``_id`` begins with the campaign's.
    "campaign_chunks": ("_id",),
    # ``_id`` is made of the account and the bytes.
    "files": ("_id",),
    "blobs": ("_id",),
    "audit": None,
    "campaigns": None,
    # These two have two unique indexes, and no key that both could begin with.
    "keys": None,
    "sessions": None,
    "receipts": ("_id",),
    # ``_id`` is made by chance.
    "suppressions": ("digest",),
    "recipients": ("_id",),
    "categories": None,
    "stats": ("_id",),
    "stats_hourly": ("_id",),
    "stop_requests": None,
    "measurements": None,
    "measurements_hourly": None,
    # Of test accounts, for a week.
    "sandbox_outbox": None,
    EARLIER_KEYS: ("_id",),
    "clients": None,
    "event_accounts": None,
    "migrations": None,
    "provider_overrides": None,
    "store_heartbeat": None,
    "templates": None,
    "queue_layouts": None,
    "users": None,
    "weight_factors": None,
}

#: Indexes of 0.1 on ``jobs`` that a sharded collection can't have; ``wavecom migrate --drop-old-indexes`` drops them.
OLD_INDEXES: tuple[IndexModel, ...] = (
    _index("jobId", unique=True),
    _index("client", "idempotencyKey", unique=True, only=_present("idempotencyKey")),
)


def ensure_indexes(database: Database[Document]) -> None:
    """Create what is missing; changes nothing when all are there. Any number of processes may do so at once.

    Raises ``StoreError``, also when an index of the same name but another definition is there: changing one is an
    operator's decision, because building it again may take long.
    """
    with writing():
        for collection, indexes in INDEXES.items():
            database[collection].create_indexes(indexes)
