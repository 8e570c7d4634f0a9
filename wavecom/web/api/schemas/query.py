"""What all queries share: values come as texts, each parameter once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import ValidationError

from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Integer, Timestamp
from wavecom.web.api.schemas.base import BaseSchema


class IntegerInQuery(Integer):
    """``Integer``, written in digits."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,9}", value):
            raise self.invalid()
        return super()._deserialize(int(value), *args, **kwargs)


class TimestampInQuery(Timestamp):
    """``Timestamp``, also where the + of its offset was not escaped and so arrived as a space."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> datetime:
        return super()._deserialize(re.sub(r" (?=\d\d:\d\d$)", "+", value), *args, **kwargs)


class QuerySchema(BaseSchema):
    """A schema for name → values."""

    #: Parameters that may be given more than once; their fields get a list.
    repeatable: ClassVar[frozenset[str]] = frozenset()

    def load_query(self, data: Mapping[str, list[str]]) -> dict[str, Any]:
        """The fields. Raises ``ValidationError`` with every error in the query."""
        values = {name: given if name in self.repeatable else given[0] for name, given in data.items()}
        known = {field.data_key or name for name, field in self.load_fields.items()}
        repeated = {name for name, given in data.items() if len(given) > 1} & known - self.repeatable
        field_errors: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        try:
            fields = BaseSchema.load(self, values)
        except ValidationError as error:
            field_errors = error.messages_dict
        field_errors |= {
            name: [FieldError(FieldErrorCode.DUPLICATE, "must be given once")] for name in sorted(repeated)
        }
        if field_errors:
            raise ValidationError(field_errors)
        return fields
