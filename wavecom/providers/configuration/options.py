"""Tables of options: a frozen dataclass declares each key once, with its type, its check and its default.

::

    @dataclass(frozen=True, slots=True, kw_only=True, repr=False)      # repr=False: options may hold secrets
    class PigeonOptions:
        loft: Annotated[str, text()]                                   # no default: must be given
        birds: Annotated[int, whole_number(1, 50)] = 3

A check is a marshmallow field; what depends on several keys is checked in ``__post_init__``, which raises
marshmallow's ``ValidationError(message, key)`` for the first mistake it finds.
"""

from __future__ import annotations

import dataclasses
import re
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from ipaddress import ip_address
from typing import Any, Generic, TypeVar, get_type_hints
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

T = TypeVar("T")
_Check = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at ``path`` (keys and indexes below the table that was read)."""

    path: tuple[str | int, ...]
    message: str
    code: str = "invalid"


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """The options, or every mistake in them."""

    value: T | None
    mistakes: tuple[Mistake, ...] = ()


def load(
    cls: Callable[..., T], raw: Mapping[str, Any], checks: Mapping[str, fields.Field[Any]] | None = None, **extra: Any
) -> Loaded[T]:
    """Check ``raw`` against the dataclass ``cls`` and build it; ``extra`` is passed on unchecked.

    ``checks`` are those of a class that declares none itself, such as one of the core.
    """
    checks = checks_of(cls) if checks is None else checks
    mistakes = [*_missing(cls, raw, checks), *_unsuitable(raw, checks)]
    if mistakes:
        return Loaded(None, tuple(mistakes))
    values = Schema.from_dict(dict(checks))().load(dict(raw), unknown=EXCLUDE)
    try:
        return Loaded(cls(**extra, **values))
    except ValidationError as error:
        return Loaded(None, tuple(_flattened({error.field_name: error.messages})))


def checks_of(cls: Callable[..., Any]) -> dict[str, fields.Field[Any]]:
    """The keys that a table of this kind may have, each with its check."""
    hints = get_type_hints(cls, include_extras=True)
    return {
        name: next(note for note in hint.__metadata__ if isinstance(note, fields.Field))
        for name, hint in hints.items()
        if hasattr(hint, "__metadata__")
    }


def unknown_keys(raw: Mapping[str, Any], known: Collection[str]) -> Iterator[Mistake]:
    """One mistake for each key that nobody reads, with the name that was probably meant."""
    for key in raw:
        if key not in known:
            yield Mistake((key,), f"is not known here{suggestion(key, known)}", "unknown_key")


def suggestion(word: str, known: Collection[str]) -> str:
    """``; did you mean "…"?``, or all the names there are when none is near."""
    close = get_close_matches(word, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there are: {', '.join(sorted(known))}"


def _missing(
    cls: Callable[..., Any], raw: Mapping[str, Any], checks: Mapping[str, fields.Field[Any]]
) -> Iterator[Mistake]:
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # every caller passes a dataclass
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name in checks and not has_default and field.name not in raw:
            yield Mistake((), f'needs the key "{field.name}"', "missing_key")


def _unsuitable(raw: Mapping[str, Any], checks: Mapping[str, fields.Field[Any]]) -> Iterator[Mistake]:
    errors = Schema.from_dict(dict(checks))().validate(dict(raw))
    known = {key: messages for key, messages in errors.items() if key in checks}
    return _flattened(known)


def _flattened(messages: Any, path: tuple[str | int, ...] = ()) -> Iterator[Mistake]:
    """marshmallow's tree of messages, one mistake each; the layers it adds for a mapping's items are left out."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            is_layer = key in {"key", "value"} and len(path) > 1
            yield from _flattened(inner, path if is_layer else (*path, key))
    else:
        # One check may fail in two ways with one text.
        yield from (Mistake(path, message) for message in dict.fromkeys(messages))


# --- Checks -------------------------------------------------------------------------------------------------------
# Messages never repeat the value: it may be a secret.


def text(*, choices: Iterable[str] | None = None, check: _Check | None = None) -> fields.Field[Any]:
    """One of ``choices``, or a string that ``check`` lets through, or any that is not empty."""
    validator: _Check = check or validate.Length(min=1, error="must not be empty")
    if choices is not None:
        names = list(choices)
        validator = validate.OneOf(names, error="must be one of: " + ", ".join(names))
    return fields.String(validate=validator, error_messages=_always("must be text in quotes"))


def matching(pattern: str, sentence: str) -> fields.Field[Any]:
    """A string that ``pattern`` matches whole; ``sentence`` says what it must be."""

    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValidationError(sentence)

    return text(check=check)


def whole_number(low: int, high: int) -> fields.Field[Any]:
    """An integer from ``low`` to ``high``."""
    sentence = f"must be a whole number from {low} to {high}"
    return _Whole(validate=validate.Range(low, high, error=sentence), error_messages=_always(sentence))


def number(low: float, high: float) -> fields.Field[Any]:
    """A number from ``low`` to ``high``."""
    sentence = f"must be a number from {low:g} to {high:g}"
    return fields.Float(validate=validate.Range(low, high, error=sentence), error_messages=_always(sentence))


def flag() -> fields.Field[Any]:
    """``true`` or ``false``."""
    return fields.Boolean(error_messages=_always("must be true or false"))


def host_name() -> fields.Field[Any]:
    """A host's name or IP address, without scheme and port."""
    return matching(
        r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]{2,45}",
        'must be a host such as "mail.example" or an IP address, without a port',
    )


def http_url() -> fields.Field[Any]:
    """An absolute http or https address in ASCII."""

    def check(value: str) -> None:
        try:
            parts = urlsplit(value)
            is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, a bracket too many
            is_good = False
        if not is_good or not re.fullmatch(r"[!-~]+", value):
            raise ValidationError('must be an address such as "https://gateway.example/send": ASCII, without spaces')

    return text(check=check)


def base_url() -> fields.Field[Any]:
    """Scheme, host and port of a provider's API, whose path follows; comes out without a slash at its end.

    https, because credentials go there; http to this machine alone.
    """
    return _BaseUrl(validate=_is_base_url, error_messages=_always("must be text in quotes"))


def _is_base_url(value: str) -> None:
    example = '"https://api.example:8443"'
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        is_good = is_good and parts.username is None and not (parts.path or parts.query or parts.fragment)
    except ValueError:  # a port that is no number, a bracket too many
        is_good = False
    if not is_good or not re.fullmatch(r"[!-~]+", value):
        raise ValidationError(f"must be scheme, host and port, such as {example}; the path is the provider's own")
    if parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        raise ValidationError(f"would let credentials be read on their way; use https, such as {example}")


def secret() -> fields.Field[Any]:
    """A key, token or password: one line of printable ASCII, as it goes into a header."""
    return text(check=_is_line_of_ascii)


def secrets(check: _Check = lambda _secret: None) -> fields.Field[Any]:
    """One secret, or a list of those that are valid at once while one takes another's place; becomes a tuple.

    ``check`` raises marshmallow's ``ValidationError`` for one that can't be any.
    """
    return _Secrets(check, error_messages=_always("must be text in quotes, or a list of texts"))


def _is_line_of_ascii(value: str) -> None:
    if not re.fullmatch(r"[ -~]+", value):
        raise ValidationError("must be printable ASCII on one line, and not empty")


def is_this_machine(host: str) -> bool:
    """Whether what is sent to ``host`` never leaves this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def pem_file() -> fields.Field[Any]:
    """The path of a file with certificates that can be read."""

    def check(value: str) -> None:
        try:
            ssl.create_default_context(cafile=value)
        except OSError as error:  # SSLError too
            raise ValidationError("must be the path of a readable PEM file with certificates") from error

    return text(check=check)


def set_of(enum: type[Enum]) -> fields.Field[Any]:
    """A list of an enumeration's values, not empty; becomes a frozenset."""
    sentence = "must be a list of: " + ", ".join(str(member.value) for member in enum)
    item = fields.Enum(enum, by_value=True, error_messages=_always(sentence))
    return _As(frozenset, item, validate=validate.Length(min=1, error=sentence), error_messages=_always(sentence))


def tuple_of(item: fields.Field[Any], sentence: str) -> fields.Field[Any]:
    """A list whose items each pass ``item``; becomes a tuple."""
    return _As(tuple, item, error_messages=_always(sentence))


def one_or_more(item: fields.Field[Any], sentence: str) -> fields.Field[Any]:
    """What passes ``item``, or a list of such; becomes a frozenset."""
    return _OneOrMore(
        frozenset, item, validate=validate.Length(min=1, error=sentence), error_messages=_always(sentence)
    )


def table_of_texts(sentence: str) -> fields.Field[Any]:
    """Names, each with a text or a list of texts; becomes a dict of frozensets."""
    values = one_or_more(text(), sentence)
    return fields.Dict(keys=text(), values=values, error_messages=_always(sentence))


def header_table(reserved: Collection[str] = ()) -> fields.Field[Any]:
    """HTTP headers, name to value, none of them among ``reserved`` (in lower case)."""

    def is_name(value: str) -> None:
        if value.lower() in reserved:
            raise ValidationError("is set by WaveCom; leave it out")
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
            raise ValidationError("is not a header's name: letters, digits and - only")

    def is_value(value: str) -> None:
        if not re.fullmatch(r"[ -~]*", value):
            raise ValidationError("must be one line of printable ASCII")

    sentence = 'must be a table such as { Authorization = "$TOKEN" }'
    return fields.Dict(keys=text(check=is_name), values=text(check=is_value), error_messages=_always(sentence))


class _Whole(fields.Integer):
    """Digits in a string are taken, since the environment knows nothing else; a fraction is not cut off."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, float):
            raise self.make_error("invalid")
        return super()._validated(value)


class _BaseUrl(fields.String):
    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value, *args, **kwargs).rstrip("/")


class _Secrets(fields.Field[tuple[str, ...]]):
    def __init__(self, check: _Check, **settings: Any) -> None:
        super().__init__(**settings)
        self._check = check

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items or not all(isinstance(each, str) for each in items):
            raise self.make_error("invalid")
        for each in items:
            _is_line_of_ascii(each)
            self._check(each)
        return tuple(items)


class _As(fields.List[Any]):
    """A list that is given on as another kind of collection."""

    def __init__(self, kind: Callable[[Iterable[Any]], Any], item: fields.Field[Any], **settings: Any) -> None:
        super().__init__(item, **settings)
        self._kind = kind

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self._kind(super()._deserialize(value, *args, **kwargs))


class _OneOrMore(_As):
    """One item by itself counts as a list of one."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._deserialize([value] if isinstance(value, str) else value, *args, **kwargs)


def _always(sentence: str) -> dict[str, str | list[Any] | dict[Any, Any]]:
    """The same sentence whichever way a value is unfit."""
    reasons = ("required", "null", "invalid", "invalid_utf8", "special", "too_large", "unknown")
    # marshmallow formats its messages, so braces are doubled.
    return dict.fromkeys((*reasons, "validator_failed"), sentence.replace("{", "{{").replace("}", "}}"))
