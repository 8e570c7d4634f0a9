"""Limits of keys, and answers given before: what the sending operations ask before they accept.

Headers as in draft-ietf-httpapi-ratelimit-headers-10: ``RateLimit-Policy`` tells the limits of the key,
``RateLimit`` what is left of each and for how many seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from wavecom.accounts import Caller
from wavecom.core.intake import GO_ON, Ask, Finished, Intake, Limits, Room, Verdict
from wavecom.errors import QuotaExhaustedError, RateLimitedError
from wavecom.settings import Settings

POLICY, LEFT = "RateLimit-Policy", "RateLimit"

#: For the declaration of an operation.
HEADERS = {
    POLICY: 'the limits of the key, where it has any: `"rate";q=100;w=10` is 100 in 10 seconds',
    LEFT: 'what is left of each: `"rate";r=99;t=1` is 99, and all of it again in a second',
}


#: What an operation that asks can answer with.
ERRORS = (RateLimitedError, QuotaExhaustedError)


class Gatekeeper:
    """Asks for one operation after the other; skips what there is nothing to ask about."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._rate_per_second = settings.key_rate_per_second
        self._daily_quota = settings.key_daily_quota

    def admit(self, caller: Caller, cost: int) -> Verdict:
        """Count ``cost`` notifications in. Raises ``RateLimitedError`` and ``QuotaExhaustedError``."""
        question = self.question(caller, cost)
        verdict = GO_ON if question is None else self._intake.ask(question)
        self.check(verdict, cost)
        return verdict

    def question(self, caller: Caller, cost: int, idempotency_key: str | None = None) -> Ask | None:
        """What is to be asked before ``cost`` notifications are accepted; None: nothing."""
        limits = self._limits(caller)
        if idempotency_key is None and (limits is None or cost == 0):
            return None
        answer = None if idempotency_key is None else _name(caller.client, idempotency_key)
        return Ask(caller.counts_as or caller.key_id, limits or Limits(), cost, answer)

    @staticmethod
    def check(verdict: Verdict, cost: int) -> None:
        """Raises ``RateLimitedError`` or ``QuotaExhaustedError`` for a verdict that refuses."""
        if verdict.refused is not None:
            raise _refusal(verdict, cost)

    def remember(self, caller: Caller, idempotency_key: str, finished: Finished) -> None:
        """Keep an answer, so that a repetition gets it at once."""
        self._intake.remember(_name(caller.client, idempotency_key), finished)

    def _limits(self, caller: Caller) -> Limits | None:
        rate = self._rate_per_second if caller.rate_per_second is None else caller.rate_per_second
        quota = self._daily_quota if caller.daily_quota is None else caller.daily_quota
        return None if rate is None and quota is None else Limits(rate, quota)


def headers(rooms: Sequence[Room]) -> Mapping[str, str]:
    """The headers that tell a client about its limits; none without limits."""
    if not rooms:
        return {}
    return {
        POLICY: ", ".join(f'"{room.name}";q={room.quota};w={room.window_seconds}' for room in rooms),
        LEFT: ", ".join(f'"{room.name}";r={room.remaining};t={room.reset_seconds}' for room in rooms),
    }


def _name(account: str, idempotency_key: str) -> str:
    # The digest: a key may be long, and is the client's own business.
    return f"{account}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


def _refusal(verdict: Verdict, cost: int) -> RateLimitedError:
    room = next(room for room in verdict.rooms if room.name == verdict.refused)
    told = headers(verdict.rooms)
    if room.name == "daily":
        message = (
            f"This key may send {room.quota} notifications a day (UTC) and {room.remaining} are left; "
            f"this request has {cost}."
        )
        return QuotaExhaustedError(message, verdict.retry_after_seconds, told)
    message = (
        f"This key may send {room.quota} notifications in {room.window_seconds} seconds, "
        "and this request came too soon."
    )
    return RateLimitedError(message, verdict.retry_after_seconds, told)
