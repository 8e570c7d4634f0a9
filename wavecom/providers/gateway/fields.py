"""Checks of keys that only a gateway's tables have: templates, places in an answer, tables in tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

from wavecom.providers.configuration.options import Mistake, checks_of, load, text, unknown_keys
from wavecom.providers.gateway.templates import NAMES, InvalidTemplateError, Template

T = TypeVar("T")


def template(names: tuple[str, ...] = NAMES) -> fields.Field[Any]:
    """A text, table or list with templates in it; becomes a ``Template``."""
    return _Template(names)


def template_table() -> fields.Field[Any]:
    """A table of templates that each give one text: the fields of a form, or of a query."""
    return _Template(NAMES, is_flat=True)


def header_name() -> fields.Field[Any]:
    """The name of an HTTP header that WaveCom doesn't set itself."""

    def check(value: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
            raise ValidationError("is not a header's name: letters, digits and - only")

    return text(check=check)


def pattern() -> fields.Field[Any]:
    """A regular expression; becomes a compiled one."""
    return _Pattern()


def pointer() -> fields.Field[Any]:
    """A place in a JSON answer (RFC 6901): ``/messages/0/status``."""

    def check(value: str) -> None:
        if value and not value.startswith("/"):
            raise ValidationError('must be a place in the answer\'s JSON such as "/messages/0/status"')

    return fields.String(validate=check, error_messages={"invalid": 'must be text such as "/messages/0/status"'})


def table_of(cls: Callable[..., T]) -> fields.Field[Any]:
    """A table with the keys of the dataclass ``cls``; becomes one of it."""
    return _Table(cls)


def tables_of(cls: Callable[..., T]) -> fields.Field[Any]:
    """Tables with the keys of the dataclass ``cls``; become a tuple of it."""
    return _Tables(_Table(cls))


class _Template(fields.Field[Template]):
    def __init__(self, names: tuple[str, ...], *, is_flat: bool = False) -> None:
        super().__init__()
        self._names = names
        self._is_flat = is_flat

    def _deserialize(self, value: Any, *_args: Any, **_named: Any) -> Template:
        if self._is_flat and not isinstance(value, Mapping):
            raise ValidationError('must be a table of names and templates: { to = "{{ to.phone }}" }')
        if self._is_flat:
            nested = [key for key, inner in value.items() if isinstance(inner, Mapping | list)]
            if nested:
                raise ValidationError({nested[0]: ["must be text: a form has no tables and lists"]})
        try:
            return Template(value, self._names)
        except InvalidTemplateError as mistake:
            raise ValidationError(_tree_of(mistake.path, mistake.text)) from None


class _Pattern(fields.Field[re.Pattern[str]]):
    def _deserialize(self, value: Any, *_args: Any, **_named: Any) -> re.Pattern[str]:
        if not isinstance(value, str) or not value:
            raise ValidationError("must be a regular expression in quotes")
        try:
            return re.compile(value)
        except re.error as error:
            raise ValidationError(f"is no regular expression: {error.msg} at position {error.pos}") from None


class _Table(fields.Field[Any]):
    def __init__(self, cls: Callable[..., Any]) -> None:
        super().__init__()
        self._cls = cls

    def _deserialize(self, value: Any, *_args: Any, **_named: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError("must be a table")
        loaded = load(self._cls, value)
        mistakes = [*unknown_keys(value, checks_of(self._cls)), *loaded.mistakes]
        if mistakes or loaded.value is None:
            raise ValidationError(_tree(mistakes))
        return loaded.value


class _Tables(fields.List[Any]):
    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list):
            raise ValidationError("must be a list of tables")
        return tuple(super()._deserialize(value, *args, **kwargs))


def _tree(mistakes: list[Mistake]) -> Any:
    """Mistakes as marshmallow nests them; one about the table itself stands alone."""
    whole = [each.message for each in mistakes if not each.path]
    if whole:
        return whole
    tree: dict[Any, Any] = {}
    for each in mistakes:
        tree.setdefault(each.path[0], _tree_of(each.path[1:], each.message))
    return tree


def _tree_of(path: tuple[str | int, ...], message: str) -> Any:
    return {path[0]: _tree_of(path[1:], message)} if path else [message]
