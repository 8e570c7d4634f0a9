"""Answering HELP: a text message to whoever wrote it, accepted and delivered as any other of the account."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Final

import structlog

from wavecom.core.keywords import Keywords
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.ports import Clock
from wavecom.core.receipts import InboundMessage
from wavecom.core.submission import Accepted
from wavecom.errors import RefusedError

log = structlog.get_logger()

#: Who asks for help waits for the answer now.
_WORTH_SENDING: Final = timedelta(hours=1)


class HelpAnswers:
    """Sends the text for the language of the word, once a day (UTC) to each number.

    ``texts``: language (a key of ``keywords.KEYWORDS``) → text; the first is for words of languages that have none.
    Empty: HELP is not answered here. ``accept`` is ``Submission.accept``; ``on_answered`` hears of each, for metrics.
    """

    def __init__(
        self,
        accept: Callable[[NewNotification], Accepted],
        *,
        texts: Mapping[str, str],
        keywords: Keywords,
        clock: Clock,
        on_answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._accept = accept
        self._texts = texts
        self._keywords = keywords
        self._clock = clock
        self._on_answered = on_answered

    def answer(self, message: InboundMessage, accounts: Collection[str]) -> None:
        """Answer a message that asks for help, on behalf of one of the accounts that have sent to this number.

        Nothing where there is no such account: who was never written to gets no message of anybody. May be repeated.
        Raises ``StoreError``.
        """
        if not self._texts or not accounts:
            return
        now = self._clock.now()
        language = self._keywords.language_of(message.text)
        text = self._texts.get(language or "") or next(iter(self._texts.values()))
        number = hashlib.sha256(message.sender.encode()).hexdigest()
        new = NewNotification(
            client=min(accounts),
            type=Channel.SMS,
            to={"phone": message.sender},
            payload={"text": text},
            metadata={"answers": "HELP"},
            # Who has said STOP may ask for help all the same.
            priority=Priority.HIGH,
            expires_at=now + _WORTH_SENDING,
            # Two machines that answer each other would never end: the index of the store takes one of these a day.
            idempotency_key=f"help {number} {now:%Y-%m-%d}",
            created_by="recipient",
        )
        try:
            accepted = self._accept(new)
        except RefusedError as error:
            # No route is for it: nobody is helped by a provider that reports the message again.
            log.warning("help_not_answered", reason=type(error).__name__)
            return
        if not accepted.is_replay:
            log.info("help_answered", job_id=accepted.job.job_id, client=new.client)
            self._on_answered()
