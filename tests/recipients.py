"""Recipients and categories that tests need, with every field filled in; a test names only what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.factories import NOW
from tests.memory_storage import (
    MemoryCapHistory,
    MemoryCategoryAudit,
    MemoryCategoryStore,
    MemoryJobRepository,
    MemoryRecipientStore,
    MemorySuppressionStore,
)
from wavecom.core.categories import Category, CategoryCache
from wavecom.core.local_hours import DailyHours, minute_of_day
from wavecom.core.ports import Clock
from wavecom.core.preference_check import PreferenceCheck
from wavecom.core.preference_rules import PreferenceRules
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.core.suppression_list import SuppressionList


def make_recipient(recipient_id: str = "user-42", **overrides: Any) -> RegisteredRecipient:
    """A recipient of acme with an e-mail address and a number, who has chosen nothing."""
    fields: dict[str, Any] = {
        "account": "acme",
        "recipient_id": recipient_id,
        "created_at": NOW,
        "updated_at": NOW,
        "email": "amina@example.com",
        "phone": "+12025550143",
        "time_zone": "Europe/Zurich",
    }
    return RegisteredRecipient(**(fields | overrides))


def make_category(name: str = "news", **overrides: Any) -> Category:
    """A category of acme that anybody gets until he says no."""
    fields: dict[str, Any] = {"account": "acme", "name": name, "title": name.capitalize()}
    return Category(**(fields | overrides))


def hours(start: str, end: str) -> DailyHours:
    """Of texts such as ``22:00``."""
    first, last = minute_of_day(start), minute_of_day(end)
    assert first is not None
    assert last is not None
    return DailyHours(first, last)


@dataclass
class RecipientEnvironment:
    """Recipients and categories over memory, and what is made of them."""

    store: MemoryRecipientStore
    categories: MemoryCategoryStore
    cache: CategoryCache
    administration: RecipientAdministration
    rules: PreferenceRules
    clock: Clock
    audit: MemoryCategoryAudit

    def check_of(self, jobs: MemoryJobRepository) -> PreferenceCheck:
        """The preflight over these jobs."""
        return PreferenceCheck(self.store, self.cache, MemoryCapHistory(jobs), self.clock)

    @classmethod
    def over(cls, clock: Clock, suppressions: SuppressionList | None = None) -> RecipientEnvironment:
        store, categories = MemoryRecipientStore(), MemoryCategoryStore()
        cache = CategoryCache(categories, clock.monotonic)
        audit = MemoryCategoryAudit()
        administration = RecipientAdministration(
            store,
            categories,
            cache,
            suppressions or SuppressionList(MemorySuppressionStore(), clock),
            audit,
            clock,
            new_id=lambda: f"event-{len(audit.events)}",
        )
        return cls(store, categories, cache, administration, PreferenceRules(cache, clock), clock, audit)
