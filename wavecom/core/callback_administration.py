"""What clients and operators do with callbacks: create, change, pause, rotate a secret, test, send again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from wavecom.core.callback_audit import CallbackAction, CallbackAudit, CallbackEvent
from wavecom.core.callback_sending import delivery_of
from wavecom.core.callback_signatures import SECRET_BYTES, make_secret
from wavecom.core.callbacks import (
    MOST_CALLBACKS,
    TEST_TYPE,
    Callback,
    CallbackDelivery,
    CallbackDeliveryStore,
    CallbackSecret,
    CallbackState,
    CallbackStore,
    DeliveryState,
)
from wavecom.core.client_events import EventAccountStore, EventLog
from wavecom.core.lanes import Channel
from wavecom.core.outbound_addresses import is_private_name, is_public, parse
from wavecom.core.ports import Clock
from wavecom.core.states import Status
from wavecom.errors import CallbackNotFoundError, InvalidRequestError, Problem

log = structlog.get_logger()

DEFAULT_OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=7)
#: Events that one request may have sent again.
RESEND_LIMIT: Final = 5_000
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallback:
    """What a client asks for."""

    account: str
    url: str
    name: str = ""
    statuses: frozenset[Status] = frozenset()
    channels: frozenset[Channel] = frozenset()


@dataclass(frozen=True, slots=True)
class Resent:
    """How many deliveries begin anew. ``position`` is where to go on, None: that was all."""

    count: int
    position: int | None


class CallbackAdministration:
    """The use cases behind ``/api/callbacks``. Each raises ``StoreError``; those with an id ``CallbackNotFoundError``.

    ``account`` is whose callbacks are meant; None: an operator means anybody's. ``actor`` is who does it: what
    changes a callback is noted in the audit, before it is done.
    """

    def __init__(
        self,
        *,
        callbacks: CallbackStore,
        deliveries: CallbackDeliveryStore,
        events: EventLog,
        accounts: EventAccountStore,
        audit: CallbackAudit,
        clock: Clock,
        new_id: Callable[[], str],
        random_bytes: Callable[[int], bytes],
        private_hosts: Collection[str] = (),
    ) -> None:
        self._callbacks = callbacks
        self._deliveries = deliveries
        self._events = events
        self._accounts = accounts
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._private_hosts = frozenset(private_hosts)

    def create(self, actor: str, new: NewCallback) -> Callback:
        """Keep a new callback, which is active at once. Raises ``InvalidRequestError`` for an address not allowed."""
        self._check_url(new.url)
        if len(self._callbacks.of_accounts([new.account])) >= MOST_CALLBACKS:
            problem = f"would be one callback too many: there may be {MOST_CALLBACKS}; delete one"
            raise InvalidRequestError([Problem("/url", problem, "out_of_range")])
        now = self._clock.now()
        self._accounts.recorded_since(new.account, now)
        callback = Callback(
            callback_id=self._new_id(),
            account=new.account,
            url=new.url,
            name=new.name,
            statuses=new.statuses,
            channels=new.channels,
            secrets=(self._new_secret(now),),
            created_at=now,
            updated_at=now,
        )
        self._note(CallbackAction.CREATE, actor, callback, {"origin": parse(new.url).origin})
        self._callbacks.add(callback)
        log.info("callback_created", callback_id=callback.callback_id, account=new.account)
        return callback

    def get(self, callback_id: str, account: str | None) -> Callback:
        """One of them."""
        found = self._callbacks.get(callback_id, account)
        if found is None:
            raise CallbackNotFoundError
        return found

    def all(self, account: str | None) -> Sequence[Callback]:
        """All of them, the oldest first."""
        return self._callbacks.of_accounts(None if account is None else [account])

    def change(self, actor: str, callback_id: str, account: str | None, changes: dict[str, Any]) -> Callback:
        """Set ``url``, ``name``, ``statuses``, ``channels`` or ``state``, as ``Callback`` has them.

        One that is set to active again is called as if it had never failed, with all that was kept for it. Raises
        ``InvalidRequestError`` for an address not allowed.
        """
        before = self.get(callback_id, account)
        now = self._clock.now()
        if "url" in changes:
            self._check_url(changes["url"])
        self._note(CallbackAction.CHANGE, actor, before, _noted(changes))
        changes = changes | {"updated_at": now}
        is_called_again = changes.get("state") is CallbackState.ACTIVE or changes.get("url", before.url) != before.url
        if is_called_again:
            changes |= {"failures": 0, "failing_since": None, "not_before": None}
            changes |= {"warned_at": None, "owed_notice": None}
        if changes.get("state") is not None:
            changes |= {"disabled_reason": None, "disabled_at": None}
        changed = self._callbacks.change(callback_id, changes)
        if changed is None:
            raise CallbackNotFoundError
        if is_called_again:
            # A pause uses up nothing: else the first fault after a day's would be the end of all that was kept.
            self._deliveries.begin_anew(callback_id, now)
            self._callbacks.wake([callback_id], now)
        return changed

    def remove(self, actor: str, callback_id: str, account: str | None) -> None:
        """Delete one: nothing more is sent to it."""
        known = self.get(callback_id, account)
        self._note(CallbackAction.DELETE, actor, known)
        self._callbacks.remove(known.callback_id)

    def rotate(
        self, actor: str, callback_id: str, account: str | None, overlap: timedelta = DEFAULT_OVERLAP
    ) -> Callback:
        """Give it a new secret; until ``overlap`` is over, deliveries are signed with the old one as well."""
        before = self.get(callback_id, account)
        now = self._clock.now()
        ends_at = now + overlap
        old = [
            replace(secret, expires_at=min(secret.expires_at or ends_at, ends_at))
            for secret in before.secrets
            if secret.expires_at is None or secret.expires_at > now
        ]
        secrets = (self._new_secret(now), *old)
        changes: dict[str, Any] = {"secrets": secrets, "updated_at": now}
        self._note(CallbackAction.ROTATE, actor, before)
        is_unreadable = not before.signing_secrets(now)
        if is_unreadable:
            # Then nothing was sent: there may be much to do.
            changes["not_before"] = None
        changed = self._callbacks.change(callback_id, changes)
        if changed is None:
            raise CallbackNotFoundError
        if is_unreadable:
            self._callbacks.wake([callback_id], now)
        return changed

    def test(self, callback_id: str, account: str | None) -> CallbackDelivery:
        """Send it a test event, whatever it wants; what comes of it stands among its deliveries."""
        callback = self.get(callback_id, account)
        now = self._clock.now()
        delivery = CallbackDelivery(
            callback_id=callback_id,
            account=callback.account,
            event_id=f"test_{self._new_id()}",
            type=TEST_TYPE,
            created_at=now,
            begun_at=now,
            due_at=now,
        )
        self._deliveries.add([delivery])
        self._callbacks.wake([callback_id], now)
        return delivery

    def deliveries(
        self,
        callback_id: str,
        account: str | None,
        limit: int,
        *,
        state: DeliveryState | None = None,
        before: datetime | None = None,
        before_event: str | None = None,
    ) -> Sequence[CallbackDelivery]:
        """Its deliveries with their tries, newest first; see ``CallbackDeliveryStore.search``."""
        self.get(callback_id, account)
        return self._deliveries.search(callback_id, limit, state=state, before=before, before_event=before_event)

    def resend(self, callback_id: str, account: str | None, event_id: str) -> CallbackDelivery:
        """Send one event again, with the same id. Raises ``CallbackNotFoundError`` for one that it never was sent."""
        self.get(callback_id, account)
        now = self._clock.now()
        if not self._deliveries.send_again(callback_id, [event_id], now, only_undelivered=False):
            raise CallbackNotFoundError
        self._callbacks.wake([callback_id], now)
        found = self._deliveries.get(callback_id, event_id)
        if found is None:
            raise CallbackNotFoundError
        return found

    def resend_since(
        self,
        callback_id: str,
        account: str | None,
        since: datetime,
        *,
        after: int = 0,
        includes_delivered: bool = False,
    ) -> Resent:
        """Send all events published since ``since`` that it wants, those too that happened while it was disabled.

        ``RESEND_LIMIT`` events are looked at; to go on behind them, give the position that is answered as ``after``.
        """
        callback = self.get(callback_id, account)
        now = self._clock.now()
        count, seen, position = 0, 0, after
        while seen < RESEND_LIMIT:
            page = self._events.after(callback.account, position, _PAGE, since=since)
            wanted = [event for event in page if callback.wants(event)]
            self._deliveries.add([replace(delivery_of(callback, event), begun_at=now) for event in wanted])
            count += self._deliveries.send_again(
                callback_id, [event.event_id for event in wanted], now, only_undelivered=not includes_delivered
            )
            seen += len(page)
            if page:
                position = page[-1].position
            if len(page) < _PAGE:
                break
        self._callbacks.wake([callback_id], now)
        return Resent(count, position if seen >= RESEND_LIMIT else None)

    def _note(
        self, action: CallbackAction, actor: str, callback: Callback, details: Mapping[str, object] | None = None
    ) -> None:
        self._audit.record_callback_event(
            CallbackEvent(
                event_id=self._new_id(),
                action=action,
                actor=actor,
                at=self._clock.now(),
                client=callback.account,
                callback_id=callback.callback_id,
                details=details or {},
            )
        )

    def _new_secret(self, now: datetime) -> CallbackSecret:
        return CallbackSecret(make_secret(self._random_bytes(SECRET_BYTES)), now)

    def _check_url(self, url: str) -> None:
        """What can be told without asking anybody; at what address its host is, is seen when it is called."""
        problem = url_problem(url, self._private_hosts)
        if problem is not None:
            raise InvalidRequestError([Problem("/url", problem, "not_allowed")])


def _noted(changes: Mapping[str, Any]) -> dict[str, object]:
    """What the audit says of changes: the address without its path, which may hold a secret."""
    noted: dict[str, object] = {"changed": sorted(changes)}
    if "url" in changes:
        noted["origin"] = parse(changes["url"]).origin
    if "state" in changes:
        noted["to"] = str(changes["state"])
    return noted


def url_problem(url: str, private_hosts: Collection[str]) -> str | None:
    """What is wrong with an endpoint's URL, in words that follow the name of its field; None: nothing."""
    try:
        address = parse(url)
    except ValueError as error:
        return str(error)
    if address.host in private_hosts:
        return None
    if address.scheme != "https":
        return "must begin with https://"
    if is_private_name(address.host) or not _may_be_public(address.host):
        return "must be at a public address; who runs WaveCom allows others"
    return None


def _may_be_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        return True  # a name
