"""Fields that say whom or where: each comes out in the one form that is stored, sent to and searched for."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError
from marshmallow.schema import Schema

from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.field_errors import FieldErrorCode, refusal
from wavecom.web.api.fields import DocumentedField, Object, text_error, whole_pattern
from wavecom.web.api.shapes import Shape, as_dict


class Recipient(Object):
    """An object whose ``address`` is normalised; what was sent is kept as ``asSent`` where it differs."""

    def __init__(self, schema: Schema, must: str, *, address: str, **options: Any) -> None:
        super().__init__(schema, must, **options)
        self._address = address

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self._with_sent(super()._deserialize(value), value)

    def load_good(self, value: Any, *_: Any) -> Any:
        """See ``BaseSchema.load_good``."""
        return self._with_sent(super().load_good(value), value)

    def _with_sent(self, loaded: Any, value: Any) -> Any:
        if loaded[self._address] != value[self._address]:
            loaded["asSent"] = value[self._address]
        return loaded


class MailboxField(DocumentedField[Any]):
    """An address as text, or an object with ``email`` and ``name``; comes out in the shape it came in."""

    def __init__(self, schema: Schema, **options: Any) -> None:
        super().__init__(
            'an e-mail address, or an object such as {"email": "bank@example.com", "name": "Bank"}', **options
        )
        self._schema = schema
        self._address = EmailAddress()

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return as_dict(Shape("Mailbox", {"anyOf": [self._address.json_schema(), self._schema]}))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, dict):
            return self._schema.load(value)
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if "<" in value:
            raise self.invalid("a name goes into the object, not into the text")
        return self._address.normalised(value)


class MailboxListField(MailboxField):
    """One as ``MailboxField``, or a list of up to ``max_items``; comes out in the shape it came in."""

    def __init__(self, schema: Schema, *, max_items: int, **options: Any) -> None:
        super().__init__(schema, **options)
        self._max_items = max_items

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        many = {"type": "array", "items": super().json_schema(), "minItems": 1, "maxItems": self._max_items}
        return as_dict(Shape("Mailboxes", {"anyOf": [self._address.json_schema(), self._schema, many]}))

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list):
            return super()._deserialize(value, *args, **kwargs)
        if not value:
            raise refusal(FieldErrorCode.EMPTY, "must not be an empty list; leave it out instead")
        if len(value) > self._max_items:
            raise refusal(
                FieldErrorCode.TOO_MANY, f"must have at most {self._max_items} addresses; it has {len(value)}"
            )
        loaded, field_errors = [], {}
        for index, each in enumerate(value):
            try:
                if each is None:
                    raise self.wrong_type(each)
                loaded.append(super()._deserialize(each, *args, **kwargs))
            except ValidationError as error:
                field_errors[index] = error.messages
        if field_errors:
            raise ValidationError(field_errors)
        return loaded


class Url(DocumentedField[str]):
    """An absolute URL with a host. ``schemes`` None: any that opens an app, save those that run or read something."""

    _SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"
    _REST = r"://[!#-;=?-\[\]_a-z~]+"
    _FORM = re.compile(f"({_SCHEME}){_REST}")
    _LENGTH_LIMIT = 2048
    _NEVER = frozenset({"javascript", "data", "vbscript", "file", "about", "blob"})

    def __init__(self, must: str, *, schemes: Collection[str] | None = ("https",), **options: Any) -> None:
        super().__init__(must, **options)
        self._schemes = schemes

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        scheme = "".join
        forms = [scheme(f"[{letter.upper()}{letter}]" for letter in name) for name in sorted(self._schemes or ())]
        beginning = f"(?:{'|'.join(forms)})" if forms else self._SCHEME
        return {
            "type": "string",
            "format": "uri",
            "maxLength": self._LENGTH_LIMIT,
            "pattern": whole_pattern(beginning + self._REST),
        }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if field_error := text_error(value, self._LENGTH_LIMIT):
            raise ValidationError(field_error)
        form = self._FORM.fullmatch(value)
        if not form:
            raise self.invalid()
        scheme = form[1].lower()
        if scheme in self._NEVER or (self._schemes is not None and scheme not in self._schemes):
            raise self.invalid()
        try:
            parts = urlsplit(value)
            has_good_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            raise self.invalid("its host or port is wrong") from None
        if not has_good_host:
            raise self.invalid("its host or port is wrong")
        if parts.username is not None or parts.password is not None:
            raise self.invalid("it must not contain a user name or password")
        return value
