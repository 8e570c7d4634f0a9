"""``Intake`` on Redis: the questions of all threads that ask at one moment are one script call."""

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
from wavecom.core.intake import GO_ON, Ask, Finished, Limits, Room, Verdict
from wavecom.errors import UnavailableError
from wavecom.storage.redis.scripts import RedisScripts

log = structlog.get_logger()

SKIPPED = Counter(
    "wavecom_limits_skipped_total", "Requests accepted without asking for limits and earlier answers: Redis was away"
)

#: Longer than any call here takes; what a request may lose to a Redis that is frozen, once in ``PAUSE_SECONDS``.
TIMEOUT_SECONDS = 0.15
#: After a failure nobody asks for this long.
PAUSE_SECONDS = 5.0
#: How long answers are kept; later the store's own index finds them.
KEEP_SECONDS = 86_400
_PREFIX = "wavecom:intake:"
_DAY_SECONDS = 86_400
_WRITE_SECONDS = 0.05
_UNWRITTEN_LIMIT = 10_000
_BATCH = 500


class RedisIntake:
    """``wavecom.core.intake.Intake``. ``client`` must give up after about ``TIMEOUT_SECONDS``. Thread-safe."""

    def __init__(self, client: redis.Redis, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._scripts = RedisScripts(client)
        self._monotonic = monotonic
        #: Of those who ask alone; they need not wait long for company.
        self._asks: GroupCommit[Ask, Verdict] = GroupCommit(self.ask_many, max_window_seconds=0.003)
        self._paused_until = float("-inf")
        self._is_away = False
        #: The oldest are forgotten when Redis can't keep up.
        self._unwritten: deque[tuple[str, Finished]] = deque(maxlen=_UNWRITTEN_LIMIT)
        self._has_unwritten = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None

    def ask(self, ask: Ask) -> Verdict:
        """See the port."""
        if self._monotonic() < self._paused_until:
            SKIPPED.inc()
            return GO_ON
        return self._asks.submit(ask)

    def remember(self, answer: str, finished: Finished) -> None:
        """See the port. Written a moment later, many at once."""
        self._unwritten.append((answer, finished))
        if self._writer is None:
            self._start_writer()
        self._has_unwritten.set()

    def close(self) -> None:
        """Write what is left and let go."""
        self._closing.set()
        self._has_unwritten.set()
        if self._writer is not None:
            self._writer.join(timeout=2)
        self._client.close()

    # --- asking -------------------------------------------------------------------------------------------------------

    def ask_many(self, asks: Sequence[Ask]) -> Sequence[Verdict]:
        """See the port."""
        # Again: those who waited for a batch that failed must not try it one after the other.
        if self._monotonic() < self._paused_until:
            SKIPPED.inc(len(asks))
            return [GO_ON] * len(asks)
        keys = [key for ask in asks for key in _keys(ask)]
        try:
            replies = self._scripts.run("intake", keys, [_question(ask) for ask in asks])
        except UnavailableError as error:
            self._fail(error)
            SKIPPED.inc(len(asks))
            return [GO_ON] * len(asks)
        if self._is_away:
            self._is_away = False
            log.warning("limits_hold_again")
        return [_verdict(ask.limits, reply) for ask, reply in zip(asks, replies, strict=True)]

    def _fail(self, error: Exception) -> None:
        self._paused_until = self._monotonic() + PAUSE_SECONDS
        if not self._is_away:
            # Once per outage, not per request; the counter has the rest.
            log.warning("limits_skipped", error=str(error))
        self._is_away = True

    # --- remembering --------------------------------------------------------------------------------------------------

    def _start_writer(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._keep_writing, name="intake", daemon=True)
                self._writer.start()

    def _keep_writing(self) -> None:
        while not self._closing.is_set():
            self._has_unwritten.wait()
            self._closing.wait(_WRITE_SECONDS)
            self._has_unwritten.clear()
            self.write()

    def write(self) -> None:
        """Write the answers that wait. While Redis is away they are forgotten: the store knows them too."""
        while self._unwritten:
            batch = [self._unwritten.popleft() for _ in range(min(_BATCH, len(self._unwritten)))]
            if self._monotonic() < self._paused_until:
                continue
            try:
                self._scripts.run(
                    "remember",
                    [_answer_key(name) for name, _ in batch],
                    {
                        "keep": KEEP_SECONDS,
                        "values": [
                            orjson.dumps([each.fingerprint, each.job_id, each.body]).decode() for _, each in batch
                        ],
                    },
                )
            except UnavailableError as error:
                self._fail(error)


def _answer_key(name: str) -> str:
    return f"{_PREFIX}answer:{name}"


def _keys(ask: Ask) -> tuple[str, str, str]:
    return f"{_PREFIX}rate:{ask.key_id}", f"{_PREFIX}daily:{ask.key_id}", _answer_key(ask.answer or "")


def _question(ask: Ask) -> dict[str, Any]:
    question: dict[str, Any] = {"cost": ask.cost, "looks": ask.answer is not None}
    limits = ask.limits
    if limits.rate_per_second is not None:
        question |= {"interval": 1 / limits.rate_per_second, "burst": limits.burst}
    if limits.daily_quota is not None:
        question["quota"] = limits.daily_quota
    return question


def _verdict(limits: Limits, reply: Mapping[str, Any]) -> Verdict:
    if "known" in reply:
        return Verdict(finished=Finished(*orjson.loads(reply["known"])))
    rooms = []
    if "rate_left" in reply:
        reset = math.ceil(reply["rate_reset"])
        rooms.append(Room("rate", limits.burst, limits.BURST_SECONDS, int(reply["rate_left"]), reset))
    if "quota_left" in reply and limits.daily_quota is not None:
        reset = math.ceil(reply["quota_reset"])
        rooms.append(Room("daily", limits.daily_quota, _DAY_SECONDS, int(reply["quota_left"]), reset))
    if "refused" not in reply:
        return Verdict(rooms)
    return Verdict(rooms, None, reply["refused"], max(1, math.ceil(reply["wait"])))
