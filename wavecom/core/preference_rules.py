"""What categories and recipients' preferences do to a notification that is accepted: what is wrong, and when it starts.

What its recipient does not want is accepted all the same, and ends when it is about to be delivered
(``preference_check.py``): there he may have changed his mind, and the reason stands in the job's log like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from wavecom.core.categories import Category, CategoryCache, CategoryDefault
from wavecom.core.new_notification import NewNotification
from wavecom.core.ports import Clock
from wavecom.core.preferences import WaitUntil, decide
from wavecom.errors import Problem

_CATEGORY = "/category"


class PreferenceRules:
    """Asks for all notifications of a request at once. Thread-safe."""

    def __init__(self, categories: CategoryCache, clock: Clock) -> None:
        self._categories = categories
        self._clock = clock

    def applied(
        self, account: str, notifications: Sequence[NewNotification]
    ) -> list[tuple[NewNotification, Sequence[Problem]]]:
        """Each with the ``hold`` under which it stands, and what is wrong with its category or for its recipient.

        Those without both come back as they are. One read at most. Raises ``StoreError``.
        """
        named = {new.category for new in notifications if new.category is not None}
        categories = self._categories.of(account, named) if named else {}
        return [self._one(new, categories) for new in notifications]

    def _one(
        self, new: NewNotification, categories: Mapping[str, Category]
    ) -> tuple[NewNotification, Sequence[Problem]]:
        if new.category is None and new.recipient is None:
            return new, ()
        category = None if new.category is None else categories.get(new.category)
        if new.category is not None and category is None:
            there_are = f"there are: {', '.join(sorted(categories))}" if categories else "there is none yet"
            return new, [Problem(_CATEGORY, f"is no category of yours; {there_are}", "unknown_value")]
        problems = [] if category is None else _problems(new, category)
        starts_at = new.starts_at(self._clock.now())
        decision = decide(new.recipient, category, new.type, new.priority, starts_at)
        return replace(new, hold=decision if isinstance(decision, WaitUntil) else None), problems


def _problems(new: NewNotification, category: Category) -> list[Problem]:
    found: list[Problem] = []
    if not category.takes(new.type):
        channels = ", ".join(sorted(category.channels))
        found.append(Problem(_CATEGORY, f"is not sent by {new.type}; its channels are: {channels}", "conflict"))
    if new.recipient is None:
        if category.default is CategoryDefault.OPT_IN and not category.is_required:
            text = "is for recipients who have said yes to it; name one as `recipient` in `to`"
            found.append(Problem(_CATEGORY, text, "conflict"))
        elif category.needs_verified:
            text = "is for recipients whose address is verified; name one as `recipient` in `to`"
            found.append(Problem(_CATEGORY, text, "conflict"))
    elif category.needs_verified and not new.recipient.is_verified(new.type):
        text = f"has an address for {new.type} that is not verified, which the category {category.name} demands"
        found.append(Problem("/to/recipient", text, "not_allowed"))
    return found
