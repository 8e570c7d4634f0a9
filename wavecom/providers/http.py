"""``type = "http"``: one JSON POST to any gateway.

Sends ``{"jobId", "type", "to", "payload", "metadata", "attempt"}`` with the header ``Idempotency-Key``, by which the
gateway is expected to drop repetitions; one that doesn't is declared with ``is_idempotent = false``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from marshmallow import ValidationError, fields

from wavecom.core.job import Outcome
from wavecom.core.ports import Message
from wavecom.providers.base import BaseHttpProvider, StatusTable, Surroundings, json_body, json_field
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import flag, header_table, http_url, pem_file, tuple_of
from wavecom.providers.transport import Request, Response

#: What a status means unless the providers file says otherwise. The 3xx are there because a redirect is not followed:
#: the message went nowhere, and the address in the providers file is wrong.
STATUSES: Mapping[int | str, Outcome] = {
    "2xx": Outcome.ACCEPTED,
    "3xx": Outcome.UNAVAILABLE,
    "4xx": Outcome.REJECTED,
    408: Outcome.UNKNOWN,
    425: Outcome.UNAVAILABLE,
    429: Outcome.UNAVAILABLE,
    "5xx": Outcome.UNKNOWN,
    500: Outcome.UNAVAILABLE,  # unknown for a message that must not be sent twice: see BaseHttpProvider
    502: Outcome.UNKNOWN,
    503: Outcome.UNAVAILABLE,
    504: Outcome.UNKNOWN,
}

#: Where gateways put their name for the message.
ID_FIELDS = ("id", "messageId", "message_id")

#: Set by us or by the transport.
OWN_HEADERS = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "idempotency-key", "te", "transfer-encoding"}
)


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
    is_idempotent: Annotated[bool, flag()] = True
    accepted: Annotated[tuple[int | str, ...], _STATUSES] = ()
    rejected: Annotated[tuple[int | str, ...], _STATUSES] = ()
    unavailable: Annotated[tuple[int | str, ...], _STATUSES] = ()
    unknown: Annotated[tuple[int | str, ...], _STATUSES] = ()

    def __post_init__(self) -> None:
        seen: dict[int | str, Outcome] = {}
        for status, outcome in self.changes():
            if seen.setdefault(status, outcome) is not outcome:
                raise ValidationError(f"{status} stands in {seen[status]} too; a status has one meaning", outcome)

    def changes(self) -> Iterator[tuple[int | str, Outcome]]:
        """Each status named in the file, with its new meaning."""
        for outcome in Outcome:
            yield from ((status, outcome) for status in getattr(self, outcome))


class HttpProvider(BaseHttpProvider[HttpOptions]):
    """Any gateway that takes JSON."""

    options_class: ClassVar[type[HttpOptions]] = HttpOptions

    def __init__(self, config: ProviderConfig[HttpOptions], surroundings: Surroundings) -> None:
        super().__init__(config, surroundings)
        self.is_idempotent = self.options.is_idempotent
        self.statuses = StatusTable({**STATUSES, **dict(self.options.changes())})

    def request(self, message: Message) -> Request:
        """The job's own words, as JSON."""
        content = {
            "jobId": message.job_id,
            "type": message.type,
            "to": message.to,
            "payload": message.payload,
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
        """Read from a JSON answer, where there is one."""
        return json_field(response, *ID_FIELDS)
