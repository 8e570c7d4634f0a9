"""Who causes something, and what everything that he causes is held against."""

from __future__ import annotations

from dataclasses import dataclass

from wavecom.core.account import account_of
from wavecom.core.quota import UNLIMITED, Limits
from wavecom.core.senders import ANY_SENDER, SenderPolicy

#: The client under which operators send from the pages; no key's client may be called so.
OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A key, or an operator."""

    #: The account (``core.account``) that its notifications belong to.
    client: str
    #: What jobs, logs and the audit call it: ``key <keyId>`` or ``operator``.
    name: str
    #: Which count its notifications are held against (``core.quota``); None: an operator, who has no limits.
    budget: str | None = None
    #: Its own limits; where they say nothing the settings' are meant.
    limits: Limits = UNLIMITED
    senders: SenderPolicy = ANY_SENDER


#: Who signs in to the pages with the operator's password.
THE_OPERATOR = Actor(client=account_of(OPERATOR, True), name=OPERATOR)
