"""What the value of each mail header that clients may set looks like: checked when a message is accepted.

Only free text may carry RFC 2047's encoded words. In a header with a grammar of its own they are noise to the programs
that read it: a List-Unsubscribe that is encoded whole loses the reader its button. So there what is beyond ASCII is
written as that grammar has it (percent signs in a URI, RFC 3987; ``xn--`` in a host, RFC 5891), or refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final
from urllib.parse import quote, unquote

import idna

#: RFC 5322 section 2.1.1: a line has at most 998 characters. A word with the blank before it is a line at least.
LONGEST_LINE: Final = 998
LONGEST_WORD: Final = LONGEST_LINE - 1
#: RFC 2047 section 2: a line with an encoded word has at most 76, the field's name included; the shortest that can hold
#: any letter has 20.
ENCODED_LINE: Final = 76
LONGEST_NAME_OF_ENCODED: Final = ENCODED_LINE - len(": ,") - 20

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.+)")
_COMMENT: Final = r"(?:\([ -'*-\[\]-~]*\))"
_MESSAGE_ID: Final = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_TOKEN: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+.^_`|~-]+( *; *[A-Za-z0-9_-]+=(\"[ !#-\[\]-~]*\"|[A-Za-z0-9!#$&+.^_-]+))*"
)
_LIST_ID: Final = re.compile(r"(?P<phrase>[^<>]*)<(?P<id>[^<> ]+)>")
#: What a URI may hold as it is (RFC 3986 section 2); a % is kept only where two hexadecimal digits follow.
_URI_SAFE: Final = "!#$&'()*+,/:;=?@[]~-._"


class HeaderKind(Enum):
    """The grammars."""

    TEXT = "text"
    PHRASES = "phrases"
    URIS = "URIs"
    LIST_ID = "list id"
    MESSAGE_IDS = "message ids"
    TOKEN = "token"  # noqa: S105 - not a password
    ONE_CLICK = "one click"
    ASCII = "ASCII"


#: Of the headers with a grammar; all others, X-… among them, are free text.
KINDS: Final[Mapping[str, HeaderKind]] = {
    **dict.fromkeys(
        ["list-archive", "list-help", "list-owner", "list-post", "list-subscribe", "list-unsubscribe"], HeaderKind.URIS
    ),
    "list-unsubscribe-post": HeaderKind.ONE_CLICK,
    "list-id": HeaderKind.LIST_ID,
    **dict.fromkeys(["in-reply-to", "references"], HeaderKind.MESSAGE_IDS),
    **dict.fromkeys(["auto-submitted", "importance", "precedence", "priority", "sensitivity"], HeaderKind.TOKEN),
    **dict.fromkeys(["feedback-id", "thread-index"], HeaderKind.ASCII),
    "keywords": HeaderKind.PHRASES,
}


class HeaderValueError(ValueError):
    """A value that the header's grammar has no place for; the text completes "must be …" or "must …"."""


def kind_of(name: str) -> HeaderKind:
    """How the value of the header ``name`` is written."""
    return KINDS.get(name.lower(), HeaderKind.TEXT)


def canonical(name: str, value: str) -> str:
    """The value as it is stored and sent. ``value`` is one line without control characters.

    Raises ``HeaderValueError``.
    """
    kind = kind_of(name)
    result = _WRITERS[kind](value)
    if kind in _STRUCTURED:
        if not _fits(name, result):
            most = LONGEST_LINE - len(name) - 2
            raise HeaderValueError(
                f"have at most {most} characters without a blank, letters beyond ASCII counted as they are written in "
                f"it (%C3%BC); it has {max(map(len, result.split(' ')))}"
            )
    elif len(name) > LONGEST_NAME_OF_ENCODED and not is_plain_text(name, result):
        raise HeaderValueError(
            f"be plain ASCII without runs of blanks, because the header's name is so long; with a name of at most "
            f"{LONGEST_NAME_OF_ENCODED} characters it may have any letters"
        )
    return result


def is_plain_text(name: str, value: str) -> bool:
    """Whether every reader finds free text again when it is written in the field as it is."""
    return value.isascii() and "=?" not in value and value == value.strip() and "  " not in value and _fits(name, value)


def _fits(name: str, value: str) -> bool:
    """Whether the words fit on lines, the first one beside the name: some readers take a line end there for a blank."""
    first, *rest = value.split(" ")
    return len(name) + 2 + len(first) <= LONGEST_LINE and max(map(len, rest), default=0) <= LONGEST_WORD


def _uris(value: str) -> str:
    if value.strip().upper() == "NO":
        return "NO"  # RFC 2369 section 3.4: List-Post of a list that takes none
    rest, uris = value.strip(), []
    while rest:
        found = re.match(rf"<([^<>]*)>((?: *{_COMMENT})*) *(,|$) *", rest)
        if found is None:
            raise HeaderValueError(
                "be addresses in angle brackets, parted by commas: <https://example.com/unsubscribe>"
            )
        uris.append(f"<{_uri(found[1].strip())}>{found[2]}")
        rest = rest[found.end() :]
    return ", ".join(uris)


def _uri(value: str) -> str:
    form = _URI.fullmatch(value)
    if form is None or " " in value:
        raise HeaderValueError("have a whole URI between < and >, without blanks: <https://example.com/unsubscribe>")
    scheme, rest = form[1], form[2]
    if value.isascii():
        return scheme + ":" + _percent_encoded(rest)
    if scheme.lower() == "mailto":
        addresses, mark, fields = rest.partition("?")
        written = ",".join(_mailto(address) for address in addresses.split(","))
        return f"{scheme}:{written}{mark}{_percent_encoded(fields)}"
    if rest.startswith("//"):
        authority, tail = re.fullmatch(r"//([^/?#]*)(.*)", rest).groups()  # type: ignore[union-attr]  # fits any
        login, at, host = authority.rpartition("@")
        name, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
        if not re.fullmatch("[0-9]*", port):
            raise HeaderValueError("have a number after the colon behind the host: <https://example.com:8443/>")
        return f"{scheme}://{_percent_encoded(login)}{at}{_host(name)}{colon}{port}{_percent_encoded(tail)}"
    return f"{scheme}:{_percent_encoded(rest)}"


def _mailto(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return _percent_encoded(local) + at + _host(unquote(domain))


def _host(name: str) -> str:
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        raise HeaderValueError("have a host that can be one, or its xn-- form: <https://bücher.example/>") from None


def _percent_encoded(text: str) -> str:
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", quote(text, safe=_URI_SAFE + "%"))


def _list_id(value: str) -> str:
    found = _LIST_ID.fullmatch(value.strip())
    if found is None:
        raise HeaderValueError("end with the list's name in angle brackets: Weekly news <weekly.news.example.com>")
    phrase = " ".join(found["phrase"].split())
    name = f"<{_host(found['id'])}>"
    if len(name) > 257:
        raise HeaderValueError("have a list's name of at most 255 characters (RFC 2919)")
    return f"{phrase} {name}" if phrase else name


def _message_ids(value: str) -> str:
    ids = value.split()
    # With =? in it, which hardly any real one has, readers take it for an encoded word.
    if not ids or "=?" in value or not all(map(_MESSAGE_ID.fullmatch, ids)):
        raise HeaderValueError("be message ids in angle brackets, in ASCII, parted by blanks: <1234@example.com>")
    return " ".join(ids)


def _token(value: str) -> str:
    if not _TOKEN.fullmatch(value.strip()):
        raise HeaderValueError("be one word in ASCII, such as high, bulk or auto-generated")
    return value.strip()


def _one_click(value: str) -> str:
    if value.strip().lower() != "list-unsubscribe=one-click":
        raise HeaderValueError("be List-Unsubscribe=One-Click, which is all that RFC 8058 has")
    return "List-Unsubscribe=One-Click"


def _ascii(value: str) -> str:
    words = value.split()
    if not value.isascii() or "=?" in value:
        raise HeaderValueError("be in ASCII: the programs that read it know no other letters")
    return " ".join(words)


def _phrases(value: str) -> str:
    return ", ".join(" ".join(phrase.split()) for phrase in value.split(",") if phrase.strip()) or value


_WRITERS: Final[Mapping[HeaderKind, Callable[[str], str]]] = {
    HeaderKind.TEXT: str,
    HeaderKind.PHRASES: _phrases,
    HeaderKind.URIS: _uris,
    HeaderKind.LIST_ID: _list_id,
    HeaderKind.MESSAGE_IDS: _message_ids,
    HeaderKind.TOKEN: _token,
    HeaderKind.ONE_CLICK: _one_click,
    HeaderKind.ASCII: _ascii,
}
#: Whose values are never written as encoded words, so that nothing makes a long word shorter.
_STRUCTURED: Final = frozenset(HeaderKind) - {HeaderKind.TEXT, HeaderKind.PHRASES, HeaderKind.LIST_ID}
