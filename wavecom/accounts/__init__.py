"""Clients and their API keys: who is calling, and what the key may do."""

from wavecom.accounts.administration import Administrator, KeyAdministration, NewKey
from wavecom.accounts.keyring import Caller, KeyRing
from wavecom.accounts.keys import Scope, hash_of, make_key

__all__ = [
    "Administrator",
    "Caller",
    "KeyAdministration",
    "KeyRing",
    "NewKey",
    "Scope",
    "hash_of",
    "make_key",
]
