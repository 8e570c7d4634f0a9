"""``QuotaService`` on Redis: the requests of all threads that ask at one moment are one script call."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import redis
import structlog
from prometheus_client import Counter

from wavecom.batching import GroupCommit
from wavecom.core.quota import DAILY, DAY_SECONDS, NAME_SECONDS, RATE, Limits, QuotaDecision, QuotaRequest, StoredAnswer
from wavecom.errors import LimitStatus, UnavailableError
from wavecom.storage.redis.kept_answers import ANSWERS, ORDER
from wavecom.storage.redis.quota_share import QuotaShare
from wavecom.storage.redis.scripts import RedisScripts

log = structlog.get_logger()

LOCAL = Counter(
    "wavecom_limits_local_total",
    "Requests held to one process's share of the limits: Redis was away, or refused to write",
)

#: Longer than any call here takes; what a request may lose to a Redis that is frozen, once in ``PAUSE_SECONDS``.
TIMEOUT_SECONDS = 0.15
#: After a failure nobody asks for this long.
PAUSE_SECONDS = 5.0
#: How long answers are kept; later the store's own index finds them.
KEEP_SECONDS = 86_400
#: And how many, some 400 bytes each: they must not take the memory that limits need.
ANSWERS_LIMIT = 100_000
_PREFIX = "wavecom:quota:"
_WRITE_SECONDS = 0.05
_UNWRITTEN_LIMIT = 10_000
_BATCH = 500

_Change = tuple[str, int, float | None, int | None]


class RedisQuotas:
    """``wavecom.core.quota.QuotaService``. ``client`` must give up after about ``TIMEOUT_SECONDS``. Thread-safe.

    While Redis can't be used, or refuses to write (full, read only), each process holds its callers to its share
    (``1 / processes``) of what was left, and adds to the shared counts afterwards what was used meanwhile.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        processes: int = 1,
        answers_limit: int = ANSWERS_LIMIT,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._scripts = RedisScripts(client)
        self._monotonic = monotonic
        self._now = now
        self._answers_limit = answers_limit
        self._share = QuotaShare(processes, now)
        #: For requests that come alone: they wait for others for no more than 3 ms.
        self._batches: GroupCommit[QuotaRequest, QuotaDecision] = GroupCommit(self.check_many, max_window_seconds=0.003)
        self._paused_until = float("-inf")
        self._is_away = False
        #: The oldest are forgotten when Redis can't keep up.
        self._unwritten: deque[tuple[str, StoredAnswer]] = deque(maxlen=_UNWRITTEN_LIMIT)
        #: Budget, notifications to add to its count, its rate, and the day on which they were counted.
        self._changes: deque[_Change] = deque(maxlen=_UNWRITTEN_LIMIT)
        self._has_unwritten = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None

    @property
    def is_local(self) -> bool:
        """Whether limits are held by each process for itself at the moment."""
        return self._is_away

    def check(self, request: QuotaRequest) -> QuotaDecision:
        """See the port."""
        if self._monotonic() < self._paused_until:
            return self._decide_locally([request])[0]
        return self._batches.submit(request)

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        """See the port. Written a moment later, many at once."""
        if decision.is_local:
            self._share.refund(request, decision, count)
        else:
            self._change(request.budget, -count, request.limits.rate_per_second, decision.day)

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
        """See the port. Written a moment later, many at once."""
        self._unwritten.append((name, answer))
        self._wake_writer()

    def close(self) -> None:
        """Write what is left and let go."""
        self._closing.set()
        self._has_unwritten.set()
        if self._writer is not None:
            self._writer.join(timeout=2)
        self._client.close()

    # --- asking -------------------------------------------------------------------------------------------------------

    def check_many(self, requests: Sequence[QuotaRequest]) -> Sequence[QuotaDecision]:
        """See the port."""
        # Once more: threads that waited for a batch that failed must not try one after the other.
        if self._monotonic() < self._paused_until:
            return self._decide_locally(requests)
        keys = [key for request in requests for key in _keys(request)]
        arguments = {"keep": NAME_SECONDS, "requests": [_arguments(request) for request in requests]}
        try:
            replies = self._scripts.run("quota", keys, arguments)
        except UnavailableError as error:
            self._begin_outage(error)
            return self._decide_locally(requests)
        if self._is_away:
            self._end_outage()
        decisions = [_decision(request.limits, reply) for request, reply in zip(requests, replies, strict=True)]
        self._share.record_remaining(requests, decisions)
        return decisions

    def _decide_locally(self, requests: Sequence[QuotaRequest]) -> Sequence[QuotaDecision]:
        LOCAL.inc(len(requests))
        return self._share.check_many(requests)

    def _begin_outage(self, error: Exception) -> None:
        self._paused_until = self._monotonic() + PAUSE_SECONDS
        if not self._is_away:
            # Once per outage; the counter counts requests.
            log.warning("limits_local", error=str(error), share=f"1/{self._share.processes}")
        self._is_away = True

    def _end_outage(self) -> None:
        self._is_away = False
        today = int(self._now() // DAY_SECONDS)
        for budget, used in self._share.take_usage().items():
            self._change(budget, used, None, today)
        log.warning("limits_shared_again")

    # --- writing ------------------------------------------------------------------------------------------------------

    def _change(self, budget: str, count: int, rate_per_second: float | None, day: int | None) -> None:
        self._changes.append((budget, count, rate_per_second, day))
        self._wake_writer()

    def _wake_writer(self) -> None:
        if self._writer is None:
            with self._lock:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._keep_writing, name="quota", daemon=True)
                    self._writer.start()
        self._has_unwritten.set()

    def _keep_writing(self) -> None:
        while not self._closing.is_set():
            self._has_unwritten.wait()
            self._closing.wait(_WRITE_SECONDS)
            self._has_unwritten.clear()
            self.write()

    def write(self) -> None:
        """Write what waits. While Redis is away answers are forgotten: the store knows them too."""
        while self._changes or self._unwritten:
            if self._monotonic() < self._paused_until:
                self._unwritten.clear()
                return
            changes = [self._changes.popleft() for _ in range(min(_BATCH, len(self._changes)))]
            answers = [self._unwritten.popleft() for _ in range(min(_BATCH, len(self._unwritten)))]
            try:
                if changes:
                    self._scripts.run(
                        "adjust", [key for each in changes for key in _count_keys(each[0])], _adjustments(changes)
                    )
                if answers:
                    self._remember(answers)
            except UnavailableError as error:
                # Nobody knows whether it was done: what was used is counted again, what was given back is not.
                self._changes.extendleft(change for change in reversed(changes) if change[1] > 0)
                self._begin_outage(error)

    def _remember(self, answers: Sequence[tuple[str, StoredAnswer]]) -> None:
        values = [orjson.dumps([each.fingerprint, each.job_id, each.body]).decode() for _, each in answers]
        arguments = {"keep": KEEP_SECONDS, "most": self._answers_limit, "values": values}
        self._scripts.run("remember", [ORDER, *(ANSWERS + name for name, _ in answers)], arguments)


def _adjustments(changes: Sequence[_Change]) -> list[dict[str, Any]]:
    return [
        {"count": count, "day": day} | ({} if rate is None else {"interval": 1 / rate})
        for _, count, rate, day in changes
    ]


def _count_keys(budget: str) -> tuple[str, str]:
    return f"{_PREFIX}rate:{budget}", f"{_PREFIX}daily:{budget}"


def _keys(request: QuotaRequest) -> list[str]:
    answer = [ANSWERS + request.names[0]] if request.wants_answer else []
    names = () if request.limits.is_unlimited else request.names
    return [*_count_keys(request.budget), *answer, *(f"{_PREFIX}name:{name}" for name in names)]


def _arguments(request: QuotaRequest) -> dict[str, Any]:
    limits = request.limits
    arguments: dict[str, Any] = {
        "cost": request.cost,
        "refused": request.refused,
        "names": 0 if limits.is_unlimited else len(request.names),
        "looks": request.wants_answer,
    }
    if limits.rate_per_second is not None:
        arguments |= {"interval": 1 / limits.rate_per_second, "burst": limits.burst}
    if limits.daily_quota is not None:
        arguments["quota"] = limits.daily_quota
    return arguments


def _decision(limits: Limits, reply: Mapping[str, Any]) -> QuotaDecision:
    if "known" in reply:
        return QuotaDecision(answer=StoredAnswer(*orjson.loads(reply["known"])))
    found = []
    if "rate_left" in reply:
        reset = math.ceil(reply["rate_reset"])
        found.append(LimitStatus(RATE, limits.burst, limits.BURST_SECONDS, int(reply["rate_left"]), reset))
    if "quota_left" in reply and limits.daily_quota is not None:
        reset = math.ceil(reply["quota_reset"])
        found.append(LimitStatus(DAILY, limits.daily_quota, DAY_SECONDS, int(reply["quota_left"]), reset))
    if "refused" not in reply:
        return QuotaDecision(found, charged=int(reply["charged"]), day=int(reply["day"]))
    return QuotaDecision(found, None, reply["refused"], max(1, math.ceil(reply["wait"])))
