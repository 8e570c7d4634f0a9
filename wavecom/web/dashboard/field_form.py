"""A form of single fields, as the pages of suppressions and callbacks have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from wavecom.errors import Problem
from wavecom.web.dashboard.fields import Field, FormProblem, place, with_errors


@dataclass(frozen=True, slots=True)
class FieldForm:
    """Fields with what was typed, and what is wrong with it."""

    fields: tuple[Field, ...]
    problems: tuple[FormProblem, ...] = ()

    @classmethod
    def filled(cls, fields: Sequence[Field], typed: Mapping[str, str]) -> FieldForm:
        """The fields with the values of their names."""
        return cls(tuple(replace(field, value=_value(field, typed)) for field in fields))

    @property
    def used(self) -> int:
        """How many are set."""
        return sum(bool(field.value) for field in self.fields)

    def typed(self) -> dict[str, Any]:
        """What is set, as it was typed."""
        return {field.name: field.value for field in self.fields if field.value}

    def chosen(self, name: str) -> list[str]:
        """What is chosen of a field that takes several."""
        return next(field.chosen for field in self.fields if field.name == name)

    def read(self, fields: Sequence[Field]) -> dict[str, str]:
        """What is set in these of its fields, in the API's form."""
        names = {field.name for field in fields}
        found = {field.name: field.read(field.value) for field in self.fields if field.name in names}
        return {name: value for name, value in found.items() if value is not None}

    def refused(self, wrong: Sequence[Problem]) -> FieldForm:
        """The fields with each problem beside the one it is about."""
        placed = [place(problem, self.fields) for problem in wrong]
        messages: dict[str, list[str]] = {}
        for field, message in placed:
            if field is not None:
                messages.setdefault(field.name, []).append(message)
        fields = tuple(with_errors(field, messages.get(field.name, [])) for field in self.fields)
        return FieldForm(fields, tuple(FormProblem(field, message) for field, message in placed))


def _value(field: Field, typed: Mapping[str, str]) -> str:
    if field.takes_several and isinstance(typed, MultiDict):
        return ",".join(typed.getlist(field.name))
    return typed.get(field.name, "").strip()
