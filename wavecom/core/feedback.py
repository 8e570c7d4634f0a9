"""What receipts and inbound messages do to the suppression list: ``FeedbackHandler`` of ``core.receipts``.

Whose list: of a receipt, that of the job's account; where the job is not kept any more, that of every live account that
has sent to this recipient by this provider, or of all where the receipt names a notification of ours and nobody is
known to have sent. Of an inbound message, those of the live accounts whose messages went to this number by the provider
that it came from, because STOP is said to our number and not to one client of it; where nothing is known of any such
message, STOP holds for all clients. A provider that is one client's own speaks to that client alone: he takes the
place of "all". START takes back what was said to the same provider, for all of them; and never for all whatever was
said: who has left one bank's number does not come back to it by a word to another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from email.utils import parseaddr

import structlog

from wavecom.core.account import live_accounts
from wavecom.core.job import Job, JobId
from wavecom.core.keywords import Keyword, Keywords
from wavecom.core.lanes import Channel
from wavecom.core.ports import JobRepository
from wavecom.core.receipt_rules import log_id
from wavecom.core.receipts import InboundMessage, MatchedReceipt, Receipt, ReceiptKind
from wavecom.core.recipients import e164, recipient_of
from wavecom.core.suppression_list import SuppressionList
from wavecom.core.suppressions import (
    USUAL_SCOPES,
    NewSuppression,
    SuppressionFilter,
    SuppressionSource,
    SuppressionState,
    by_provider,
    reported_by_provider,
    source_of,
)

log = structlog.get_logger()

#: Entries that STOP has set for one number: one a client.
_ENTRIES_LIMIT = 1000
_PHONE_NUMBER = re.compile(r"\+[0-9]+")
_KINDS = {
    ReceiptKind.COMPLAINT: SuppressionSource.COMPLAINT,
    ReceiptKind.UNSUBSCRIBED: SuppressionSource.UNSUBSCRIBE,
}


class SuppressionFeedback:
    """``wavecom.core.receipts.FeedbackHandler``. ``accounts`` answers the live accounts of all clients.

    ``owners`` are the accounts of the providers that one client has for itself, by the provider's name. For metrics
    ``on_keyword`` hears of each word that was understood, ``on_unknown_sender`` of the provider of each that came from
    no number. ``on_help`` gets each message that asks for help, with the accounts that have sent to its number.
    """

    def __init__(
        self,
        *,
        suppressions: SuppressionList,
        jobs: JobRepository,
        accounts: Callable[[], Collection[str]],
        keywords: Keywords,
        owners: Mapping[str, str],
        on_keyword: Callable[[Keyword], None] = lambda _keyword: None,
        on_unknown_sender: Callable[[str], None] = lambda _provider: None,
        on_help: Callable[[InboundMessage, Collection[str]], None] = lambda _message, _accounts: None,
    ) -> None:
        self._suppressions = suppressions
        self._jobs = jobs
        self._accounts = accounts
        self._keywords = keywords
        self._owners = owners
        self._on_keyword = on_keyword
        self._on_unknown_sender = on_unknown_sender
        self._on_help = on_help

    def on_receipts(self, receipts: Sequence[MatchedReceipt]) -> None:
        """See the port."""
        found = [_matched(each) for each in receipts if self._may_speak_of(each.job, each.provider)]
        self._suppressions.add([new for new in found if new is not None])

    def on_unmatched(self, provider: str, receipts: Sequence[Receipt]) -> None:
        """See the port."""
        found: list[NewSuppression] = []
        for receipt in receipts:
            to = _addressee(receipt.recipient)
            if to is None:
                continue
            channel, recipient = to
            accounts = self._accounts_that_sent(provider, channel, recipient)
            # One that names no notification of ours may be about a message that another system has sent with the same
            # account: that is no reason to suppress anybody whom we have never sent anything.
            if not accounts and receipt.job_id is not None:
                accounts = self._accounts_of(provider)
            found += filter(None, (_new(provider, receipt, each, channel, recipient) for each in sorted(accounts)))
        self._suppressions.add(found)

    def on_inbound(self, provider: str, messages: Sequence[InboundMessage]) -> None:
        """See the port."""
        stops: list[NewSuppression] = []
        for message in messages:
            keyword = self._keywords.find(message.text)
            if keyword is None:
                continue
            number = e164(message.sender)
            if number is None:
                # A name, or nothing: there is nobody to write to, and no entry would ever stop a message.
                log.warning("keyword_from_no_number", provider=provider, keyword=keyword)
                self._on_unknown_sender(provider)
                continue
            message = replace(message, sender=number)
            accounts = self._accounts_that_sent(provider, Channel.SMS, number)
            # No number and no text: both are the writer's.
            log.info("keyword_received", provider=provider, keyword=keyword, accounts=len(accounts))
            self._on_keyword(keyword)
            match keyword:
                case Keyword.STOP:
                    stops += [
                        _stop(provider, message, each) for each in sorted(accounts or self._accounts_of(provider))
                    ]
                case Keyword.START:
                    # Those before it, which it may be about, are to be there.
                    self._suppressions.add(stops)
                    stops = []
                    self._start(provider, message, accounts)
                case Keyword.HELP:
                    self._on_help(message, accounts)
        self._suppressions.add(stops)

    def _start(self, provider: str, message: InboundMessage, accounts: frozenset[str]) -> None:
        self._suppressions.lift_stops(
            sorted(accounts | self._accounts_stopped_by(provider, message.sender)),
            Channel.SMS,
            message.sender,
            by="recipient",
            event_id=_event_id(provider, message.event_id),
            happened_at=message.at,
        )

    def _may_speak_of(self, job: Job, provider: str) -> bool:
        return not job.lane.is_test and self._owners.get(provider, job.client) == job.client

    def _accounts_that_sent(self, provider: str, channel: Channel, recipient: str) -> frozenset[str]:
        accounts = self._jobs.accounts_that_sent(provider, channel, recipient)
        if provider in self._owners:
            return accounts & {self._owners[provider]}
        return live_accounts(accounts)

    def _accounts_of(self, provider: str) -> frozenset[str]:
        """Who may have sent by the provider: for a word that has to count, though nothing that was sent is kept."""
        return frozenset({self._owners[provider]} if provider in self._owners else self._accounts())

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


def _event_id(provider: str, event_id: str) -> str:
    return f"{provider} {log_id(event_id)}"


def _stop(provider: str, message: InboundMessage, account: str) -> NewSuppression:
    return NewSuppression(
        account=account,
        channel=Channel.SMS,
        recipient=message.sender,
        source=SuppressionSource.STOP,
        scope=USUAL_SCOPES[SuppressionSource.STOP],
        by="recipient",
        reason=_reason_of_stop(provider),
        event_id=_event_id(provider, message.event_id),
        happened_at=message.at,
    )


def _matched(matched: MatchedReceipt) -> NewSuppression | None:
    job, receipt = matched.job, matched.receipt
    recipient = _recipient(job, receipt.recipient)
    if recipient is None:
        return None
    return _new(matched.provider, receipt, job.client, job.type, recipient, job.job_id)


def _new(
    provider: str, receipt: Receipt, account: str, channel: Channel, recipient: str, job_id: JobId | None = None
) -> NewSuppression | None:
    source = _KINDS.get(receipt.kind)
    if source is None and receipt.reason is not None:
        source = source_of(receipt.reason, channel)
    if source is None:
        return None
    return reported_by_provider(
        provider,
        source,
        account=account,
        channel=channel,
        recipient=recipient,
        code=receipt.code or receipt.kind.value,
        job_id=job_id or receipt.job_id,
        event_id=_event_id(provider, receipt.event_id),
        happened_at=receipt.at,
    )


def _recipient(job: Job, told: str | None) -> str | None:
    """Whom a receipt is about: the job's recipient. One that names somebody else, such as who got a copy, is not."""
    own = recipient_of(job.type, job.to)
    if told is None or own is None or job.type is not Channel.EMAIL:
        return own
    return own if _mail_address(told) == own else None


def _addressee(told: str | None) -> tuple[Channel, str] | None:
    """The channel and address that a provider tells, where the address itself shows what it is; no push token does."""
    if told is None:
        return None
    if "@" in told:
        return Channel.EMAIL, _mail_address(told)
    return (Channel.SMS, told) if _PHONE_NUMBER.fullmatch(told) else None


def _mail_address(told: str) -> str:
    # SES and Resend give back what they were given: ``Amina <amina@example.com>``.
    return (parseaddr(told)[1] or told.strip()).casefold()
