"""Every error WaveCom raises on purpose; the class carries the decision, the message says what to do.

::

    WaveComError
    ├── ConfigurationError          the start must stop; lists every problem at once
    │   ├── SettingsError               the environment
    │   └── ProvidersFileError          the providers file, by name and line
    ├── RefusedError                the caller's request can't be taken as it is (HTTP 4xx)
    │   ├── MalformedBodyError          not JSON at all
    │   ├── BodyTooLargeError           over a limit of size, depth or field count
    │   ├── UnsupportedMediaTypeError   not application/json
    │   ├── RequestTimeoutError         the body did not arrive in time
    │   ├── InvalidRequestError         fields are wrong; names every one of them
    │   │   └── ChannelNotServedError       nobody here delivers what is of this type
    │   ├── NothingAcceptedError        a batch of which not one could be taken
    │   ├── UnauthenticatedError        no key, or one that nobody issued
    │   ├── TooManyWrongKeysError       and too many of those from one address
    │   ├── WrongSignatureError         a receipt that its provider has not signed
    │   ├── ForbiddenError              a key without the scope
    │   ├── UnknownHostError            asked for under a name that is not ours
    │   ├── JobNotFoundError            no such job for this client
    │   ├── KeyNotFoundError            no such API key among those that the caller manages
    │   ├── ProviderNotFoundError       the providers file declares no such provider
    │   ├── SuppressionNotFoundError    no such entry of a suppression list for this client
    │   ├── CallbackNotFoundError       no such callback of this client
    │   ├── UploadNotFoundError         no such uploaded file of this client
    │   ├── TemplateNotFoundError       no such template, or version of it, of this client
    │   ├── RecipientNotFoundError      no such recipient of this client
    │   ├── CategoryNotFoundError       no such category of this client
    │   ├── CampaignNotFoundError       no such campaign of this client
    │   ├── EventsExpiredError          events behind this position have been deleted already
    │   ├── TooManyStreamsError         the key has as many event streams as it may
    │   ├── IdempotencyMismatchError    same key, other body
    │   └── RateLimitedError            the key has sent too much in too short a time
    │       └── QuotaExhaustedError         or all that it may in a day
    ├── ConflictError               the job is not in a state that allows this
    │   ├── TransitionError             the state machine has no such arrow
    │   │   ├── TooLateToCancelError        it is on its way, or done
    │   │   ├── MayHaveBeenSentError        nobody can tell whether it was sent
    │   │   ├── DuplicatePossibleError      a replay might send twice, and nobody has accepted that
    │   │   ├── NotUnconfirmedError         only what is unconfirmed can be settled by hand
    │   │   └── NotFailedError              only what failed can be replayed or discarded
    │   ├── LostRaceError               compare-and-set: somebody else moved the job first
    │   ├── CampaignStatusError         the campaign's status does not allow this
    │   ├── UploadOffsetError           rows of an upload that are not the next ones
    │   └── KeyEndedError               the API key is no longer one to be rotated
    ├── UnavailableError            a server of ours can't be reached now; try again later
    │   ├── StoreError                  MongoDB
    │   │   └── UncertainWriteError         the write may or may not have been made
    │   ├── BrokerError                 RabbitMQ
    │   └── OverloadedError             more requests in flight than we can hold
    ├── RetryLater                  not a failure: this attempt is over, the next one is planned
    └── RequeueError                a worker hands the message back to the broker

``wavecom.web.problems`` holds the one table from these classes to HTTP answers; a test holds it complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from wavecom.error_base import ConfigurationError as ConfigurationError
from wavecom.error_base import ProvidersFileError as ProvidersFileError
from wavecom.error_base import SettingsError as SettingsError
from wavecom.error_base import WaveComError as WaveComError
from wavecom.error_values import LimitStatus as LimitStatus
from wavecom.error_values import Problem as Problem


class RefusedError(WaveComError):
    """The caller's request can't be taken as it is; nothing of it was stored."""

    code = "refused"


class MalformedBodyError(RefusedError):
    """400: the body is not JSON."""

    code = "malformed_json"


class BodyTooLargeError(RefusedError):
    """The body is over a limit of size, depth or number of fields."""

    code = "body_too_large"


class UnsupportedMediaTypeError(RefusedError):
    """The body is not declared as ``application/json``."""

    code = "unsupported_media_type"


class RequestTimeoutError(RefusedError):
    """The body did not arrive in time, or stood in the way of others; nothing of the request was looked at."""

    code = "request_timeout"


class InvalidRequestError(RefusedError):
    """Fields are missing or wrong. ``problems`` names every one of them, by JSON pointer."""

    code = "invalid_request"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.where}: {problem.message}" for problem in self.problems))


class ChannelNotServedError(InvalidRequestError):
    """No provider is set up for the notification: the providers file has no route for its channel, or none for it."""

    code = "channel_not_served"

    def __init__(self, channel: str, served: Sequence[str]) -> None:
        if channel in served:
            text = (
                "is for this recipient, client and metadata; who runs WaveCom can say why (wavecom providers explain)"
            )
            super().__init__([Problem("/type", f"is {channel}, and no route here {text}", "not_served")])
            return
        instead = f"send one of: {', '.join(served)}" if served else "there is no channel that is"
        message = (
            f"is {channel}, which no provider is set up to deliver here; {instead}, or have a route for {channel} "
            "added to the providers file (test keys reach the sandbox all the same)"
        )
        super().__init__([Problem("/type", message, "not_served")])


class NothingAcceptedError(RefusedError):
    """Every notification of a batch was refused, each for a reason of its own."""

    code = "nothing_accepted"


class UnauthenticatedError(RefusedError):
    """No API key, or one that is unknown, expired or revoked.

    ``reason`` and ``key_id`` (of a key that was known) are for our log: a stranger is told the same in every case.
    """

    code = "unauthenticated"

    def __init__(self, message: str, reason: str = "unknown_key", key_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.key_id = key_id


class TooManyWrongKeysError(RefusedError):
    """One more wrong key, after many others from the same address or for the same key. A right one is let in."""

    code = "too_many_wrong_keys"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            "Too many wrong API keys came from this address. The right one is let in at any time; "
            f"with others, wait {retry_after_seconds} seconds."
        )
        self.retry_after_seconds = retry_after_seconds


class WrongSignatureError(RefusedError):
    """A receipt isn't signed by the provider whose name stands in its address, or not of late."""

    code = "wrong_signature"


class ForbiddenError(RefusedError):
    """The API key is known but lacks the scope for this operation. ``key_id`` is for our log."""

    code = "forbidden"

    def __init__(self, message: str, key_id: str | None = None) -> None:
        super().__init__(message)
        self.key_id = key_id


class UnknownHostError(RefusedError):
    """The request's ``Host`` is no name of this server."""

    code = "unknown_host"


class JobNotFoundError(RefusedError):
    """No such job, or not this client's: the two are answered alike on purpose."""

    code = "job_not_found"


class KeyNotFoundError(RefusedError):
    """No such API key, or not one that the caller manages: the two are answered alike on purpose."""

    code = "key_not_found"


class ProviderNotFoundError(RefusedError):
    """The providers file declares no such provider."""

    code = "provider_not_found"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"There is no provider of this name; there are: {', '.join(names) or 'none'}.")


class SuppressionNotFoundError(RefusedError):
    """No such entry of a suppression list, or not of this client's: the two are answered alike on purpose."""

    code = "suppression_not_found"

    def __init__(self) -> None:
        super().__init__("There is no entry of the suppression list with this id for your key.")


class CallbackNotFoundError(RefusedError):
    """No callback with this id exists for this client."""

    code = "callback_not_found"

    def __init__(self) -> None:
        super().__init__("There is no callback with this id for your key, or no such event for this callback.")


class UploadNotFoundError(RefusedError):
    """No uploaded file of this client has this id, or it has expired."""

    code = "file_not_found"


class TemplateNotFoundError(RefusedError):
    """No template of this name, or no such version of it, exists for this client."""

    code = "template_not_found"


class RecipientNotFoundError(RefusedError):
    """This client has no recipient of this id."""

    code = "recipient_not_found"

    def __init__(self) -> None:
        super().__init__("There is no recipient with this id for your key.")


class CategoryNotFoundError(RefusedError):
    """This client has no category of this name."""

    code = "category_not_found"

    def __init__(self) -> None:
        super().__init__("There is no category of this name for your key.")


class CampaignNotFoundError(RefusedError):
    """No such campaign, or not this client's: the two are answered alike on purpose."""

    code = "campaign_not_found"

    def __init__(self) -> None:
        super().__init__("There is no campaign with this id for your key.")


class EventsExpiredError(RefusedError):
    """Events behind the position that was asked for are deleted, or there never was such a position.

    ``first`` is the position of the oldest event that is kept.
    """

    code = "events_expired"

    def __init__(self, first: int, *, is_unknown: bool = False) -> None:
        super().__init__(
            "There is no such position among your events; begin without `after`, or with one that a page or event has."
            if is_unknown
            else "Events behind this position have been deleted, after 7 days or more. Read how your notifications "
            f"stand, and go on with `after={first - 1}`, the oldest event that is kept."
        )


class TooManyStreamsError(RefusedError):
    """Whoever asks has ``most`` event streams, or answers as long as a list, under way at this process already."""

    code = "too_many_streams"
    retry_after_seconds = 10

    def __init__(self, most: int, *, of_exports: bool = False) -> None:
        super().__init__(
            f"There are {most} exports under way for this key already. Read them to their ends, or close them."
            if of_exports
            else f"There are {most} event streams open for this key already. Read all events by one of them, close "
            "those that nobody reads, or read `GET /api/events` again and again."
        )


class IdempotencyMismatchError(RefusedError):
    """The idempotency key was used before with another body."""

    code = "idempotency_mismatch"

    def __init__(self, held_since: datetime | None = None) -> None:
        super().__init__(
            "This Idempotency-Key was used before with another body. "
            "Send the same body again, or use a new key for a new notification."
        )
        #: When the job was accepted that holds the key, where that is known.
        self.held_since = held_since


class RateLimitedError(RefusedError):
    """A key has no room for this now. Nothing was counted; ``limits`` tell what it may do and what is left of that."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_seconds: int, limits: Sequence[LimitStatus]) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.limits = tuple(limits)


class QuotaExhaustedError(RateLimitedError):
    """The same for the rest of the day."""

    code = "quota_exhausted"


class ConflictError(WaveComError):
    """The job is not in a state that allows what was asked."""

    code = "conflict"


class TransitionError(ConflictError):
    """The state machine has no arrow for this event from this status."""

    code = "invalid_transition"


class TooLateToCancelError(TransitionError):
    """A worker or a provider has the job, or it is done."""

    code = "too_late_to_cancel"


class MayHaveBeenSentError(TransitionError):
    """An attempt ended without a clear answer: that the recipient gets nothing can't be promised any more."""

    code = "may_have_been_sent"


class DuplicatePossibleError(TransitionError):
    """The recipient may already have the message, and it was to be sent at most once: sending again must be asked for.

    ``problems`` names the field that does.
    """

    code = "duplicate_possible"
    problems = (Problem("/acceptDuplicate", "must be true: the recipient may already have this message", "required"),)


class NotUnconfirmedError(TransitionError):
    """Only an unconfirmed job can be settled by hand."""

    code = "not_unconfirmed"


class NotFailedError(TransitionError):
    """Only a failed job can be started again or put aside."""

    code = "not_failed"


class LostRaceError(ConflictError):
    """A compare-and-set write found that somebody else had moved the job first; nothing was written."""

    code = "lost_race"


class CampaignStatusError(ConflictError):
    """The campaign's status does not allow what was asked."""

    code = "campaign_status"


class UploadOffsetError(ConflictError):
    """Rows were sent for another place of their upload than the one that is next; ``offset`` is that one, in bytes."""

    code = "upload_offset"

    def __init__(self, offset: int) -> None:
        super().__init__(f"The next byte that is wanted is {offset}: go on there, with `Upload-Offset: {offset}`.")
        self.offset = offset


class KeyEndedError(ConflictError):
    """The API key has ended, or another has its place already."""

    code = "key_ended"


class UnavailableError(WaveComError):
    """A server of ours can't be reached now. ``retry_after_seconds`` is when to ask again."""

    code = "unavailable"
    retry_after_seconds = 5


class StoreError(UnavailableError):
    """MongoDB can't be reached or refused to serve; nothing was written."""

    code = "store_unavailable"


class UncertainWriteError(StoreError):
    """MongoDB went away in the middle of a write: it may or may not have been made."""

    code = "store_uncertain"


class BrokerError(UnavailableError):
    """RabbitMQ can't be reached, is blocked, or did not confirm."""

    code = "broker_unavailable"


class OverloadedError(UnavailableError):
    """More requests are in flight than this process may hold."""

    code = "overloaded"
    retry_after_seconds = 1


class RetryLater(WaveComError):  # noqa: N818 - not an error: Celery's autoretry_for wants an exception
    """This attempt is over and recorded; the next one starts in ``delay_seconds`` (whole, at least 1)."""

    code = "retry_later"

    def __init__(self, delay_seconds: int, reason: str) -> None:
        super().__init__(reason)
        self.delay_seconds = delay_seconds


class RequeueError(WaveComError):
    """The message can't be worked on here and now: hand it back to the broker."""

    code = "requeue"
