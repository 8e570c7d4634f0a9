"""What values of settings must be: each function raises ``ValidationError`` that says what is wanted.

Never with the value where it may be a secret, or hold one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from environs import ValidationError, validate

from wavecom.amqp_address import AmqpAddress
from wavecom.core.keywords import KEYWORDS, normalised
from wavecom.core.lanes import REGION_NAME
from wavecom.core.roles import Role
from wavecom.core.strength import COMMAND, LEAST_BITS, estimated_bits
from wavecom.redis_address import SENTINEL_SCHEMES, SentinelAddress

_LONGEST_SECRET = 200
MOST_PROCESSES = 512
#: Of a lane: each is a quorum queue of its own, with a leader and its followers.
MOST_PARTITIONS = 32
AUTOMATIC = "auto"
#: Where secrets may be sent without TLS.
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
#: Characters that fit into ten parts of a text message in any alphabet.
_LONGEST_HELP = 670
_ESCAPES = "write special characters in user and password as %-escapes, such as %23 for # and %2F for /"


def between(low: float, high: float, what: str = "a whole number") -> validate.Range:
    """A check that a number is in these bounds, both included; ``what`` says what it is."""
    return validate.Range(low, high, error=f"must be {what} from {{min}} to {{max}}, not {{input}}")


def is_strong(value: str) -> None:
    """For every secret that WaveCom is asked for: guesses at it are slowed down, never stopped."""
    # Never echo the value.
    if len(value) > _LONGEST_SECRET:
        raise ValidationError(f"must have at most {_LONGEST_SECRET} characters")
    if estimated_bits(value) < LEAST_BITS:
        raise ValidationError(
            f"is too easy to guess: it must have {LEAST_BITS} bits of chance, not words, patterns or repetitions. "
            f"Make one with: {COMMAND}"
        )


def is_count_or_automatic(value: str) -> None:
    """How many processes, or that the load decides."""
    if value != AUTOMATIC and not (value.isdecimal() and 1 <= int(value) <= MOST_PROCESSES):
        raise ValidationError(f'must be a whole number from 1 to {MOST_PROCESSES}, or "{AUTOMATIC}", not {value}')


def are_languages(value: str) -> None:
    """Languages whose keywords are known, parted by commas."""
    for language in parts(value) or ():
        if language not in KEYWORDS:
            raise ValidationError(f"must be some of {', '.join(KEYWORDS)}, parted by commas; {language} is none")


def are_words(value: str) -> None:
    """Keywords parted by commas."""
    for word in parts(value) or ():
        if not normalised(word):
            raise ValidationError("must be words parted by commas, each with a letter or digit in it")


def help_texts(value: str | None) -> dict[str, str] | None:
    """A text by language; empty for what is no such table."""
    try:
        found = json.loads(value or "{}")
    except ValueError:
        return {}
    is_table = isinstance(found, dict) and all(isinstance(text, str) and text.strip() for text in found.values())
    return found if is_table and set(found) <= set(KEYWORDS) else {}


def are_help_texts(value: str) -> None:
    """What ``help_texts`` reads, each short enough for a text message."""
    texts = help_texts(value)
    if not texts:
        raise ValidationError(
            'must be JSON with a text for each language, such as {"en": "Bank alerts. Reply STOP to stop."}; there are '
            f"{', '.join(KEYWORDS)}"
        )
    if any(len(text) > _LONGEST_HELP for text in texts.values()):
        raise ValidationError(f"must have texts of at most {_LONGEST_HELP} characters")


def are_strong(value: str) -> None:
    """Secrets parted by commas."""
    for secret in parts(value) or ():
        is_strong(secret)


def address(*schemes: str) -> Callable[[str], None]:
    """A check that an address begins with one of ``schemes``, and that its login ends where it should."""

    def check(value: str) -> None:
        # Never echo the value, nor what urlsplit says of it: addresses carry passwords.
        if not value.startswith(schemes):
            raise ValidationError(f"must begin with {' or '.join(schemes)}")
        try:
            url = urlsplit(value)
            is_split = url.port != 0 and not (url.netloc and "@" in url.path + url.fragment)
        except ValueError:
            is_split = False
        if not is_split:
            raise ValidationError(f"can't be read: {_ESCAPES}")

    return check


#: https://www.mongodb.com/docs/manual/reference/connection-string-formats/ - the driver asks DNS to read one, and takes
#: long to import. It takes "#" in a login as it is.
_MONGODB_LOGIN = r"(?:[^:@/?%]|%[0-9A-Fa-f]{2})*"
_MONGODB_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:,/?#@\s]+)(?::[0-9]{1,5})?"
_MONGODB_URI = re.compile(
    rf"mongodb(?:\+srv)?://(?:{_MONGODB_LOGIN}(?::{_MONGODB_LOGIN})?@)?{_MONGODB_HOST}(?:,{_MONGODB_HOST})*"
    r"(?:/[^?@]*)?(?:\?.*)?"
)


def is_mongodb_uri(value: str) -> None:
    """An address of MongoDB, in the form in which the driver reads it."""
    # Never echo the value.
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValidationError("must begin with mongodb:// or mongodb+srv://")
    if not _MONGODB_URI.fullmatch(value):
        raise ValidationError(f"can't be read: {_ESCAPES}")


def is_amqp_address(value: str) -> None:
    """The nodes of one broker: ``wavecom.amqp_address`` says in which forms."""
    try:
        AmqpAddress.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


_is_redis_server = address("redis://", "rediss://", "unix://", *SENTINEL_SCHEMES)


def is_redis_url(value: str) -> None:
    """One server of Redis, or the sentinels that name it: ``wavecom.redis_address``."""
    if not value.startswith(SENTINEL_SCHEMES):
        _is_redis_server(value)
        return
    try:
        SentinelAddress.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


_BASE_URL = re.compile(rf"(?:{_ORIGIN.pattern})(?:/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)


def is_base_url(value: str) -> None:
    """An address of HTTP to which paths can be added."""
    if not _BASE_URL.fullmatch(value):
        raise ValidationError(
            "must be the address under which the world reaches this deployment, such as https://notify.bank.example, "
            "without a user, a query and a fragment"
        )


def base_url(value: str | None) -> str | None:
    """Such an address, without a slash at its end."""
    return None if value is None else value.rstrip("/")


def headers(value: str | None) -> dict[str, str] | None:
    """Headers of HTTP, ``name=value`` parted by commas."""
    return None if value is None else dict(_header(part) for part in parts(value) or ())


def are_headers(value: str) -> None:
    """What ``headers`` reads."""
    # Never echo the value.
    for name, text in (_header(part) for part in parts(value) or ()):
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(r"[\x21-\x7e][\x20-\x7e]*", text):
            raise ValidationError(
                "must be headers parted by commas, each as NAME=VALUE, such as Authorization=Bearer abc"
            )


def _header(part: str) -> tuple[str, str]:
    name, _, text = part.partition("=")
    return name.strip(), text.strip()


def is_issuer(value: str) -> None:
    """The name of an OpenID provider, from which its address is made (Discovery 1.0, section 4)."""
    try:
        url = urlsplit(value)
        is_one = bool(url.hostname) and not (url.query or url.fragment or url.username) and url.port != 0
    except ValueError:
        is_one = False
    if not is_one or not (url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK_HOSTS)):
        raise ValidationError(
            "must be the issuer as the identity provider writes it, such as https://login.bank.example/realms/staff: "
            "https, and no query"
        )


def are_scopes(value: str) -> None:
    """Scopes of OpenID Connect parted by commas, ``openid`` among them."""
    found = parts(value) or ()
    if "openid" not in found or any(not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", each) for each in found):
        raise ValidationError("must be scopes parted by commas, openid among them, such as openid,profile,groups")


def role_groups(value: str | None) -> dict[str, tuple[str, ...]] | None:
    """Role → groups, of JSON; empty for what is no such table."""
    try:
        found = json.loads(value or "{}")
    except ValueError:
        return {}
    is_table = isinstance(found, dict) and all(
        isinstance(groups, list) and groups and all(isinstance(each, str) and each.strip() for each in groups)
        for groups in found.values()
    )
    if not is_table or not set(found) <= set(Role):
        return {}
    return {role: tuple(groups) for role, groups in found.items()}


def are_role_groups(value: str) -> None:
    """What ``role_groups`` reads."""
    if not role_groups(value):
        raise ValidationError(
            f"must be JSON with the groups of each role ({', '.join(Role)}), such as "
            '{"admin": ["notify-admins"], "viewer": ["staff"]}'
        )


_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def are_hosts(value: str) -> None:
    """Names of hosts parted by commas; ``*.`` before a name means all below it, ``*`` all there are."""
    for host in parts(value) or ():
        if not _HOST.fullmatch(host):
            raise ValidationError(
                f"must be names parted by commas, such as notify.bank.example or *.bank.example, without schemes and "
                f"ports; {host} is none"
            )


def are_single_hosts(value: str) -> None:
    """Names or addresses of hosts parted by commas, each by itself."""
    for host in parts(value) or ():
        if not re.fullmatch(r"[a-z0-9.-]+|[0-9a-f:.]+", host):
            raise ValidationError(
                "must be names or IP addresses parted by commas, in lower case, such as hooks.bank.internal, without "
                f"schemes, ports and stars; {host} is none"
            )


def are_origins(value: str) -> None:
    """Origins of the web (RFC 6454) parted by commas."""
    for origin in parts(value) or ():
        if not _ORIGIN.fullmatch(origin):
            raise ValidationError(
                f"must be origins parted by commas, such as https://shop.example, without paths and never *; "
                f"{origin} is none"
            )


def parts(value: str | None) -> tuple[str, ...] | None:
    """What commas part, without spaces around it; None of nothing."""
    return None if value is None else tuple(filter(None, (part.strip() for part in value.split(","))))


def is_file(path: Path) -> None:
    """The path of a file that is there."""
    if not path.is_file():
        raise ValidationError(f"there is no file {path}; give the path of one that can be read")


def is_region(value: str) -> None:
    """What a region may be called; whether there is such a one, the providers file says."""
    if not re.fullmatch(REGION_NAME, value):
        raise ValidationError(f'must be the name of a region, such as "eu", not {value!r}')
