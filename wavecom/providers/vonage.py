"""``type = "vonage"``: text messages by Vonage's SMS API. https://developer.vonage.com/en/api/sms

It answers 200 whatever happens. What happened stands in the body, once for each part of a long text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Final

import orjson

from wavecom.core.job import PARTIAL, Outcome, ProviderResult, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.core.sms import segments
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.findings import fields_of, prepaid_findings
from wavecom.providers.api.base import ApiOptions, ApiProvider, number, sender_of
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import secret, secrets, text
from wavecom.providers.responses import AnswerMeaning, AnswerTable
from wavecom.providers.transport import Request, Response

_ACCOUNT, _ELSEWHERE, _RECIPIENT = AnswerMeaning.account, AnswerMeaning.elsewhere, AnswerMeaning.recipient
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "Vonage does not accept api_key and api_secret")
_OURS = AnswerMeaning(Outcome.UNAVAILABLE, check="Vonage can't read what WaveCom sends: see its documentation")

#: https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms; ``other``: a status that it does not name.
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        "4xx": _OURS,
        401: _CREDENTIALS,
        403: _CREDENTIALS,
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "1": AnswerMeaning.limit(),  # faster than the account may send
        "2": _OURS,
        "3": Outcome.REJECTED,
        "4": _CREDENTIALS,
        "5": Outcome.UNAVAILABLE,
        "6": _RECIPIENT(Reason.RECIPIENT_INVALID),  # "an unrecognized number prefix"
        "7": _ELSEWHERE(),  # barred by Vonage: it says nothing of other providers
        "8": _ACCOUNT(Reason.BALANCE, "the account is barred: ask Vonage"),
        "9": _ACCOUNT(Reason.BALANCE, "the account has not enough credit: top it up"),
        "10": Outcome.UNAVAILABLE,
        "11": _ACCOUNT(Reason.CREDENTIALS, "the account is not set up for the SMS API: ask Vonage"),
        "12": _ELSEWHERE(),  # longer than Vonage takes
        "14": _ACCOUNT(Reason.CREDENTIALS, "Vonage wants signed requests: allow unsigned ones in its settings"),
        "15": _ACCOUNT(Reason.SENDER, "this account may not send from sender: check it at Vonage"),
        "22": Outcome.REJECTED,
        "23": _OURS,  # the callback's address
        "29": _ELSEWHERE("a trial account sends to listed numbers only: top it up"),
        "32": _CREDENTIALS,
        "33": _RECIPIENT(Reason.RECIPIENT_GONE),
        "other": AnswerMeaning(Outcome.UNAVAILABLE, check="Vonage refuses messages with a status that it doesn't name"),
    },
)

#: Milliseconds that ``ttl`` may be, and characters of ``callback`` (https://developer.vonage.com/en/api/sms).
_SHORTEST_TTL, _LONGEST_TTL = 20_000, 604_800_000
_LONGEST_CALLBACK: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VonageOptions(ApiOptions):
    """The type's own keys. ``signature_secret`` and ``signature_method`` are those of the account's settings."""

    api_key: Annotated[str, secret()]
    api_secret: Annotated[str, secret()]
    sender: Annotated[str, text()]
    signature_secret: Annotated[tuple[str, ...], secrets()] = ()
    signature_method: Annotated[str, text(choices=("md5hash", "md5", "sha1", "sha256", "sha512"))] = "sha256"


class VonageProvider(ApiProvider[VonageOptions]):
    """Vonage has no idempotency key. Our job id is its ``client-ref``, which comes back with receipts."""

    options_class: ClassVar[type[VonageOptions]] = VonageOptions
    channels = frozenset({Channel.SMS})
    answers = ANSWERS
    own_base_url = "https://rest.nexmo.com"
    body_decides = True

    def __init__(self, config: ProviderConfig[VonageOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        callback = self.receipts_address if self.expects_receipts else None
        #: Where it can't go with the message, the address in the account's settings counts.
        self._callback = callback if len(callback or "") <= _LONGEST_CALLBACK else None

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        content = str(message.payload["text"])
        fields = {
            "api_key": self.options.api_key,
            "api_secret": self.options.api_secret,
            "from": number(sender_of(message, self.options.sender)),
            "to": number(str(message.to["phone"])),
            "text": content,
            "type": "text" if segments(content).encoding == "GSM-7" else "unicode",
            "client-ref": message.receipt_reference,
            "ttl": self._milliseconds(message),
            "callback": self._callback,
        }
        return self.form_request("/sms/json", fields)

    def answer_code(self, response: Response) -> str | None:
        """The first status of a part that is not 0; None where there is none."""
        if not 200 <= response.status < 300:
            return None
        status = next((part["status"] for part in _parts(response) if part["status"] != "0"), None)
        return status if status is None or status in ANSWERS.codes else "other"

    def message_id(self, response: Response) -> str | None:
        """That of the first part."""
        message_id = _parts(response)[0].get("message-id")
        return message_id if isinstance(message_id, str) else None

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        """A text of which some parts were taken is unknown: the recipient may see a piece of it, or nothing.

        Not accepted, for a phone shows no text that lacks a part; not unavailable, for another provider's whole text
        would come on top of what was taken.
        """
        parts = _parts(response) if 200 <= response.status < 300 else []
        result = super().interpret(response, message)
        taken = [part for part in parts if part["status"] == "0"]
        if not taken or result.outcome is Outcome.ACCEPTED:
            return result
        text = f"{len(taken)} of {len(parts)} parts were taken; the others: {result.code}"
        return replace(
            result,
            outcome=Outcome.UNKNOWN,
            code=f"vonage{PARTIAL}",
            message=text,
            message_id=self.message_id(response),
            retry_after_seconds=None,
            scope=Scope.MESSAGE,
            is_final_here=False,
        )

    def _milliseconds(self, message: Message) -> int | None:
        """How long Vonage may try; None: as long as it does anyway."""
        if message.expires_at is None:
            return None
        milliseconds = int((message.expires_at - self.dependencies.clock.now()).total_seconds() * 1000)
        return max(_SHORTEST_TTL, milliseconds) if milliseconds < _LONGEST_TTL else None

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. https://developer.vonage.com/en/api/account"""
        answer = self.ask(client, "/account/get-balance", auth=(self.options.api_key, self.options.api_secret))
        return prepaid_findings(answer, fields_of(answer).get("value"), "EUR")


def _parts(response: Response) -> list[dict[str, Any]]:
    """What is said of each part, at least one. Raises ``ValueError`` for anything else."""
    content: Any = orjson.loads(response.body)
    parts = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not parts:
        raise ValueError("no messages")
    if not all(isinstance(part, dict) and isinstance(part.get("status"), str) for part in parts):
        raise ValueError("a message without a status")
    return parts
