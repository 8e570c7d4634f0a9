"""HTTP Basic authentication (RFC 7617): what we send, and what is sent to us."""

from __future__ import annotations

from base64 import b64encode


def basic_credentials(user: str, password: str) -> str:
    """The value of ``Authorization``, in UTF-8 as the RFC's ``charset`` has it."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
