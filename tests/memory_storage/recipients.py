"""Registered recipients and categories, kept in dictionaries."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from wavecom.core.categories import Branding, Category
from wavecom.core.category_audit import CategoryEvent
from wavecom.core.registered_recipients import RecipientKey, RegisteredRecipient


class MemoryRecipientStore:
    """``wavecom.core.registered_recipients.RecipientStore`` without a server. ``reads`` counts what was asked of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recipients: dict[tuple[str, str], RegisteredRecipient] = {}
        self.reads = 0

    def find(self, account: str, recipient_ids: Collection[str]) -> dict[str, RegisteredRecipient]:
        """See the port."""
        return {key[1]: each for key, each in self.find_each([(account, each) for each in recipient_ids]).items()}

    def find_each(self, keys: Collection[RecipientKey]) -> dict[RecipientKey, RegisteredRecipient]:
        """See the port."""
        self.reads += 1
        with self._lock:
            return {key: self._recipients[key] for key in keys if key in self._recipients}

    def save(self, recipients: Sequence[RegisteredRecipient]) -> list[bool]:
        """See the port."""
        with self._lock:
            return [self._save(each) for each in recipients]

    def _save(self, recipient: RegisteredRecipient) -> bool:
        key = recipient.account, recipient.recipient_id
        known = self._recipients.get(key)
        if recipient.revision != (0 if known is None else known.revision):
            return False
        self._recipients[key] = replace(recipient, revision=recipient.revision + 1)
        return True

    def remove(self, recipient: RegisteredRecipient) -> bool:
        """See the port."""
        key = recipient.account, recipient.recipient_id
        with self._lock:
            known = self._recipients.get(key)
            is_as_read = known is not None and known.revision == recipient.revision
            if is_as_read:
                del self._recipients[key]
            return is_as_read

    def page(self, account: str, limit: int, after: str | None) -> Sequence[RegisteredRecipient]:
        """See the port."""
        with self._lock:
            found = [each for key, each in sorted(self._recipients.items()) if key[0] == account]
        living = [each for each in found if each.removed_at is None]
        return [each for each in living if after is None or each.recipient_id > after][:limit]

    def holders(self, account: str, addresses: Collection[str]) -> Sequence[RegisteredRecipient]:
        """See the port."""
        with self._lock:
            of_account = [each for key, each in self._recipients.items() if key[0] == account]
        return [each for each in of_account if any(token.address in addresses for token in each.push_tokens)]

    def forget_token(self, account: str, recipient_id: str, address: str, seen_by: datetime) -> bool:
        """See the port."""
        with self._lock:
            known = self._recipients.get((account, recipient_id))
            if known is None:
                return False
            left = tuple(each for each in known.push_tokens if each.address != address or each.seen_at > seen_by)
            if len(left) == len(known.push_tokens):
                return False
            self._recipients[account, recipient_id] = replace(known, push_tokens=left, revision=known.revision + 1)
            return True


class MemoryCategoryStore:
    """``wavecom.core.categories.CategoryStore`` without a server. ``reads`` counts what was asked of it."""

    def __init__(self) -> None:
        self._categories: dict[tuple[str, str], Category] = {}
        self._brandings: dict[str, Branding] = {}
        self.reads = 0

    def put(self, category: Category) -> bool:
        """See the port."""
        is_new = (category.account, category.name) not in self._categories
        self._categories[category.account, category.name] = category
        return is_new

    def remove(self, account: str, name: str) -> bool:
        """See the port."""
        return self._categories.pop((account, name), None) is not None

    def all(self, account: str) -> Sequence[Category]:
        """See the port."""
        self.reads += 1
        return [each for key, each in sorted(self._categories.items()) if key[0] == account]

    def branding(self, account: str) -> Branding | None:
        """See the port."""
        return self._brandings.get(account)

    def put_branding(self, account: str, branding: Branding) -> None:
        """See the port."""
        self._brandings[account] = branding


class MemoryCategoryAudit:
    """``wavecom.core.category_audit.CategoryAudit`` in a list."""

    def __init__(self) -> None:
        self.events: list[CategoryEvent] = []

    def record_category_event(self, event: CategoryEvent) -> None:
        """See the port."""
        self.events.append(event)
