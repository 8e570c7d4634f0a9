"""The table ``receipts`` of a gateway declared by configuration: how its reports are signed, and what stands where.

docs/providers/http.md describes the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from marshmallow import ValidationError, fields

from wavecom.core.receipts import ReceiptKind
from wavecom.providers.configuration.json_pointers import JsonPointer
from wavecom.providers.configuration.options import checks_of, load, secrets, set_of, text, tuple_of, unknown_keys
from wavecom.providers.configuration.webhook_secrets import key_of

#: The word in ``kinds`` for what people write to us.
INBOUND: Final = "inbound"
#: The word in ``kinds`` for progress that every message makes (``Receipt.is_routine``).
ROUTINE: Final = "routine"
KINDS: Final = (*(kind.value for kind in ReceiptKind), ROUTINE, INBOUND)
#: Whoever guesses the secret reports what he likes.
_LEAST_CHARACTERS: Final = 16


class ReceiptSignature(StrEnum):
    """How the gateway proves that it is the sender."""

    #: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    STANDARD_WEBHOOKS = "standard_webhooks"
    #: The header ``header`` holds the secret itself.
    HEADER = "header"
    #: HTTP basic auth: ``username``, and the secret as its password.
    BASIC = "basic"


class ReceiptMethod(StrEnum):
    """What a gateway may call with: reports are read from bodies, and a GET has none."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


class _Signature(fields.Field[ReceiptSignature]):
    def _deserialize(self, value: object, *_args: Any, **_named: Any) -> ReceiptSignature:
        try:
            return ReceiptSignature(str(value))
        except ValueError:
            raise ValidationError(f"must be one of: {', '.join(ReceiptSignature)}") from None


class _Kinds(fields.Field[Mapping[str, str]]):
    """``{delivered = ["DELIVRD"], failed = ["UNDELIV", "REJECTD"]}``, read as {word of the gateway: kind}."""

    def _deserialize(self, value: object, *_args: Any, **_named: Any) -> Mapping[str, str]:
        if not isinstance(value, Mapping) or not value:
            raise ValidationError('must be a table such as { delivered = ["DELIVRD"], failed = ["UNDELIV"] }')
        words: dict[str, str] = {}
        for kind, given in value.items():
            if kind not in KINDS:
                raise ValidationError(f"{kind} is no kind; there are: {', '.join(KINDS)}")
            if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
                raise ValidationError(f"{kind} must be a list of the gateway's words for it")
            for word in given:
                if words.setdefault(word, kind) != kind:
                    raise ValidationError(f"{word} stands for {words[word]} and for {kind}; a word has one meaning")
        return words


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HttpReceiptOptions:
    """The keys of the table. Pointers but ``events`` are within one event."""

    signature: Annotated[ReceiptSignature, _Signature()]
    secret: Annotated[tuple[str, ...], secrets()]
    kind: Annotated[str, JsonPointer()]
    kinds: Annotated[Mapping[str, str], _Kinds()]
    header: Annotated[str | None, text()] = None
    username: Annotated[str | None, text()] = None
    methods: Annotated[frozenset[ReceiptMethod], set_of(ReceiptMethod)] = frozenset({ReceiptMethod.POST})
    #: Where the list of events is; "": the body itself, one event or a list of them.
    events: Annotated[str, JsonPointer()] = ""
    #: Without it an event is known by its content.
    event_id: Annotated[str | None, JsonPointer()] = None
    job_id: Annotated[str | None, JsonPointer()] = None
    message_id: Annotated[str | None, JsonPointer()] = None
    #: A time as RFC 3339 has it, or seconds since 1970.
    at: Annotated[str | None, JsonPointer()] = None
    code: Annotated[str | None, JsonPointer()] = None
    detail: Annotated[str | None, JsonPointer()] = None
    recipient: Annotated[str | None, JsonPointer()] = None
    #: Codes that say that the recipient can never be reached: he is suppressed.
    unreachable_codes: Annotated[tuple[str, ...], tuple_of(text(), 'must be a list such as ["31"]')] = ()
    #: Of what people write: who wrote, to whom, what.
    sender: Annotated[str | None, JsonPointer()] = None
    to: Annotated[str | None, JsonPointer()] = None
    body: Annotated[str | None, JsonPointer()] = None

    def __post_init__(self) -> None:
        if any(len(each) < _LEAST_CHARACTERS for each in self.secret):
            raise ValidationError(f"must have at least {_LEAST_CHARACTERS} characters", "secret")
        if self.signature is ReceiptSignature.STANDARD_WEBHOOKS:
            for each in self.secret:
                try:
                    key_of(each)
                except ValueError as error:
                    raise ValidationError(str(error), "secret") from None
        if self.signature is ReceiptSignature.HEADER and self.header is None:
            raise ValidationError("must name the header that holds the secret", "header")
        if self.signature is ReceiptSignature.BASIC and self.username is None:
            raise ValidationError("must be given for basic auth", "username")
        is_reporting = any(kind != INBOUND for kind in self.kinds.values())
        if is_reporting and self.job_id is None and self.message_id is None:
            raise ValidationError("must be given, or job_id: else no receipt finds its notification", "message_id")
        if INBOUND in self.kinds.values() and (self.sender is None or self.body is None):
            raise ValidationError("must be given for inbound messages, and body", "sender")


class ReceiptTable(fields.Field[HttpReceiptOptions]):
    """The table as an option of a type."""

    def _deserialize(self, value: object, *_args: Any, **_named: Any) -> HttpReceiptOptions:
        if not isinstance(value, Mapping):
            raise ValidationError("must be a table: [providers.<name>.receipts]")
        loaded = load(HttpReceiptOptions, value)
        mistakes = [*unknown_keys(value, checks_of(HttpReceiptOptions)), *loaded.mistakes]
        if mistakes or loaded.value is None:
            messages: dict[str | int, list[str]] = {}
            general = [each.message for each in mistakes if not each.path]
            for each in mistakes:
                if each.path:
                    messages.setdefault(each.path[0], []).append(each.message)
            raise ValidationError(messages or general)
        return loaded.value
