"""The one list of what a worker asks about a job before any call."""

from __future__ import annotations

from tests.fakes import FakeClock, FixedRoute
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository, MemorySuppressionStore
from tests.recipients import RecipientEnvironment
from wavecom.core.attachment_check import AttachmentCheck
from wavecom.core.pauses import DestinationPauses, ProviderPauses
from wavecom.core.suppression_check import SuppressionCheck
from wavecom.services.delivery import preflights_of


def test_suppression_preferences_attachments_and_pauses_are_asked_in_one_list() -> None:
    suppression = SuppressionCheck(MemorySuppressionStore(), FakeClock())

    preferences = RecipientEnvironment.over(FakeClock()).check_of(MemoryJobRepository())

    preflights = preflights_of(suppression, preferences, MemoryBlobStore(), FixedRoute("first"))

    assert preflights[:2] == [suppression, preferences]
    assert [type(each) for each in preflights[2:]] == [AttachmentCheck, ProviderPauses, DestinationPauses]
