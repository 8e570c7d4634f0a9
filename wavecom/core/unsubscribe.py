"""Links by which a recipient of an e-mail leaves it, and the headers that offer them (RFC 2369, RFC 8058).

Who is registered is led to his preference page instead, where he chooses among all that the account sends.

A link needs no login, works as long as its key is known, and shows nothing: account, channel and recipient stand in
it encrypted and authenticated (AES-SIV, RFC 5297), so nobody can read them from it, make one, or change one into
another's.
The same recipient of the same account has the same link in every mail; that needs neither chance nor time.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from wavecom.core.lanes import Channel
from wavecom.core.recipients import recipient_of
from wavecom.errors import Problem

#: The path of a link, before its token.
PATH = "/unsubscribe"
#: The same of a preference page.
PREFERENCES_PATH = "/preferences"
LIST_UNSUBSCRIBE = "List-Unsubscribe"
LIST_UNSUBSCRIBE_POST = "List-Unsubscribe-Post"
ONE_CLICK = "List-Unsubscribe=One-Click"
_LINK_HEADERS = frozenset({LIST_UNSUBSCRIBE.lower(), LIST_UNSUBSCRIBE_POST.lower()})

#: Parts tokens of this form and purpose from all that the same secret may serve besides.
_PURPOSE = b"wavecom unsubscribe 1"
_PREFERENCES_PURPOSE = b"wavecom preferences 1"
_LONGEST_TOKEN = 6000


@dataclass(frozen=True, slots=True)
class UnsubscribeTarget:
    """Who leaves what: a recipient (normalised) of an account's messages on a channel."""

    account: str
    channel: Channel
    recipient: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreferenceTarget:
    """Whose preference page it is, and the category of the mail that led there; empty: none."""

    account: str
    recipient_id: str
    category: str = ""


class UnsubscribeLinks:
    """Makes and reads links below ``base_url``, the public address of this deployment.

    ``secrets`` are one or more texts that are hard to guess: the first makes links, all of them read. So one is
    replaced by putting another before it, and taken away when the mails with its links are old enough.
    """

    def __init__(self, base_url: str, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("links need a secret")
        self._base_url = base_url
        self._ciphers = [AESSIV(_key(secret)) for secret in secrets]

    def url(self, subscription: UnsubscribeTarget) -> str:
        """The link of this subscription."""
        parts = subscription.account, subscription.channel.value, subscription.recipient
        return f"{self._base_url}{PATH}/{self._sealed(parts, _PURPOSE)}"

    def preferences_url(self, page: PreferenceTarget) -> str:
        """The link of this preference page."""
        parts = page.account, page.recipient_id, page.category
        return f"{self._base_url}{PREFERENCES_PATH}/{self._sealed(parts, _PREFERENCES_PURPOSE)}"

    def headers(self, target: UnsubscribeTarget | PreferenceTarget) -> Mapping[str, str]:
        """What offers the link in a mail: readers show a button, whose POST alone unsubscribes."""
        url = self.url(target) if isinstance(target, UnsubscribeTarget) else self.preferences_url(target)
        return {LIST_UNSUBSCRIBE: f"<{url}>", LIST_UNSUBSCRIBE_POST: ONE_CLICK}

    def is_ours(self, header: str) -> bool:
        """Whether this is the value of a List-Unsubscribe header that holds a link of ours."""
        link = header.strip().removeprefix("<").removesuffix(">")
        token = link.rpartition("/")[2]
        if f"{PATH}/" in link:
            return self.read(token) is not None
        return f"{PREFERENCES_PATH}/" in link and self.read_preferences(token) is not None

    def read(self, token: str) -> UnsubscribeTarget | None:
        """What a link's token stands for; None for one that is none of ours."""
        parts = self._opened(token, _PURPOSE)
        return None if parts is None else UnsubscribeTarget(parts[0], Channel(parts[1]), parts[2])

    def read_preferences(self, token: str) -> PreferenceTarget | None:
        """The preference page that a link's token stands for; None for one that is none of ours."""
        parts = self._opened(token, _PREFERENCES_PURPOSE)
        return None if parts is None else PreferenceTarget(*parts)

    def _sealed(self, parts: tuple[str, str, str], purpose: bytes) -> str:
        sealed = self._ciphers[0].encrypt("\0".join(parts).encode(), [purpose])
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    def _opened(self, token: str, purpose: bytes) -> tuple[str, str, str] | None:
        """What ``_sealed`` has made a token of, for the same purpose."""
        if len(token) > _LONGEST_TOKEN:
            return None
        try:
            sealed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (binascii.Error, UnicodeEncodeError, ValueError):
            return None
        for cipher in self._ciphers:
            try:
                first, second, third = cipher.decrypt(sealed, [purpose]).decode().split("\0")
            except (InvalidTag, ValueError):
                continue
            return first, second, third
        return None


def problems(payload: Mapping[str, Any], links: UnsubscribeLinks | None) -> list[Problem]:
    """What is wrong with a payload that asks for a link where none can be made."""
    if links is not None or not payload.get("unsubscribe"):
        return []
    return [
        Problem(
            "/payload/unsubscribe",
            "needs an address under which recipients reach this WaveCom; who runs it sets `WAVECOM_PUBLIC_URL`",
            "not_allowed",
        )
    ]


def with_link(
    payload: Mapping[str, Any],
    links: UnsubscribeLinks | None,
    account: str,
    channel: Channel,
    to: Mapping[str, Any],
    page: PreferenceTarget | None = None,
) -> Mapping[str, Any]:
    """The payload of a mail with the headers that its field ``unsubscribe`` asks for, in place of that field.

    They lead to ``page``, where the recipient has one.
    """
    found = dict(payload)
    recipient = recipient_of(channel, to)
    if found.pop("unsubscribe") and links is not None and recipient is not None:
        target = page or UnsubscribeTarget(account, channel, recipient)
        found["headers"] = {**found.get("headers", {}), **links.headers(target)}
    return found


def without_link(payload: Mapping[str, Any], links: UnsubscribeLinks | None) -> Mapping[str, Any]:
    """The payload of a mail for another recipient: without the link of the first one, whoever made it.

    Where it was one of ours, ``unsubscribe`` asks for the other recipient's.
    """
    headers = {name: value for name, value in payload.get("headers", {}).items() if name.lower() not in _LINK_HEADERS}
    found = {name: value for name, value in payload.items() if name != "headers"}
    if headers:
        found["headers"] = headers
    for name, value in payload.get("headers", {}).items():
        if name.lower() == LIST_UNSUBSCRIBE.lower() and links is not None and links.is_ours(value):
            found["unsubscribe"] = True
    return found


def _key(secret: str) -> bytes:
    """The 64 bytes that AES-SIV takes, of a text with enough chance in it."""
    return hashlib.blake2b(secret.encode(), digest_size=64, person=b"wavecom unsub").digest()
