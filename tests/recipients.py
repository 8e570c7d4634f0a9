"""Recipients and categories that tests need, with every field filled in; a test names only what it is about."""

from __future__ import annotations

from typing import Any

from tests.factories import NOW
from wavecom.core.categories import Category
from wavecom.core.local_hours import DailyHours, minute_of_day
from wavecom.core.registered_recipients import RegisteredRecipient


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
