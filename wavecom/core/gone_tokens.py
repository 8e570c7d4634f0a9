"""Push tokens that are gone: forgotten by themselves, so that the next message goes to the device seen before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from wavecom.core.job import CallResult, Job, Reason
from wavecom.core.lanes import Channel
from wavecom.core.recipients import recipient_of
from wavecom.core.registered_recipients import RecipientStore

log = structlog.get_logger()


class GoneTokens:
    """Hears of recipients of whom a provider has said that they can't be reached."""

    def __init__(self, recipients: RecipientStore) -> None:
        self._recipients = recipients

    def forget(self, rejections: Sequence[tuple[Job, CallResult]]) -> None:
        """Take the tokens away that are gone, of test accounts as well. May be repeated. Raises ``StoreError``.

        One that was registered since the call began is there again, whatever its answer says.
        """
        for job, call in rejections:
            address = recipient_of(job.type, job.to)
            is_gone = job.type is Channel.PUSH and call.answer.reason is Reason.RECIPIENT_GONE
            if is_gone and job.recipient_id is not None and address is not None:
                began_at = call.at - timedelta(milliseconds=call.latency_ms)
                if self._recipients.forget_token(job.client, job.recipient_id, address, began_at):
                    log.info("push_token_forgotten", account=job.client, recipient_id=job.recipient_id)
