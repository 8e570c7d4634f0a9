"""The filters above the list of notifications: names and rules are those of the API's query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wavecom.core.job import Channel, Priority
from wavecom.core.states import Status
from wavecom.errors import Problem
from wavecom.web.dashboard.fields import Field, Shown, place, utc, with_errors
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
    Field(name="provider", label="Provider", pointer="/provider"),
    Field(name="errorCode", label="Error code", pointer="/errorCode"),
    Field(name="createdSince", label="From (UTC)", pointer="/createdSince", kind="datetime-local", read=utc),
    Field(name="createdBefore", label="Before (UTC)", pointer="/createdBefore", kind="datetime-local", read=utc),
)


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The filters as they were set."""

    fields: tuple[Field, ...]
    problems: tuple[Shown, ...] = ()

    @classmethod
    def filled(cls, typed: Mapping[str, str]) -> FilterForm:
        """The filters with what stands in the page's query; names that are no filter are passed over."""
        return cls(tuple(_set(field, typed.get(field.name, "").strip()) for field in _FIELDS))

    @property
    def used(self) -> int:
        """How many are set."""
        return sum(bool(field.value) for field in self.fields)

    def typed(self) -> dict[str, str]:
        """What is set, as it was typed: for links to further pages of the same list."""
        return {field.name: field.value for field in self.fields if field.value}

    def query(self) -> dict[str, str]:
        """What the API's list would be asked for."""
        return {field.name: value for field in self.fields if (value := field.read(field.value)) is not None}

    def refused(self, problems: Sequence[Problem]) -> FilterForm:
        """The filters with each problem beside the one it is about."""
        placed = [place(problem, self.fields) for problem in problems]
        messages: dict[str, list[str]] = {}
        for field, message in placed:
            if field is not None:
                messages.setdefault(field.name, []).append(message)
        fields = tuple(with_errors(field, messages.get(field.name, [])) for field in self.fields)
        return replace(self, fields=fields, problems=tuple(Shown(field, message) for field, message in placed))


def _set(field: Field, value: str) -> Field:
    if field.kind == "datetime-local":
        # Links that come from the API's world have the Z that this control does not know.
        value = value.removesuffix("Z")
    elif field.choices and value not in dict(field.choices):
        # Several statuses, say, which the API takes too.
        field = replace(field, choices=(*field.choices, (value, value)))
    return replace(field, value=value)
