"""Passwords of users: hashed with Argon2id (RFC 9106), made at random, and what one must be."""

from __future__ import annotations

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: RFC 9106 asks for much memory; OWASP's Password Storage Cheat Sheet names this as enough, and a login form is open to
#: strangers: 19 MiB and some 20 ms for each guess.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: Guesses that one process works on at once: strangers can't take all of its processor time and memory.
_ONE_BY_ONE = threading.Semaphore(2)
LEAST_LENGTH = 12
MOST_LENGTH = 200
_DIGITS = "abcdefghijkmnpqrstuvwxyz23456789"


def new_password() -> str:
    """20 characters, 99 bits of chance, without those that look alike."""
    groups = ("".join(secrets.choice(_DIGITS) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def password_problem(password: str, user: str) -> str:
    """What is wrong with a password that somebody wants; "" for nothing (NIST SP 800-63B: length, and not the name)."""
    if not LEAST_LENGTH <= len(password) <= MOST_LENGTH:
        return f"A password has {LEAST_LENGTH} to {MOST_LENGTH} characters."
    if len(set(password)) < 5:
        return "This password has too few different characters."
    if user.casefold() in password.casefold() and len(password) < LEAST_LENGTH + len(user):
        return "A password must be more than the user's name with a little added."
    return ""


def hash_password(password: str) -> str:
    """What is kept of a password."""
    with _ONE_BY_ONE:
        return _HASHER.hash(password)


def is_right_password(password: str, kept: str | None) -> bool:
    """Whether ``kept`` is of this password. None (no such user) takes as long, and is never right."""
    with _ONE_BY_ONE:
        try:
            return _HASHER.verify(kept or _hash_of_nobody(), password[:MOST_LENGTH]) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


_nobody: list[str] = []


def _hash_of_nobody() -> str:
    if not _nobody:
        _nobody.append(_HASHER.hash(secrets.token_urlsafe(16)))
    return _nobody[0]
