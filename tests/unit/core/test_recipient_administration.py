"""Keeping recipients and categories: what others write meanwhile is not lost, and how soon a change holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.memory_storage import MemoryCategoryAudit, MemoryCategoryStore, MemoryRecipientStore, MemorySuppressionStore
from tests.recipients import make_category, make_recipient
from wavecom.core.categories import FRESH_SECONDS, CategoryCache
from wavecom.core.lanes import Channel
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.registered_recipients import RegisteredRecipient
from wavecom.core.suppression_list import SuppressionList
from wavecom.errors import LostRaceError, RecipientNotFoundError


class ContestedStore(MemoryRecipientStore):
    """Somebody else changes the locale just before each of the first ``races`` writes."""

    def __init__(self, races: int) -> None:
        super().__init__()
        self.races = races

    def save(self, recipients: Sequence[RegisteredRecipient]) -> list[bool]:
        if self.races > 0 and self.find("acme", ["user-42"]):
            self.races -= 1
            known = self.find("acme", ["user-42"])["user-42"]
            super().save([replace(known, locale=f"de-{self.races}")])
        return super().save(recipients)


def no_suppressions(clock: FakeClock) -> SuppressionList:
    return SuppressionList(MemorySuppressionStore(), clock)


def administration(store: MemoryRecipientStore) -> RecipientAdministration:
    clock = FakeClock()
    categories = MemoryCategoryStore()
    return RecipientAdministration(
        store,
        categories,
        CategoryCache(categories, clock.monotonic),
        no_suppressions(clock),
        MemoryCategoryAudit(),
        clock,
        lambda: "e",
    )


def contested(races: int) -> tuple[ContestedStore, RecipientAdministration]:
    store = ContestedStore(0)
    store.save([make_recipient(choices={"bills": {Channel.SMS: True}})])
    store.races = races
    return store, administration(store)


def test_a_choice_is_made_beside_what_others_write_at_that_moment() -> None:
    _, recipients = contested(3)

    chosen = recipients.choose("acme", "user-42", {"news": {Channel.EMAIL: False}})

    assert chosen.locale == "de-0"
    assert chosen.choices == {"bills": {Channel.SMS: True}, "news": {Channel.EMAIL: False}}
    assert recipients.get("acme", "user-42") == chosen


def test_who_loses_every_race_says_so_and_changes_nothing() -> None:
    store, recipients = contested(100)

    with pytest.raises(LostRaceError):
        recipients.choose("acme", "user-42", {"news": {Channel.EMAIL: False}})
    with pytest.raises(LostRaceError):
        recipients.put("acme", {"user-42": lambda known, _now: replace(known, locale="fr")})

    assert "news" not in store.find("acme", ["user-42"])["user-42"].choices


def test_many_are_put_though_one_of_them_is_contested() -> None:
    store, recipients = contested(1)

    done = recipients.put(
        "acme", {name: lambda known, _now: replace(known, time_zone="Asia/Tokyo") for name in ("user-42", "user-43")}
    )

    assert {name: is_new for name, (_, is_new) in done.items()} == {"user-42": False, "user-43": True}
    assert {each.time_zone for each in store.page("acme", 9, None)} == {"Asia/Tokyo"}
    assert done["user-42"][0].locale == "de-0"


def test_nobody_chooses_for_who_is_not_registered() -> None:
    recipients = administration(MemoryRecipientStore())

    with pytest.raises(RecipientNotFoundError):
        recipients.choose("acme", "user-42", {"news": {Channel.EMAIL: True}})


def test_a_change_of_a_category_holds_within_two_seconds_and_at_once_where_it_was_made() -> None:
    clock = FakeClock()
    store = MemoryCategoryStore()
    here, elsewhere = CategoryCache(store, clock.monotonic), CategoryCache(store, clock.monotonic)
    recipients = RecipientAdministration(
        MemoryRecipientStore(), store, here, no_suppressions(clock), MemoryCategoryAudit(), clock, lambda: "e"
    )
    assert here.of("acme") == elsewhere.of("acme") == {}

    recipients.put_category(make_category(), "key k-1")

    assert list(here.of("acme")) == ["news"]
    clock.advance(FRESH_SECONDS)
    assert list(elsewhere.of("acme")) == []
    clock.advance(0.1)
    assert list(elsewhere.of("acme")) == ["news"]
    reads = store.reads
    assert list(elsewhere.of("acme")) == ["news"]
    assert store.reads == reads
