"""marshmallow beyond its documentation: the hooks of a schema, and what converts a field's value.

The documented way is ``Schema.load``, which costs four times as much as going over the fields with these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from marshmallow import Schema, fields, validates_schema
from marshmallow.decorators import POST_LOAD, PRE_LOAD, VALIDATES, VALIDATES_SCHEMA
from marshmallow.fields import Field

from wavecom.internals.fast_paths import Library, changed_signature, missing_attributes

#: Checks a whole object, after its fields: the method, and whether it is given the object as it came, too.
SchemaCheck = tuple[Callable[..., None], bool]


def schema_checks(schema: Schema) -> list[SchemaCheck]:
    """The ``validates_schema`` methods of a schema. Raises ``TypeError`` where it has hooks of any other kind."""
    if any(schema._hooks[kind] for kind in (PRE_LOAD, POST_LOAD, VALIDATES)):
        raise TypeError(f"{type(schema).__name__} has hooks that the short cut would pass by")
    return [
        (getattr(schema, name), bool(options.get("pass_original")))
        for name, _, options in schema._hooks[VALIDATES_SCHEMA]
    ]


def conversion_of(field: Field[Any]) -> Callable[[Any, str, Any], Any]:
    """What converts a value that is there and not None, as the field's ``deserialize`` does, its validators included.

    Takes the value, the field's name and the whole object; raises ``ValidationError``.
    """
    return field.deserialize if field.validators else field._deserialize


def _check() -> Iterator[str]:
    yield from missing_attributes(Schema, "_hooks")
    yield from changed_signature(Field, "_deserialize", "value", "attr", "data")

    class Example(Schema):
        count = fields.Integer(strict=True)

        @validates_schema(pass_original=True)
        def check(self, *_: Any, **__: Any) -> None: ...

    example = Example()
    if [(check.__name__, is_original) for check, is_original in schema_checks(example)] != [("check", True)]:
        yield "Schema._hooks does not hold the methods that validate the schema"
    if conversion_of(example.load_fields["count"])(7, "count", {"count": 7}) != 7:
        yield "Field._deserialize does not convert a value"


LIBRARY: Final = Library("marshmallow", lambda: list(_check()))
