"""What receipts and inbound messages do to the suppression list: ``FeedbackHandler`` of ``core.receipts``.

Whose list: of a receipt, that of the job's account. Of an inbound message, those of the live accounts whose messages
went to this number by the provider that it came from, because STOP is said to our number and not to one client of it;
where nothing is known of any such message, STOP holds for all clients. A provider that is one client's own speaks to
that client alone. START takes back what was said to the same
provider, for all of them; and never for all whatever was said: who has left one bank's number does not come back to it
by a word to another's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from email.utils import parseaddr

import structlog

from wavecom.core.account import is_test_account
from wavecom.core.job import Job
from wavecom.core.keywords import Keyword, Keywords
from wavecom.core.lanes import Channel
from wavecom.core.ports import JobFilter, JobRepository
from wavecom.core.receipt_rules import log_id
from wavecom.core.receipts import InboundMessage, MatchedReceipt, ReceiptKind
from wavecom.core.recipients import e164, recipient_of
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.suppressions import (
    USUAL_SCOPES,
    NewSuppression,
    SuppressionFilter,
    SuppressionSource,
    SuppressionState,
    by_provider,
    source_of,
)

log = structlog.get_logger()

#: So many of the last messages to a number tell who sends to it.
_JOBS_LIMIT = 200
#: And so many entries that STOP has set for one number: one a client.
_ENTRIES_LIMIT = 1000
_KINDS = {
    ReceiptKind.COMPLAINT: SuppressionSource.COMPLAINT,
    ReceiptKind.UNSUBSCRIBED: SuppressionSource.UNSUBSCRIBE,
}


class SuppressionFeedback:
    """``wavecom.core.receipts.FeedbackHandler``. ``accounts`` answers the live accounts of all clients.

    ``owners`` are the accounts of the providers that one client has for itself, by the provider's name. For metrics
    ``on_keyword`` hears of each word that was understood, ``on_unknown_sender`` of the provider of each that came from
    no number.
    """

    def __init__(
        self,
        *,
        suppressions: SuppressionList,
        jobs: JobRepository,
        accounts: Callable[[], Collection[str]],
        keywords: Keywords,
        owners: Mapping[str, str] | None = None,
        on_keyword: Callable[[Keyword], None] = lambda _keyword: None,
        on_unknown_sender: Callable[[str], None] = lambda _provider: None,
    ) -> None:
        self._suppressions = suppressions
        self._jobs = jobs
        self._accounts = accounts
        self._keywords = keywords
        self._owners = owners or {}
        self._on_keyword = on_keyword
        self._on_unknown_sender = on_unknown_sender

    def on_receipts(self, receipts: Sequence[MatchedReceipt]) -> None:
        """See the port."""
        found = [_new(each) for each in receipts if not is_test_account(each.job.client)]
        if news := [new for new in found if new is not None]:
            self._suppressions.add(news)

    def on_inbound(self, provider: str, messages: Sequence[InboundMessage]) -> None:
        """See the port."""
        for message in messages:
            keyword = self._keywords.find(message.text)
            if keyword is None:
                continue
            number = e164(message.sender)
            if number is None:
                # A name, or nothing: there is nobody to write to, and no entry would ever stop a message.
                log.warning("keyword_from_no_number", provider=provider, keyword=keyword)
                self._on_unknown_sender(provider)
            else:
                self._follow(provider, number, message, keyword)

    def _follow(self, provider: str, number: str, message: InboundMessage, keyword: Keyword) -> None:
        senders = self._accounts_that_sent(provider, number)
        event_id = f"{provider} {log_id(message.event_id)}"
        # No number and no text: both are the writer's.
        log.info("keyword_received", provider=provider, keyword=keyword, accounts=len(senders))
        self._on_keyword(keyword)
        match keyword:
            case Keyword.STOP:
                source = SuppressionSource.STOP
                self._suppressions.add(
                    [
                        NewSuppression(
                            account=account,
                            channel=Channel.SMS,
                            recipient=number,
                            source=source,
                            scope=USUAL_SCOPES[source],
                            by="recipient",
                            reason=_reason_of_stop(provider),
                            event_id=event_id,
                        )
                        for account in sorted(senders or self._accounts())
                    ]
                )
            case Keyword.START:
                accounts = sorted(senders | self._accounts_stopped_by(provider, number))
                self._suppressions.lift_stops(accounts, Channel.SMS, number, by="recipient", event_id=event_id)
            case Keyword.HELP:
                # Counted and logged, no more: most providers answer it themselves.
                return

    def _accounts_that_sent(self, provider: str, number: str) -> frozenset[str]:
        if provider in self._owners:
            return frozenset({self._owners[provider]})
        where = JobFilter(recipient=number, type=Channel.SMS, provider=provider, is_test=False)
        return frozenset(job.client for job in self._jobs.search(where, _JOBS_LIMIT).jobs)

    def _accounts_stopped_by(self, provider: str, number: str) -> frozenset[str]:
        where = SuppressionFilter(
            channel=Channel.SMS, recipient=number, source=SuppressionSource.STOP, state=SuppressionState.ACTIVE
        )
        return frozenset(
            entry.account
            for entry in self._suppressions.search(where, _ENTRIES_LIMIT).entries
            if entry.reason == _reason_of_stop(provider) or entry.by == by_provider(provider)
        )


def _reason_of_stop(provider: str) -> str:
    return f"wrote STOP to {provider}"


def _new(matched: MatchedReceipt) -> NewSuppression | None:
    job, receipt = matched.job, matched.receipt
    source = _source(matched)
    recipient = _recipient(job, receipt.recipient)
    return NewSuppression.of_job(
        job,
        source,
        recipient,
        provider=matched.provider,
        code=receipt.code or receipt.kind.value,
        event_id=f"{matched.provider} {log_id(receipt.event_id)}",
    )


def _source(matched: MatchedReceipt) -> SuppressionSource | None:
    receipt = matched.receipt
    if receipt.kind in _KINDS:
        return _KINDS[receipt.kind]
    return None if receipt.reason is None else source_of(receipt.reason, matched.job.type)


def _recipient(job: Job, told: str | None) -> str | None:
    """Whom a receipt is about: the job's recipient. One that names somebody else, such as who got a copy, is not."""
    own = recipient_of(job.type, job.to)
    if told is None or own is None or job.type is not Channel.EMAIL:
        return own
    # SES and Resend give back what they were given: ``Amina <amina@example.com>``.
    address = parseaddr(told)[1] or told.strip()
    return own if address.casefold() == own else None
