"""Clients with their keys, limits and use today. Keys are made, rotated and revoked by ``wavecom keys`` and the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from flask import render_template, url_for

from wavecom.accounts import Administrator
from wavecom.core.account import account_of
from wavecom.core.actor import OPERATOR
from wavecom.core.keys import KeyRecord, KeyStatus
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.web.dashboard.context import pages

_SECONDS: Final = 30.0


class _Counted(NamedTuple):
    """How many of an account's were accepted today, and how many entered each status."""

    accepted: int
    by_status: Mapping[Status, int]


_NOTHING: Final = _Counted(0, {})


@dataclass(frozen=True, slots=True)
class AccountUse:
    """What became of how many of an account's notifications today (UTC)."""

    accepted: int
    delivered: int
    failed: int
    link: str


@dataclass(frozen=True, slots=True)
class KeySummary:
    """One key. ``limits``: what it may send, for people."""

    record: KeyRecord
    status: KeyStatus
    limits: str


@dataclass(frozen=True, slots=True)
class ClientSummary:
    """A client; ``test`` is None where its test keys have done nothing today."""

    name: str
    keys: Sequence[KeySummary]
    live: AccountUse
    test: AccountUse | None
    #: Where it is told what concerns it as a whole.
    contact: str | None


def clients() -> str:
    """All that have keys, by name."""
    services = pages().services
    now = services.clock.now()
    used = pages().snapshots.get("use today", _SECONDS, _used_today)
    by_client: dict[str, list[KeySummary]] = {}
    for record in services.key_administration.list(Administrator(OPERATOR)):
        by_client.setdefault(record.client, []).append(KeySummary(record, record.status(now), _limits(record)))
    found = [
        ClientSummary(
            name,
            keys,
            _use(used.get(account_of(name, True), _NOTHING), name, "live"),
            _use(used[account_of(name, False)], name, "test") if used.get(account_of(name, False)) else None,
            services.key_administration.contact(Administrator(OPERATOR), name),
        )
        for name, keys in sorted(by_client.items())
    ]
    settings = services.settings
    return render_template(
        "dashboard/clients.html",
        clients=found,
        usual=_limits_text(settings.key_rate_per_second, settings.key_daily_quota) or "none",
    )


def _used_today() -> Mapping[str, _Counted]:
    services = pages().services
    now = services.clock.now()
    today = (Interval.DAY.start_of(now), now + timedelta(minutes=1))
    accepted: Counter[str] = Counter()
    for (account, _), count in services.stats.accepted(*today).items():
        accepted[account] += count
    by_account = services.stats.by_account(*today)
    return {account: _Counted(accepted[account], by_account.get(account, {})) for account in {*accepted, *by_account}}


def _use(counted: _Counted, client: str, mode: str) -> AccountUse:
    counts = counted.by_status
    return AccountUse(
        counted.accepted,
        counts.get(Status.DELIVERED, 0),
        counts.get(Status.FAILED, 0) + counts.get(Status.EXPIRED, 0),
        url_for("dashboard.notifications", client=client, mode=mode),
    )


def _limits(record: KeyRecord) -> str:
    return _limits_text(record.rate_per_second, record.daily_quota) or "as the settings say"


def _limits_text(rate_per_second: float | None, daily_quota: int | None) -> str:
    rate = "" if rate_per_second is None else f"{rate_per_second:g} a second"
    quota = "" if daily_quota is None else f"{daily_quota} a day"
    return ", ".join(filter(None, (rate, quota)))
