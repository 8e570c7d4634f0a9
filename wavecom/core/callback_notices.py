"""Telling a client's contact that an endpoint fails, or is called no more: a mail that is delivered like every other.

The notice is owed by the write that slows down or disables the callback, so none is lost; it is accepted under a key of
its own, so none is sent twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog

from wavecom.core.account import SYSTEM_CLIENT, account_beside, client_of
from wavecom.core.callback_schedule import DISABLE_AFTER
from wavecom.core.callbacks import Callback, CallbackStore, DisabledReason, NoticeKind
from wavecom.core.client_events import PROMISED
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import NewNotification
from wavecom.core.submission import Accepted
from wavecom.errors import RefusedError

log = structlog.get_logger()

_SUBJECTS: Final = {
    NoticeKind.FAILING: "Your endpoint at {host} fails",
    NoticeKind.DISABLED: "Your endpoint at {host} is sent no more events",
}
_FAILING: Final = """\
The endpoint of your callback {callback} has not taken an event since {since}: {failures} tries in a row have failed.

Its events are kept and tried again. If it goes on like this, the callback is disabled at {ends}, and events that happen
from then on are not kept for it.

What each try was answered: GET /api/callbacks/{id}/deliveries
"""
_DISABLED: Final = """\
Your callback {callback} is disabled, because its endpoint {reason}. Events are no longer kept for it.

To have it go on, once the endpoint is well: PATCH /api/callbacks/{id} with {{"state": "active"}}
To be sent what it has missed: POST /api/callbacks/{id}/resend with {{"since": "{since}"}}

Events can be sent again for {days} days. What each try was answered: GET /api/callbacks/{id}/deliveries
"""


class CallbackNotices:
    """Sends the notices that callbacks owe, on behalf of the system's own client.

    ``contact_of`` answers a client's e-mail address, or None; ``accept`` is ``Submission.accept``. Notices about test
    callbacks go to the sandbox, as all that comes of test keys does.
    """

    def __init__(
        self,
        callbacks: CallbackStore,
        contact_of: Callable[[str], str | None],
        accept: Callable[[NewNotification], Accepted],
    ) -> None:
        self._callbacks = callbacks
        self._contact_of = contact_of
        self._accept = accept

    def run(self, limit: int = 100) -> int:
        """Send up to ``limit``; how many were accepted. May be repeated, and run several times at once.

        Raises ``StoreError``: what is owed stays owed.
        """
        return sum(self._send(callback) for callback in self._callbacks.owing_notice(limit))

    def _send(self, callback: Callback) -> bool:
        client = client_of(callback.account)
        address = self._contact_of(client)
        is_accepted = False
        if address is None:
            log.warning(
                "callback_notice_without_contact",
                callback_id=callback.callback_id,
                account=callback.account,
                fix=f"wavecom keys contact --client {client} --email ADDRESS",
            )
        else:
            try:
                is_accepted = not self._accept(notice(callback, address)).is_replay
            except RefusedError as error:
                log.warning(
                    "callback_notice_refused",
                    callback_id=callback.callback_id,
                    account=callback.account,
                    reason=error.code,
                    fix="give WaveCom a route for e-mail",
                )
        self._callbacks.settle_notice(callback)
        return is_accepted


def notice(callback: Callback, address: str) -> NewNotification:
    """The mail to ``address`` that says what ``callback`` owes its client."""
    assert callback.owed_notice is not None  # noqa: S101 - the caller has looked
    began_at = callback.failing_since or callback.disabled_at or callback.updated_at
    # Not the whole URL: it may hold a secret of the client's.
    host = urlsplit(callback.url).hostname or ""
    shown = f"{callback.name} ({callback.callback_id})" if callback.name else callback.callback_id
    template = _FAILING if callback.owed_notice is NoticeKind.FAILING else _DISABLED
    text = template.format(
        callback=f"{shown} of {callback.account}",
        id=callback.callback_id,
        failures=callback.failures,
        since=_written(began_at),
        ends=_written(began_at + DISABLE_AFTER),
        reason=_reason(callback, began_at),
        days=PROMISED.days,
    )
    return NewNotification(
        client=account_beside(callback.account, SYSTEM_CLIENT),
        type=Channel.EMAIL,
        to={"email": address},
        payload={"subject": _SUBJECTS[callback.owed_notice].format(host=host), "text": text},
        metadata={"callbackId": callback.callback_id, "client": callback.account},
        idempotency_key=f"callback {callback.callback_id} {callback.owed_notice} {_written(began_at)}",
        created_by=SYSTEM_CLIENT,
    )


def _reason(callback: Callback, began_at: datetime) -> str:
    if callback.disabled_reason is DisabledReason.GONE:
        return "has answered 410 Gone, which asks for that"
    hours = int(DISABLE_AFTER.total_seconds()) // 3600
    return f"has taken no event for {hours} hours: since {_written(began_at)}, {callback.failures} tries have failed"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
