"""What receives receipts, over stores in memory, for web apps without servers."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes import NoFeedbackHandler
from tests.memory_storage import MemoryOneTimeTokens, MemoryPendingReceipts, MemoryUnreadableRequests
from wavecom.core.engine import Policy
from wavecom.core.ports import Clock, JobRepository
from wavecom.core.receipt_processing import ReceiptProcessor
from wavecom.core.receipts import FeedbackHandler
from wavecom.core.transition_writer import TransitionWriter
from wavecom.providers.receipts import Readers
from wavecom.services.receipts import ReceiptServices, shared_submit


def receipt_services_over(
    jobs: JobRepository,
    writer: TransitionWriter,
    clock: Clock,
    *,
    readers: Readers | None = None,
    pending: MemoryPendingReceipts | None = None,
    unreadable: MemoryUnreadableRequests | None = None,
    feedback: FeedbackHandler | None = None,
    confirm: Callable[[str, str], object] = lambda _name, _url: None,
) -> ReceiptServices:
    """Everything real but the stores."""
    processor = ReceiptProcessor(
        jobs=jobs,
        writer=writer,
        pending=pending or MemoryPendingReceipts(),
        feedback=feedback or NoFeedbackHandler(),
        clock=clock,
        policy=Policy(),
    )
    return ReceiptServices(
        readers=readers or {},
        process=processor.process,
        submit=shared_submit(processor),
        unreadable=unreadable or MemoryUnreadableRequests(),
        tokens=MemoryOneTimeTokens(),
        confirm=confirm,
    )
