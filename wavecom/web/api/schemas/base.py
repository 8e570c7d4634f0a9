"""What all schemas share: fields that nobody knows are refused with the name that was probably meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError
from marshmallow.fields import Nested

from wavecom.web.api.faults import SUGGESTION_LIMIT, Fault, FaultCode, nearest

_UNKNOWN = Fault(FaultCode.UNKNOWN_FIELD, "is not a known field")


class BaseSchema(Schema):
    """A schema for JSON objects. One instance serves all requests and threads; ``load`` keeps nothing between calls."""

    class Meta:
        """No field that isn't declared."""

        unknown = RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012 - marshmallow declares it so
        "unknown": _UNKNOWN,
        "type": Fault(FaultCode.WRONG_TYPE, "must be a JSON object"),
    }
    #: Names that people bring along from other systems -> the name here.
    aliases: ClassVar[Mapping[str, str]] = {}

    #: Its name in the OpenAPI document, where that is not the name of the class.
    component: ClassVar[str] = ""

    def rules(self) -> dict[str, Any]:
        """What the schema asks for beyond its single fields, as JSON Schema, where that can say it."""
        return {}

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
        unknown = {name for name, faults in messages.items() if isinstance(faults, list) and faults[0] is _UNKNOWN}
        # In the order in which they came, not in that of a set.
        for number, name in enumerate([name for name in data if name in unknown]):
            suggestion = self._suggestion(name) if number < SUGGESTION_LIMIT else ""
            # Under this name marshmallow keeps what is wrong with the whole object.
            text = "is not a known field" if name != "_schema" else "has the unknown field `_schema`"
            messages[name] = [Fault(FaultCode.UNKNOWN_FIELD, f"{text}{suggestion}"), *messages.pop(name)[1:]]

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
