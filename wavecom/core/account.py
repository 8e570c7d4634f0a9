"""Accounts: what a job belongs to. The one place that knows how live and test jobs of a client are told apart.

A client has two accounts, one for its live keys and one for its test keys. Everything that is kept by client (jobs, the
uniqueness of idempotency keys, lists, counters, limits) is kept by account, so test data stay apart from live data
without anybody thinking of it; and whether a job may reach a real provider can be read off the job itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TEST_SUFFIX = ":test"
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

#: Words by which WaveCom, its logs and its audit call somebody who is no client.
RESERVED_CLIENTS = frozenset(
    {"admin", "administrator", "anonymous", "nobody", "none", "null", "operator", "operators"}
    | {"root", "system", "undefined", "unknown", "wavecom"}
)

#: Whose notifications are WaveCom's own, such as notices to a client's contact. No key can be made for it.
SYSTEM_CLIENT = "wavecom"

#: For messages: what ``is_client_name`` wants.
CLIENT_NAME_RULE = (
    "1 to 64 letters, digits, dots, hyphens or underscores, a letter or digit first, and is none of the words that "
    "WaveCom uses itself, such as operator, system or admin"
)


def is_client_name(name: str) -> bool:
    """Whether a client may be called so. Never with a colon, so that no live account looks like a test account."""
    return _CLIENT.fullmatch(name) is not None and name.lower() not in RESERVED_CLIENTS


def account_of(client: str, is_live: bool) -> str:
    """The account that jobs of this client's live keys, or test keys, belong to: ``Job.client``."""
    return client if is_live else client + _TEST_SUFFIX


def client_of(account: str) -> str:
    """The client that an account belongs to."""
    return account.removesuffix(_TEST_SUFFIX)


def is_test_account(account: str) -> bool:
    """Whether jobs of this account must never reach a real provider. Who has a job asks its ``lane`` instead."""
    return account.endswith(_TEST_SUFFIX)


def account_beside(account: str, client: str) -> str:
    """The account of ``client`` that is live where ``account`` is, and a test account where that is one."""
    return account_of(client, not is_test_account(account))


def live_accounts(accounts: Iterable[str]) -> frozenset[str]:
    """Those whose jobs reach real providers."""
    return frozenset(account for account in accounts if not is_test_account(account))
