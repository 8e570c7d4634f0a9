"""Headers that tell a client about its limits.

As in draft-ietf-httpapi-ratelimit-headers-10: ``RateLimit-Policy`` tells the limits of the key, ``RateLimit`` what is
left of each and for how many seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wavecom.errors import LimitStatus, QuotaExhaustedError, RateLimitedError

POLICY, LEFT = "RateLimit-Policy", "RateLimit"

#: For the declaration of an operation.
HEADERS = {
    POLICY: 'the limits of the key, where it has any: `"rate";q=100;w=10` is 100 in 10 seconds',
    LEFT: 'what is left of each: `"rate";r=99;t=1` is 99, and all of it again in a second',
}

#: What an operation that asks can answer with.
ERRORS = (RateLimitedError, QuotaExhaustedError)


def limit_headers(limits: Sequence[LimitStatus]) -> Mapping[str, str]:
    """The headers; none without limits."""
    if not limits:
        return {}
    return {
        POLICY: ", ".join(f'"{each.name}";q={each.quota};w={each.window_seconds}' for each in limits),
        LEFT: ", ".join(f'"{each.name}";r={each.remaining};t={each.reset_seconds}' for each in limits),
    }
