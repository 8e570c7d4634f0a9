"""The one list of what a worker asks about a job before any call."""

from __future__ import annotations

from tests.fakes import FakeClock, FixedRoute
from tests.memory_storage import MemoryBlobStore, MemorySuppressionStore
from wavecom.core.attachment_check import AttachmentCheck
from wavecom.core.pauses import DestinationPauses, ProviderPauses
from wavecom.core.suppression_check import SuppressionCheck
from wavecom.services.delivery import preflights_of


def test_suppression_attachments_and_pauses_are_asked_in_one_list() -> None:
    suppression = SuppressionCheck(MemorySuppressionStore(), FakeClock())

    preflights = preflights_of(suppression, MemoryBlobStore(), FixedRoute("first"))

    assert preflights[0] is suppression
    assert [type(each) for each in preflights[1:]] == [AttachmentCheck, ProviderPauses, DestinationPauses]
