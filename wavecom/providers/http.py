"""``type = "http"``: one request to any gateway, by default a JSON POST.

Sends ``{"jobId", "reference", "type", "to", "payload", "metadata", "attempt"}`` with the header ``Idempotency-Key``, by
which the gateway is expected to drop repetitions; one that doesn't is declared with ``is_idempotent = false``.
``reference`` is what it is to give back in its reports: the jobId, and another one after each replay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from marshmallow import ValidationError, fields

from wavecom.core.job import Outcome, ProviderResult, Reason, Scope
from wavecom.core.ports import Message
from wavecom.providers.base import ProviderDependencies, whole_payload
from wavecom.providers.base_http import BaseHttpProvider, json_body, refused_own_sender
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import (
    Mistake,
    flag,
    header_table,
    http_url,
    is_this_machine,
    pem_file,
    tuple_of,
)
from wavecom.providers.configuration.receipt_options import HttpReceiptOptions, ReceiptTable
from wavecom.providers.gateway.answers import AnswerLocation, AnswerRule, ParsedAnswer, first_rule
from wavecom.providers.gateway.fields import table_of, tables_of
from wavecom.providers.gateway.requests import RequestOptions
from wavecom.providers.gateway.samples import sample_messages
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_field, retry_after_seconds
from wavecom.providers.transport import Request, Response

ACCEPTED, REJECTED, UNAVAILABLE, UNKNOWN = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN

_OUR_REQUEST = "the gateway does not take what WaveCom sends: check that url is an address for JSON by POST"


def _ours(check: str) -> AnswerMeaning:
    """The trouble is ours and every message's."""
    return AnswerMeaning(UNAVAILABLE, Scope.PROVIDER, check)


#: What a status means unless the providers file says otherwise (RFC 9110 section 15, RFC 6585, RFC 8470, RFC 7725).
#:
#: ``rejected`` ends a message for good, so only what is about *this message* stands there. What says that our address,
#: our token or our account is wrong would say the same to every message: the next provider is asked, and people are
#: told what to check. What may have been taken is unknown.
STATUSES: Mapping[int | str, Outcome | AnswerMeaning] = {
    "1xx": UNKNOWN,  # an interim answer that no final one followed
    "2xx": ACCEPTED,
    # A redirect is not followed: the message went nowhere.
    "3xx": _ours("a redirect, which is not followed: check url, perhaps http or a slash at its end"),
    400: REJECTED,
    401: AnswerMeaning.account(Reason.CREDENTIALS, "our credentials are not accepted: check the token in headers"),
    402: AnswerMeaning.account(Reason.BALANCE, "the account has no credit or is not paid for: check it there"),
    403: _ours("our account may not do this: check its rights, and whether our address is allowed"),
    404: _ours("there is nothing at this address: check the path in url"),
    405: _ours("the address takes no POST: check the path in url"),
    406: _ours(_OUR_REQUEST),
    407: _ours("a proxy before the gateway wants credentials: check url and the network"),
    408: UNKNOWN,  # of a proxy that waited for the gateway: who knows how long it had been at work
    409: AnswerMeaning(UNKNOWN, Scope.MESSAGE),  # it knows the Idempotency-Key: it has the message, or works on it
    410: REJECTED,
    413: REJECTED,
    421: _ours("this server does not answer for the host in url: check it"),
    422: REJECTED,
    425: AnswerMeaning(UNAVAILABLE, Scope.MESSAGE),
    426: _ours("the gateway wants another protocol: check whether url must begin with https"),
    429: UNAVAILABLE,  # of this recipient or of all? many of them will tell
    431: _ours("the headers are too long for the gateway: check those in headers"),
    451: REJECTED,  # a legal demand: not to be got round by another provider
    # 411, 412, 414, 415, 417 and the like speak of the form of the request, which is the same for every message; so
    # may those that no standard names. A message must not be lost to a guess.
    "4xx": AnswerMeaning(UNAVAILABLE, check=_OUR_REQUEST),
    "5xx": UNKNOWN,
    500: UNAVAILABLE,  # unknown for a message that must not be sent twice: see BaseHttpProvider
    502: UNKNOWN,  # of what stands before the gateway, which may have taken the message
    503: UNAVAILABLE,
    504: UNKNOWN,
    511: _ours("the network wants a login before it lets anything out: check the network"),
    # What stands before many gateways says that it got no connection to them, so nothing arrived there.
    521: UNAVAILABLE,
    523: UNAVAILABLE,
    525: UNAVAILABLE,
    526: UNAVAILABLE,
}

#: Where gateways put their name for the message.
ID_FIELDS = ("id", "messageId", "message_id")

#: Set by us or by the transport.
OWN_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "idempotency-key", "te", "transfer-encoding"}
)


#: Names of headers and parameters that carry what proves who we are.
_CREDENTIAL = re.compile(
    r"auth(?!ors?(?:$|[-_]))|cookie|credential|(?<![a-z])(?:access|api|app)?key|passw|secret|signature|token",
    re.IGNORECASE,
)


#: A value that proves who we are, whatever its header is called (RFC 9110, section 11.4).
_CREDENTIAL_VALUE = re.compile(r"\s*(?:basic|bearer|digest|negotiate|token)\s", re.IGNORECASE)


class _Status(fields.Field[int | str]):
    def _deserialize(self, value: object, *_args: Any, **_named: Any) -> int | str:
        if isinstance(value, int) and 100 <= value <= 599:
            return value
        if isinstance(value, str) and re.fullmatch("[1-5]xx", value):
            return value
        raise ValidationError('must be a status from 100 to 599 or a class such as "5xx"')


_STATUSES = tuple_of(_Status(), 'must be a list such as ["2xx", 429]')


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HttpOptions:
    """The type's own keys. Each list of statuses changes the meaning of those named in it, and of no others."""

    url: Annotated[str, http_url()]
    headers: Annotated[Mapping[str, str], header_table(OWN_HEADERS)] = field(default_factory=dict)
    ca_file: Annotated[str | None, pem_file()] = None
    #: The network up to the gateway is trusted with our credentials, though url begins with http.
    allow_plain_credentials: Annotated[bool, flag()] = False
    #: None: where the job's own words are sent, which have the key in them.
    is_idempotent: Annotated[bool | None, flag()] = None
    accepted: Annotated[tuple[int | str, ...], _STATUSES] = ()
    rejected: Annotated[tuple[int | str, ...], _STATUSES] = ()
    unavailable: Annotated[tuple[int | str, ...], _STATUSES] = ()
    unknown: Annotated[tuple[int | str, ...], _STATUSES] = ()
    #: How the gateway reports what became of messages; None: it doesn't, and what it accepts counts as delivered.
    receipts: Annotated[HttpReceiptOptions | None, ReceiptTable()] = None
    #: What is sent in place of the job's own words.
    request: Annotated[RequestOptions | None, table_of(RequestOptions)] = None
    #: What answers mean beyond their status; the first that applies counts.
    answers: Annotated[tuple[AnswerRule, ...], tables_of(AnswerRule)] = ()
    #: Where an answer names the message, a code of its own, and the seconds after which to come back.
    message_id: Annotated[AnswerLocation | None, table_of(AnswerLocation)] = None
    code: Annotated[AnswerLocation | None, table_of(AnswerLocation)] = None
    retry_after: Annotated[AnswerLocation | None, table_of(AnswerLocation)] = None

    def __post_init__(self) -> None:
        self._check_credentials()
        seen: dict[int | str, Outcome] = {}
        for status, outcome in self.changes():
            if seen.setdefault(status, outcome) is not outcome:
                raise ValidationError(f"{status} stands in {seen[status]} too; a status has one meaning", outcome)

    def _check_credentials(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or is_this_machine(parts.hostname or "") or self.allow_plain_credentials:
            return
        places = [
            f"the header {name}"
            for name, value in self.headers.items()
            if _CREDENTIAL.search(name) or _CREDENTIAL_VALUE.match(value)
        ]
        places += [f"{name} in url" for name, _ in parse_qsl(parts.query) if _CREDENTIAL.search(name)]
        if parts.username is not None:
            places.append("the user in url")
        if self.request is not None and self.request.basic is not None:
            places.append("the password in request.basic")
        if places:
            raise ValidationError(
                f"would let {places[0]} be read on its way; use https, or say allow_plain_credentials = true where the "
                "network is trusted",
                "url",
            )

    def changes(self) -> Iterator[tuple[int | str, Outcome]]:
        """Each status named in the file, with its new meaning."""
        for outcome in Outcome:
            yield from ((status, outcome) for status in getattr(self, outcome))


class HttpProvider(BaseHttpProvider[HttpOptions]):
    """Any gateway: the job's own words as JSON, or what the file says (``wavecom.providers.gateway``)."""

    options_class: ClassVar[type[HttpOptions]] = HttpOptions

    def __init__(self, config: ProviderConfig[HttpOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        chosen = self.options.is_idempotent
        self.is_idempotent = self.options.request is None if chosen is None else chosen
        self.body_decides = type(self).body_decides or any(rule.looks_into_bodies for rule in self.options.answers)
        self.answers = AnswerTable({**STATUSES, **dict(self.options.changes())})

    @classmethod
    def mistakes_in(cls, config: ProviderConfig[HttpOptions]) -> Iterator[Mistake]:
        """See ``BaseProvider``: the templates are tried on messages of every channel."""
        request = config.options.request
        seen: set[tuple[str | int, ...]] = set()
        for message in sample_messages(config.channels if request is not None else frozenset()):
            for place, text in request.mistakes(message) if request is not None else ():
                if place not in seen:
                    seen.add(place)
                    yield Mistake(("request", *place), f"for type {message.type}: {text}", "template")

    def request(self, message: Message) -> Request:
        """What the file says, or the job's own words as JSON."""
        options = self.options.request
        if options is None:
            return self._usual_request(message)
        now = int(self.dependencies.clock.now().timestamp())
        built = options.build(self.options.url, message, whole_payload(message), now)
        headers = {"Idempotency-Key": message.delivery_key, **self.options.headers, **built.headers}
        return Request(
            built.url, built.body, headers, self.config.timeout_seconds, self.options.ca_file, method=options.method
        )

    def _usual_request(self, message: Message) -> Request:
        content = {
            "jobId": message.job_id,
            "reference": message.receipt_reference,
            "type": message.type,
            "to": message.to,
            "payload": whole_payload(message),
            "metadata": message.metadata,
            "attempt": message.attempt,
        }
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.delivery_key,
            **self.options.headers,
        }
        return Request(self.options.url, json_body(content), headers, self.config.timeout_seconds, self.options.ca_file)

    def message_id(self, response: Response) -> str | None:
        """Read where the file says, else from a JSON answer, where there is one."""
        if self.options.message_id is not None:
            return self.options.message_id.id_of(ParsedAnswer(response))
        return json_field(response, *ID_FIELDS)

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        """By the rules of the file, else by the status; with the code and the wait that the answer names."""
        result = super().interpret(response, message)
        options = self.options
        if not (options.answers or options.code or options.retry_after):
            return result
        answer = ParsedAnswer(response)
        rule = first_rule(options.answers, answer)
        if rule is not None:
            meaning = rule.meaning
            message_id = self.message_id(response) if meaning.outcome is Outcome.ACCEPTED else None
            wait = None if meaning.outcome in (Outcome.ACCEPTED, Outcome.REJECTED) else result.retry_after_seconds
            is_own_sender = refused_own_sender(meaning, message) is not None
            result = replace(
                result,
                outcome=meaning.outcome,
                scope=Scope.MESSAGE if is_own_sender else meaning.scope,
                is_final_here=is_own_sender,
                reason=meaning.reason,
                message_id=message_id,
                retry_after_seconds=wait,
            )
        if options.code is not None and (code := options.code.code_of(answer)) is not None:
            result = replace(result, code=f"{self.config.type}_code_{code}")
        if options.retry_after is not None and result.outcome is Outcome.UNAVAILABLE:
            asked = retry_after_seconds(options.retry_after.of(answer), self.dependencies.clock.now())
            result = result if asked is None else replace(result, retry_after_seconds=asked)
        return result
