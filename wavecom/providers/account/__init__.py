"""Asking a provider about our account with it, without sending anything: what ``wavecom providers check`` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class AccountAspect(StrEnum):
    """What is asked about."""

    CREDENTIALS = "credentials"
    SENDER = "sender"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class AccountFinding:
    """What was found about one aspect. ``is_good`` None: this provider's API can't tell. ``text`` holds no secret."""

    aspect: AccountAspect
    is_good: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class AccountAnswer:
    """An answer of a provider's account API, whatever its status. ``content`` is the JSON it holds; None: none."""

    status: int
    content: Any = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: As it came (XML, a form), at most 64 KiB.
    body: bytes = field(default=b"", repr=False)


class AccountCallError(OSError):
    """No answer came, or none that can be used. The text names no address and no secret."""


class AccountClient(Protocol):
    """HTTP for what is not the hot path: tokens, account checks, balances (``requests``, one policy for all).

    Total deadline, certificate check, no redirect to another host, repeated only where that is safe (GET).
    """

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        auth: tuple[str, str] | None = None,
        ca_file: str | None = None,
    ) -> AccountAnswer:
        """The answer, whatever its status, within ten seconds. Thread-safe.

        ``auth`` is user and password (Basic). Raises ``AccountCallError`` where none came.
        """
        ...
