"""Clients and their API keys: who is calling, and what the key may do."""

from wavecom.accounts.administration import Administrator, IssuedKey, KeyAdministration
from wavecom.accounts.keyring import Caller, KeyRing, KeyScope, hash_of, make_key

__all__ = [
    "Administrator",
    "Caller",
    "IssuedKey",
    "KeyAdministration",
    "KeyRing",
    "KeyScope",
    "hash_of",
    "make_key",
]
