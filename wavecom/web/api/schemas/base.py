"""What all schemas share: fields that nobody knows are refused with the name that was probably meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, missing
from marshmallow.fields import Field, Nested

from wavecom.internals import marshmallow
from wavecom.web.api.field_errors import SUGGESTION_LIMIT, FieldError, FieldErrorCode, nearest
from wavecom.web.api.shapes import NeverCopied
from wavecom.web.body import VALUES_LIMIT

_UNKNOWN = FieldError(FieldErrorCode.UNKNOWN_FIELD, "is not a known field")


#: How fields with schemas of their own name the fast path through them; see ``BaseSchema.load_good``.
GOOD = "load_good"


@dataclass(frozen=True, slots=True)
class _Step:
    """How one field is loaded when nothing is wrong with it."""

    name: str
    attribute: str
    convert: Callable[[Any, str, Any], Any]
    is_required: bool
    takes_null: bool
    default: Any


class BaseSchema(NeverCopied, Schema):
    """A schema for JSON objects. One instance serves all requests and threads; ``load`` keeps nothing between calls."""

    class Meta:
        """No field that isn't declared."""

        unknown = RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012 - marshmallow declares it so
        "unknown": _UNKNOWN,
        "type": FieldError(FieldErrorCode.WRONG_TYPE, "must be a JSON object"),
    }
    #: Names that people bring along from other systems -> the name here.
    aliases: ClassVar[Mapping[str, str]] = {}
    #: How many values a body for this schema may have; see ``body.check_shape``.
    values_limit: ClassVar[int] = VALUES_LIMIT
    #: Whether a request without a body means ``{}``.
    may_be_left_out: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._steps: list[_Step] = []
        self._checks: list[marshmallow.SchemaCheck] = []
        if marshmallow.LIBRARY.is_as_expected():
            self._steps = [_step(name, field) for name, field in self.load_fields.items()]
            self._checks = marshmallow.schema_checks(self)

    def load(self, data: Any, **options: Any) -> Any:
        """As marshmallow's, which costs four times as much and is needed only to say what is wrong."""
        if not options and marshmallow.LIBRARY.is_fast():
            try:
                return self.load_good(data)
            except ValidationError:
                pass
        return super().load(data, **options)

    def load_good(self, data: Any) -> dict[str, Any]:
        """What ``load`` answers for data that are right; for any other an error that need not say what is wrong."""
        if type(data) is not dict:
            raise _not_good()
        loaded: dict[str, Any] = {}
        known = 0
        for step in self._steps:
            value = data.get(step.name, missing)
            if value is missing:
                if step.is_required:
                    raise _not_good()
                if step.default is not missing:
                    loaded[step.attribute] = step.default
                continue
            if value is not None:
                loaded[step.attribute] = step.convert(value, step.name, data)
            elif step.takes_null:
                loaded[step.attribute] = None
            else:
                raise _not_good()
            known += 1
        if known != len(data):
            raise _not_good()
        for check, wants_original in self._checks:
            if wants_original:
                check(loaded, data)
            else:
                check(loaded)
        return loaded

    #: Its name in the OpenAPI document, where that is not the name of the class.
    component: ClassVar[str] = ""

    def rules(self) -> dict[str, Any]:
        """What the schema asks for beyond its single fields, as JSON Schema, where that can say it."""
        return {}

    @staticmethod
    def one_needed(*names: str) -> dict[str, Any]:
        """The rule that at least one of these fields is there, as JSON Schema.

        With ``if`` and ``else``: of ``anyOf`` beside ``properties``, generators of clients make types without fields.
        """
        first, *rest = names
        needed = {"required": [first]}
        return {"if": needed, "else": BaseSchema.one_needed(*rest)} if rest else needed

    def variants(self) -> Mapping[str, BaseSchema]:
        """For a schema that leaves the checking to others: value of the field ``type`` → the schema that checks."""
        return {}

    def __deepcopy__(self, memo: object) -> BaseSchema:
        # flask-smorest copies its documentation, schemas included; there must be one instance only.
        return self

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **_: Any) -> None:
        """Put suggestions to unknown fields; called by marshmallow before it raises ``error``."""
        messages = error.messages
        if not isinstance(messages, dict) or not isinstance(data, dict):
            return
        unknown = {
            name
            for name, field_errors in messages.items()
            if isinstance(field_errors, list) and field_errors[0] is _UNKNOWN
        }
        # In the order in which they came, not in that of a set.
        for number, name in enumerate([name for name in data if name in unknown]):
            suggestion = self._suggestion(name) if number < SUGGESTION_LIMIT else ""
            # Under this name marshmallow keeps what is wrong with the whole object.
            text = "is not a known field" if name != "_schema" else "has the unknown field `_schema`"
            messages[name] = [FieldError(FieldErrorCode.UNKNOWN_FIELD, f"{text}{suggestion}"), *messages.pop(name)[1:]]

    def _suggestion(self, name: object) -> str:
        known = {field.data_key or key: field for key, field in self.load_fields.items()}
        for outer, field in known.items():
            if isinstance(field, Nested) and name in field.schema.load_fields:
                return f"; it belongs inside `{outer}`"
        meant = self.aliases.get(str(name)) or nearest(name, known)
        if meant is None:
            return (
                f"; the known ones are {', '.join(known)}"
                if len(known) > 1
                else f"; the only one is {next(iter(known))}"
            )
        return f"; did you mean `{meant}`?" if meant in known else f"; use {meant}"


def _not_good() -> ValidationError:
    return ValidationError("not good")


def _step(name: str, field: Field[Any]) -> _Step:
    convert = getattr(field, GOOD, None) or marshmallow.conversion_of(field)
    return _Step(
        field.data_key or name,
        field.attribute or name,
        convert,
        field.required,
        bool(field.allow_none),
        field.load_default,
    )
