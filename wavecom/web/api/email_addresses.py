"""E-mail addresses as a request gives them, and their one form that is stored, sent to and searched for.

Which addresses exist is decided elsewhere: on the Internet by its registries, inside a firm by its mail relay. The
setting ``WAVECOM_MAIL_ADDRESSES`` says which of the two holds; ``rules`` puts it in force while a body is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import idna
from email_validator import EmailNotValidError, validate_email
from marshmallow import ValidationError

from wavecom.settings import MailAddresses
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, refusal
from wavecom.web.api.fields import DocumentedField, control_character
from wavecom.web.api.invisible import INVISIBLE, code_point

_LABEL_LIMIT = 63
_DOMAIN_LIMIT = 253
_ADDRESS_LIMIT = 254
#: A host's label (RFC 1123 section 2.1), with the underscore that names inside a firm may have.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

#: What IDNA takes for the dot between labels (UTS 46).
_DOTS = re.compile("[.\u3002\uff0e\uff61]")

_rules: ContextVar[MailAddresses] = ContextVar("mail_addresses", default=MailAddresses.INTERNET)

#: What was refused last, and why. Who reads a body looks first whether it is right, and then again to say what is
#: wrong: parsed once all the same.
_refused: ContextVar[tuple[str, MailAddresses, str] | None] = ContextVar("refused", default=None)


@contextmanager
def rules(addresses: MailAddresses) -> Iterator[None]:
    """While inside, e-mail addresses are held to these rules."""
    token = _rules.set(addresses)
    try:
        yield
    finally:
        _rules.reset(token)


class EmailAddress(DocumentedField[str]):
    """An address (RFC 5321, 6531); comes out with its domain in lower case and ASCII, so that any server takes it."""

    _LENGTH_LIMIT = 320

    def __init__(self, must: str = "an e-mail address, such as amina@example.com", **options: Any) -> None:
        super().__init__(must, **options)

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "format": "idn-email", "minLength": 3, "maxLength": self._LENGTH_LIMIT}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        return self.normalised(value)

    def normalised(self, value: str) -> str:
        """The one form of the address that is stored, sent to and searched for. Raises ``ValidationError``."""
        if not value or value.isspace():
            raise refusal(FieldErrorCode.EMPTY, "must not be empty")
        if len(value) > self._LENGTH_LIMIT:
            raise refusal(
                FieldErrorCode.TOO_LONG, f"must have at most {_ADDRESS_LIMIT} characters; it has {len(value)}"
            )
        if field_error := control_character(value, is_line=True) or _invisible_character(value):
            raise ValidationError(field_error)
        known = _refused.get()
        if known is not None and known[:2] == (value, _rules.get()):
            raise self.invalid(known[2])
        try:
            return _of_the_internet(value)
        except EmailNotValidError as error:
            if _rules.get() is MailAddresses.RELAY and (address := _of_a_relay(value)) is not None:
                return address
            _refused.set((value, _rules.get(), str(error)))
            raise self.invalid(str(error)) from None


def _invisible_character(value: str) -> FieldError | None:
    found = INVISIBLE.search(value)
    if found is None:
        return None
    return FieldError(
        FieldErrorCode.CONTROL_CHARACTER,
        f"must not contain invisible characters; character {found.start() + 1} is {code_point(found[0])}",
    )


def _of_the_internet(value: str) -> str:
    _check_lengths(value)
    # test_environment: the sandbox's magic recipients live in .test.
    address = validate_email(value, check_deliverability=False, test_environment=True, strict=True)
    return f"{address.local_part}@{address.ascii_domain}"


def _check_lengths(value: str) -> None:
    """Before anything is parsed: what encodes labels takes time by the square of their length.

    In composed form, which is never longer; an encoded label has at least as many characters. Raises
    ``EmailNotValidError``.
    """
    domain = unicodedata.normalize("NFC", value.rpartition("@")[2])
    if len(domain) > _DOMAIN_LIMIT:
        raise EmailNotValidError(f"the domain is too long: it has {len(domain)} characters of {_DOMAIN_LIMIT} at most")
    longest = max(map(len, _DOTS.split(domain)))
    if longest > _LABEL_LIMIT:
        raise EmailNotValidError(
            f"a part of the domain is too long: it has {longest} characters of {_LABEL_LIMIT} at most between two dots"
        )


def _of_a_relay(value: str) -> str | None:
    """An address that a relay inside a firm, or an old mobile network, may know; None where no server could.

    Beyond the Internet's: domains that nobody can register (``.local``, ``home.arpa``), single labels and underscores;
    dots anywhere in the part before the @-sign, as mailboxes of mobile networks have them.
    """
    local, _, domain = value.rpartition("@")
    ascii_domain = _relay_domain(domain)
    letters = local.replace(".", "")
    if ascii_domain is None or not letters:
        return None
    try:
        validate_email(f"{letters}@relay.example", check_deliverability=False, strict=True)
    except EmailNotValidError:
        return None
    local = unicodedata.normalize("NFC", local)
    address = f"{local}@{ascii_domain}"
    is_short_enough = len(local.encode()) <= 64 and len(address.encode()) <= _ADDRESS_LIMIT
    return address if is_short_enough else None


def _relay_domain(domain: str) -> str | None:
    """The domain in lower case and ASCII; None where it is none."""
    if not domain or len(domain) > _DOMAIN_LIMIT:
        return None
    labels = []
    for label in domain.split("."):
        # Before it is parsed: encoding takes quadratic time.
        if len(label) > _LABEL_LIMIT:
            return None
        try:
            plain = label.lower() if label.isascii() else idna.encode(label, uts46=True).decode()
        except idna.IDNAError:
            return None
        if not _LABEL.fullmatch(plain):
            return None
        labels.append(plain)
    ascii_domain = ".".join(labels)
    return ascii_domain if len(ascii_domain) <= _DOMAIN_LIMIT else None
