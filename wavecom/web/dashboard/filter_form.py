"""The filters above the list of notifications: names and rules are those of the API's query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wavecom.core.account import account_of, client_of
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.errors import Problem
from wavecom.web.dashboard.fields import Field, FormProblem, place, utc, with_errors
from wavecom.web.dashboard.words import CHANNELS, PRIORITIES, STATUSES

_ANY = ("", "Any")

#: ``name`` is the API's parameter, and so is ``pointer`` where its schema names what is wrong.
_FIELDS = (
    Field(
        name="status",
        label="Status",
        pointer="/status",
        choices=(_ANY, *((status.value, STATUSES[status].word) for status in Status)),
    ),
    Field(
        name="type",
        label="Type",
        pointer="/type",
        choices=(_ANY, *((channel.value, CHANNELS[channel]) for channel in Channel)),
    ),
    Field(
        name="priority",
        label="Priority",
        pointer="/priority",
        choices=(_ANY, *((priority.value, PRIORITIES[priority]) for priority in Priority)),
    ),
    Field(name="recipient", label="Recipient, in full", pointer="/recipient"),
    Field(name="jobId", label="Notification id", pointer="/jobId"),
    Field(name="idempotencyKey", label="Idempotency key", pointer="/idempotencyKey"),
    Field(name="metadataKey", label="Metadata: name", pointer="/metadataKey"),
    Field(name="metadataValue", label="Metadata: value", pointer="/metadataValue"),
    Field(name="provider", label="Provider", pointer="/provider"),
    Field(name="errorCode", label="Error code", pointer="/errorCode"),
    Field(name="createdSince", label="From (UTC)", pointer="/createdSince", kind="datetime-local", read=utc),
    Field(name="createdBefore", label="Before (UTC)", pointer="/createdBefore", kind="datetime-local", read=utc),
)

#: The pages' own: one notification by the name that a provider gave its message.
_MESSAGE_ID = Field(name="providerMessageId", label="Provider's message id", pointer="/providerMessageId")

#: For the operator, who sees every client's: not the API's, where a key stands for one.
_OPERATORS_FIELDS = (
    Field(name="client", label="Client", pointer="/client"),
    Field(
        name="mode",
        label="Mode",
        pointer="/mode",
        choices=(_ANY, ("live", "Live"), ("test", "Test")),
    ),
)


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The filters as they were set."""

    fields: tuple[Field, ...]
    problems: tuple[FormProblem, ...] = ()

    @classmethod
    def filled(cls, typed: Mapping[str, str], *, for_operator: bool) -> FilterForm:
        """The filters with what stands in the page's query; names that are no filter are passed over."""
        fields = (*_FIELDS, _MESSAGE_ID, *(_OPERATORS_FIELDS if for_operator else ()))
        return cls(tuple(_set(field, typed.get(field.name, "").strip()) for field in fields))

    @property
    def used(self) -> int:
        """How many of the filters are set."""
        return sum(bool(field.value) for field in self.fields)

    def typed(self) -> dict[str, str]:
        """What is set, as it was typed: for links to further pages of the same list."""
        return {field.name: field.value for field in self.fields if field.value}

    def query(self) -> dict[str, str]:
        """What the API's list would be asked for."""
        others = {field.name for field in (_MESSAGE_ID, *_OPERATORS_FIELDS)}
        read = {field.name: field.read(field.value) for field in self.fields if field.name not in others}
        return {name: value for name, value in read.items() if value is not None}

    def narrowed(self, where: JobFilter) -> JobFilter:
        """``where``, narrowed by what only the operator's form has."""
        typed = self.typed()
        if client := typed.get("client"):
            # As it is written (acme), or as jobs have it (acme:test).
            name = client_of(client)
            accounts = frozenset({client} if name != client else {account_of(name, True), account_of(name, False)})
            where = replace(where, accounts=accounts)
        if (mode := typed.get("mode")) in {"live", "test"}:
            where = replace(where, is_test=mode == "test")
        return where

    def refused(self, problems: Sequence[Problem]) -> FilterForm:
        """The filters with each problem beside the one it is about."""
        placed = [place(problem, self.fields) for problem in problems]
        messages: dict[str, list[str]] = {}
        for field, message in placed:
            if field is not None:
                messages.setdefault(field.name, []).append(message)
        fields = tuple(with_errors(field, messages.get(field.name, [])) for field in self.fields)
        return replace(self, fields=fields, problems=tuple(FormProblem(field, message) for field, message in placed))


def _set(field: Field, value: str) -> Field:
    if field.kind == "datetime-local":
        # Links that come from the API's world have the Z that this control does not know.
        value = value.removesuffix("Z")
    elif field.choices and value not in dict(field.choices):
        # Several statuses, say, which the API takes too.
        field = replace(field, choices=(*field.choices, (value, value)))
    return replace(field, value=value)
