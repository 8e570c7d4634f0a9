"""Stores for tests without a server: what MongoDB keeps, kept in dictionaries by the same rules.

``tests/contract`` runs one suite over both, so a test that uses one of these may believe it.
"""

from tests.memory_storage.attendance import MemoryAttendance
from tests.memory_storage.audit import MemoryAuditLog, MemoryAuditReader
from tests.memory_storage.blobs import MemoryBlobStore
from tests.memory_storage.callbacks import MemoryCallbackAudit, MemoryCallbackDeliveryStore, MemoryCallbackStore
from tests.memory_storage.campaigns import MemoryCampaignAudit, MemoryCampaignStore, MemoryOutcomeCounter
from tests.memory_storage.cap_history import MemoryCapHistory
from tests.memory_storage.client_events import MemoryEventAccountStore, MemoryEventLog
from tests.memory_storage.dead_letters import MemoryDeadLetterRepository
from tests.memory_storage.fallbacks import MemoryFallbackEvents, MemoryFallbackStore
from tests.memory_storage.jobs import MemoryJobRepository
from tests.memory_storage.keys import MemoryKeyAudit, MemoryKeyStore
from tests.memory_storage.measurements import MemoryMeasurementStore
from tests.memory_storage.outbox import MemoryOutbox
from tests.memory_storage.provider_overrides import MemoryOverrideStore
from tests.memory_storage.queue_layout import MemoryQueueLayout
from tests.memory_storage.receipt_counts import MemoryReceiptCounts
from tests.memory_storage.receipts import MemoryOneTimeTokens, MemoryPendingReceipts, MemoryUnreadableRequests
from tests.memory_storage.recipients import MemoryCategoryAudit, MemoryCategoryStore, MemoryRecipientStore
from tests.memory_storage.sessions import MemorySessionAudit, MemorySessionStore
from tests.memory_storage.stats import MemoryStats
from tests.memory_storage.stop_requests import MemoryStopRequests
from tests.memory_storage.store_heartbeat import MemoryHeartbeats, MemoryStoreHeartbeat
from tests.memory_storage.suppressions import MemorySuppressionStore
from tests.memory_storage.templates import MemoryTemplateAudit, MemoryTemplateStore
from tests.memory_storage.uploads import MemoryUploadStore
from tests.memory_storage.users import MemoryUserAudit, MemoryUserStore
from tests.memory_storage.weight_factors import MemoryWeightFactorStore

__all__ = [
    "MemoryAttendance",
    "MemoryAuditLog",
    "MemoryAuditReader",
    "MemoryBlobStore",
    "MemoryCallbackAudit",
    "MemoryCallbackDeliveryStore",
    "MemoryCallbackStore",
    "MemoryCampaignAudit",
    "MemoryCampaignStore",
    "MemoryCapHistory",
    "MemoryCategoryAudit",
    "MemoryCategoryStore",
    "MemoryDeadLetterRepository",
    "MemoryEventAccountStore",
    "MemoryEventLog",
    "MemoryFallbackEvents",
    "MemoryFallbackStore",
    "MemoryHeartbeats",
    "MemoryJobRepository",
    "MemoryKeyAudit",
    "MemoryKeyStore",
    "MemoryMeasurementStore",
    "MemoryOneTimeTokens",
    "MemoryOutbox",
    "MemoryOutcomeCounter",
    "MemoryOverrideStore",
    "MemoryPendingReceipts",
    "MemoryQueueLayout",
    "MemoryReceiptCounts",
    "MemoryRecipientStore",
    "MemorySessionAudit",
    "MemorySessionStore",
    "MemoryStats",
    "MemoryStopRequests",
    "MemoryStoreHeartbeat",
    "MemorySuppressionStore",
    "MemoryTemplateAudit",
    "MemoryTemplateStore",
    "MemoryUnreadableRequests",
    "MemoryUploadStore",
    "MemoryUserAudit",
    "MemoryUserStore",
    "MemoryWeightFactorStore",
]
