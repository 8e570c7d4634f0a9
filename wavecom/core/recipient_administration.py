"""Keeping registered recipients, categories and the look of preference pages: the use cases, for all accounts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from wavecom.core.categories import CATEGORIES_LIMIT, Branding, Category, CategoryCache, CategoryStore
from wavecom.core.category_audit import CategoryAction, CategoryAudit, CategoryEvent
from wavecom.core.lanes import Channel
from wavecom.core.ports import Clock
from wavecom.core.registered_recipients import (
    PushToken,
    RecipientStore,
    RegisteredRecipient,
    newest_tokens,
    refusals,
    remainder,
)
from wavecom.core.suppression_list import SuppressionList
from wavecom.errors import (
    CategoryNotFoundError,
    InvalidRequestError,
    LostRaceError,
    Problem,
    RecipientNotFoundError,
)

log = structlog.get_logger()

#: Makes what is to be kept of what is kept now; the time is that of the write.
Change = Callable[[RegisteredRecipient, datetime], RegisteredRecipient]
#: How often a change is made again because somebody else has written first.
_TRIES: Final = 8


class RecipientAdministration:
    """All methods raise ``StoreError``, those that write ``UncertainWriteError`` too. Thread-safe."""

    def __init__(
        self,
        recipients: RecipientStore,
        categories: CategoryStore,
        cache: CategoryCache,
        suppressions: SuppressionList,
        audit: CategoryAudit,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._recipients = recipients
        self._categories = categories
        self._cache = cache
        self._suppressions = suppressions
        self._audit = audit
        self._new_id = new_id
        self._clock = clock

    # --- recipients -----------------------------------------------------------------------------------------------

    def find(self, account: str, recipient_ids: Collection[str]) -> dict[str, RegisteredRecipient]:
        """Those that there are, by id. One read."""
        found = self._recipients.find(account, recipient_ids)
        return {recipient_id: each for recipient_id, each in found.items() if each.removed_at is None}

    def get(self, account: str, recipient_id: str) -> RegisteredRecipient:
        """One recipient. Raises ``RecipientNotFoundError``."""
        found = self.find(account, [recipient_id]).get(recipient_id)
        if found is None:
            raise RecipientNotFoundError
        return found

    def page(self, account: str, limit: int, after: str | None) -> tuple[Sequence[RegisteredRecipient], str | None]:
        """At most ``limit`` by id, after the one of this id, and the id after which the next page begins."""
        found = self._recipients.page(account, limit + 1, after)
        is_last = len(found) <= limit
        return found[:limit], None if is_last else found[limit - 1].recipient_id

    def put(self, account: str, changes: Mapping[str, Change]) -> dict[str, tuple[RegisteredRecipient, bool]]:
        """Have each recipient be what its change makes of him, or of a new one; as he is then, and whether he is new.

        One who was deleted is new, and has refused what he had refused before. A push token is taken away from whoever
        else has it: the device has changed hands.

        Raises ``LostRaceError`` where others write the same ones all the time: then some may have been changed.
        """
        done: dict[str, tuple[RegisteredRecipient, bool]] = {}
        changed: list[RegisteredRecipient] = []
        left = dict(changes)
        for _ in range(_TRIES):
            if not left:
                break
            now = self._clock.now()
            known = self._recipients.find(account, left)
            wanted = {
                recipient_id: _changed(change, _begun(known.get(recipient_id), account, recipient_id, now), now)
                for recipient_id, change in left.items()
            }
            for recipient, is_written in zip(
                wanted.values(), self._recipients.save(list(wanted.values())), strict=True
            ):
                if is_written:
                    before = known.get(recipient.recipient_id)
                    is_new = before is None or before.removed_at is not None
                    if before is None or before.push_tokens != recipient.push_tokens:
                        changed.append(recipient)
                    done[recipient.recipient_id] = replace(recipient, revision=recipient.revision + 1), is_new
                    del left[recipient.recipient_id]
        self._settle_tokens(account, [each for each in changed if each.recipient_id in done])
        if left:
            raise LostRaceError("Others are changing the same recipients; try again.")
        # Ids and numbers, never an address.
        log.info("recipients_kept", account=account, count=len(done), added=sum(is_new for _, is_new in done.values()))
        return {recipient_id: done[recipient_id] for recipient_id in changes}

    def change(self, account: str, recipient_id: str, change: Change) -> RegisteredRecipient:
        """Change one that there is. Raises ``RecipientNotFoundError``, ``LostRaceError`` as ``put``."""
        return self._change(account, recipient_id, change, lambda: self.get(account, recipient_id))

    def _change(
        self, account: str, recipient_id: str, change: Change, read: Callable[[], RegisteredRecipient]
    ) -> RegisteredRecipient:
        for _ in range(_TRIES):
            known = read()
            wanted = _changed(change, known, self._clock.now())
            if self._recipients.save([wanted])[0]:
                log.info("recipient_changed", account=account, recipient_id=recipient_id)
                if wanted.push_tokens != known.push_tokens:
                    self._settle_tokens(account, [wanted])
                return replace(wanted, revision=wanted.revision + 1)
        raise LostRaceError("Others are changing the same recipient; try again.")

    def remove(self, account: str, recipient_id: str) -> None:
        """Forget a recipient, with all addresses; what he refused is kept under his id (``remainder``).

        Raises ``RecipientNotFoundError``, ``LostRaceError`` as ``put``.
        """
        for _ in range(_TRIES):
            known = self.get(account, recipient_id)
            kept = remainder(known, self._clock.now())
            is_done = self._recipients.remove(known) if kept is None else self._recipients.save([kept])[0]
            if is_done:
                log.info("recipient_removed", account=account, recipient_id=recipient_id)
                return
        raise LostRaceError("Others are changing the same recipient; try again.")

    def stop(self, account: str, recipient_id: str, *, keeps_later_choices: bool = False) -> RegisteredRecipient:
        """Stop all that can be stopped, now and for what comes; may be repeated. Raises ``LostRaceError`` as ``put``.

        ``keeps_later_choices``: who has stopped all before keeps what he has chosen since. Of one who was deleted it is
        kept for the case that he is registered again.
        """

        def change(known: RegisteredRecipient, now: datetime) -> RegisteredRecipient:
            return stopped(known if keeps_later_choices else replace(known, stopped_at=None), now)

        return self._change(account, recipient_id, change, lambda: self._kept(account, recipient_id))

    def refuse(self, account: str, recipient_id: str, category: str, channel: Channel) -> RegisteredRecipient:
        """Note that no more of the category is wanted by this channel; may be repeated. Raises as ``stop``."""
        no = {category: {channel: False}}
        return self._change(
            account,
            recipient_id,
            lambda known, _now: with_choices(known, no),
            lambda: self._kept(account, recipient_id),
        )

    def _kept(self, account: str, recipient_id: str) -> RegisteredRecipient:
        """A recipient, or what is left of one."""
        found = self._recipients.find(account, [recipient_id]).get(recipient_id)
        now = self._clock.now()
        return found or replace(_begun(None, account, recipient_id, now), removed_at=now)

    def resume(self, account: str, recipient_id: str) -> RegisteredRecipient:
        """Take back that all was stopped; may be repeated. Raises as ``change``."""
        return self.change(account, recipient_id, lambda known, _now: replace(known, stopped_at=None))

    def choose(
        self, account: str, recipient_id: str, choices: Mapping[str, Mapping[Channel, bool]]
    ) -> RegisteredRecipient:
        """Note what the recipient has chosen, beside what he chose of others before. Raises as ``change``."""
        return self.change(account, recipient_id, lambda known, _now: with_choices(known, choices))

    def _settle_tokens(self, account: str, recipients: Sequence[RegisteredRecipient]) -> None:
        """Have nobody else hold the push tokens of these, and nothing say of them that they are gone.

        A device has one owner, whose codes no other may read; and one that was seen since it was gone is there again.
        """
        owners = {token.address: (each, token) for each in recipients for token in each.push_tokens}
        if not owners:
            return
        self._suppressions.lift_gone(account, {address: token.seen_at for address, (_, token) in owners.items()})
        for holder in self._recipients.holders(account, owners):
            for held in holder.push_tokens:
                owner, token = owners.get(held.address, (holder, held))
                is_others = owner.recipient_id != holder.recipient_id
                if is_others and self._recipients.forget_token(
                    account, holder.recipient_id, held.address, max(token.seen_at, held.seen_at)
                ):
                    log.info("push_token_moved", account=account, recipient_id=holder.recipient_id)

    # --- categories -----------------------------------------------------------------------------------------------

    def categories(self, account: str) -> Sequence[Category]:
        """An account's categories, by name, as they are now."""
        return self._categories.all(account)

    def category(self, account: str, name: str) -> Category:
        """One of them. Raises ``CategoryNotFoundError``."""
        found = next((each for each in self._categories.all(account) if each.name == name), None)
        if found is None:
            raise CategoryNotFoundError
        return found

    def unknown_categories(self, account: str, names: Collection[str]) -> set[str]:
        """Those of the names that are of no category. One read at most, of what was remembered."""
        return set(names) - self._cache.of(account, names).keys() if names else set()

    def put_category(self, category: Category, actor: str) -> bool:
        """Keep it; whether there was none of its name. Raises ``InvalidRequestError`` where there are too many.

        ``actor``, here and below, is who does it, for the audit: the entry is written before the deed.
        """
        there_are = {each.name for each in self._categories.all(category.account)}
        if category.name not in there_are and len(there_are) >= CATEGORIES_LIMIT:
            text = f"would be one more than the {CATEGORIES_LIMIT} categories that there may be; delete one first"
            raise InvalidRequestError([Problem("", text, "too_many")])
        details = {"category": category.name, "default": category.default.value, "isRequired": category.is_required}
        self._note(CategoryAction.SET, category.account, actor, details)
        is_new = self._categories.put(category)
        self._cache.forget(category.account)
        return is_new

    def remove_category(self, account: str, name: str, actor: str) -> None:
        """Delete it; what recipients chose is kept, for one of the same name. Raises ``CategoryNotFoundError``."""
        self.category(account, name)
        self._note(CategoryAction.DELETE, account, actor, {"category": name})
        if not self._categories.remove(account, name):
            raise CategoryNotFoundError
        self._cache.forget(account)

    def branding(self, account: str) -> Branding:
        """How the account's preference pages look."""
        return self._categories.branding(account) or Branding("")

    def put_branding(self, account: str, branding: Branding, actor: str) -> None:
        """Have them look so from now on."""
        self._note(CategoryAction.SET_PAGE, account, actor, {"name": branding.name})
        self._categories.put_branding(account, branding)

    def _note(self, action: CategoryAction, account: str, actor: str, details: Mapping[str, object]) -> None:
        self._audit.record_category_event(
            CategoryEvent(
                event_id=self._new_id(),
                action=action,
                actor=actor,
                at=self._clock.now(),
                client=account,
                details=details,
            )
        )


def with_choices(known: RegisteredRecipient, choices: Mapping[str, Mapping[Channel, bool]]) -> RegisteredRecipient:
    """The recipient with these choices beside those of other categories and channels."""
    merged = {name: dict(channels) for name, channels in known.choices.items()}
    for name, channels in choices.items():
        merged[name] = merged.get(name, {}) | dict(channels)
    return replace(known, choices=merged)


def with_token(known: RegisteredRecipient, token: PushToken) -> RegisteredRecipient:
    """The recipient with one more push token, or with one that was seen again."""
    return replace(known, push_tokens=newest_tokens([*known.push_tokens, token]))


def stopped(known: RegisteredRecipient, now: datetime) -> RegisteredRecipient:
    """The recipient who has stopped all that can be stopped: no yes of before holds any more, and each no does."""
    if known.stopped_at is not None:
        return known
    return replace(known, stopped_at=now, choices=refusals(known.choices))


def _changed(change: Change, known: RegisteredRecipient, now: datetime) -> RegisteredRecipient:
    return replace(change(known, now), updated_at=now)


def _begun(known: RegisteredRecipient | None, account: str, recipient_id: str, now: datetime) -> RegisteredRecipient:
    """Whom a registration begins with: the one that there is, else a new one, who has refused what is kept of him."""
    if known is None:
        return RegisteredRecipient(account=account, recipient_id=recipient_id, created_at=now, updated_at=now)
    return known if known.removed_at is None else replace(known, created_at=now, removed_at=None)
