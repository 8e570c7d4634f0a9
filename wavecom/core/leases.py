"""Ongoing calls on threads, and the leases of their jobs, which must not run out before the calls have ended.

A mail server may take minutes to answer (RFC 5321 section 4.5.3.2), a lease lasts half of one. Were it to run out, the
job would count as lost with its worker, and the message would go out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from wavecom.core.engine import LeaseRenewed, Policy, Transition, decide
from wavecom.core.job import CallResult, Job, ProviderResult
from wavecom.core.ports import Clock
from wavecom.errors import StoreError

log = structlog.get_logger()

#: ``LeaseKeeper.renew`` is to be called so often.
RENEWAL_SECONDS: Final = 2.5
#: A lease with less than this left is renewed: time for a store that hesitates. More than most calls ever leave.
_LEAST_LEFT_SECONDS: Final = 12.0


@dataclass(slots=True, eq=False)
class OngoingCall:
    """One call to ``provider``, begun ``at`` (``started`` by the monotonic clock); ``calls`` came before it."""

    job: Job
    provider: str
    calls: tuple[CallResult, ...]
    at: datetime
    started: float
    lease_until: datetime
    is_lost: bool = False

    def result_with(self, answer: ProviderResult, now: float) -> CallResult:
        """The call's result, were ``answer`` its answer; ``now``: monotonic seconds."""
        return CallResult(self.provider, answer, self.at, (now - self.started) * 1000)


class LeaseKeeper:
    """Renews the leases of jobs whose calls are under way, many with one write. Thread-safe.

    ``apply`` writes transitions, each fenced by its claim's token, and tells which were written; see ``JobRepository``.
    """

    def __init__(
        self, *, clock: Clock, policy: Policy, apply: Callable[[Sequence[Transition]], Sequence[bool]]
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._apply = apply
        self._calls: dict[int, OngoingCall] = {}

    @contextmanager
    def holding(self, call: OngoingCall) -> Iterator[None]:
        """For as long as the call takes."""
        self._calls[id(call)] = call
        try:
            yield
        finally:
            self._calls.pop(id(call), None)

    def ongoing_calls(self) -> list[OngoingCall]:
        """The calls at this moment whose jobs are still held."""
        return [call for call in list(self._calls.values()) if not call.is_lost]

    def renew(self) -> None:
        """Write the renewals that are due; what the store does not take now is tried again the next time."""
        now = self._clock.now()
        planned: list[tuple[OngoingCall, Transition]] = []
        for call in self.ongoing_calls():
            if (call.lease_until - now).total_seconds() < _LEAST_LEFT_SECONDS:
                token = call.job.claim.token if call.job.claim else ""
                transition = decide(call.job, LeaseRenewed(token, is_under_way=True), now, self._policy)
                if transition is not None:
                    planned.append((call, transition))
        if not planned:
            return
        try:
            written = self._apply([transition for _, transition in planned])
        except StoreError as error:
            log.warning("leases_unrenewed", count=len(planned), error=str(error))
            return
        for (call, transition), is_written in zip(planned, written, strict=True):
            if is_written:
                call.lease_until = transition.changes["claim"].lease_until
            else:
                # The sweep gave this worker up, after a store that was away for long. The call can't be taken back;
                # what comes of it is still recorded where nobody else holds the job by then.
                call.is_lost = True
                log.warning("lease_lost_during_call", job_id=call.job.job_id, provider=call.provider)
