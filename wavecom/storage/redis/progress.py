"""The progress of workers and the sweep's report on it, in Redis. What Redis loses is written anew within seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import redis

from wavecom.core.lanes import LaneQueue
from wavecom.core.progress import StallReport
from wavecom.errors import UnavailableError

MOVED_KEY = "wavecom:progress:moved"
STALL_REPORT_KEY = "wavecom:progress:judgement"
CANCELLED_KEY = "wavecom:progress:cancelled"
#: What a worker has written of itself counts for so long; it writes that anew every few seconds.
_FRESH_SECONDS = 30
_DAY_SECONDS = 86_400


class RedisProgress:
    """Implements ``wavecom.core.progress.ProgressBoard``. Thread-safe. Every call raises ``UnavailableError``."""

    def __init__(self, client: redis.Redis, name_of: Callable[[LaneQueue], str], now: Callable[[], datetime]) -> None:
        self._client = client
        #: What the broker's names of lane queues begin with.
        self._prefix = name_of(LaneQueue(""))
        self._now = now

    def note_moved(self, queues: Iterable[str]) -> None:
        """A worker has taken messages from these queues a moment ago, or holds some."""
        moved_at = _milliseconds(self._now())
        mapping: Any = dict.fromkeys(queues, moved_at)
        if mapping:
            self._call(lambda: self._client.hset(MOVED_KEY, mapping=mapping))

    def moved_at(self) -> Mapping[LaneQueue, datetime]:
        """See ``ProgressBoard.moved_at``."""
        found: Any = self._call(lambda: self._client.hgetall(MOVED_KEY))
        return {
            LaneQueue(name.removeprefix(self._prefix)): _time(at)
            for name, at in found.items()
            if name.startswith(self._prefix)
        }

    def publish(self, report: StallReport) -> None:
        """See ``ProgressBoard.publish``."""
        text = orjson.dumps({"at": _milliseconds(report.at), "stalled": report.stalled})
        self._call(lambda: self._client.set(STALL_REPORT_KEY, text, ex=_DAY_SECONDS))

    def stall_report(self) -> StallReport | None:
        """The sweep's latest; None when there was none within a day."""
        text: Any = self._call(lambda: self._client.get(STALL_REPORT_KEY))
        if text is None:
            return None
        content = orjson.loads(text)
        return StallReport(_time(content["at"]), tuple(content["stalled"]))

    def note_cancelled(self, node: str, queues: Sequence[str]) -> None:
        """A worker's consumers that somebody has cancelled; none: all is well with it again."""
        if queues:
            text = orjson.dumps({"at": _milliseconds(self._now()), "queues": queues})
            self._call(lambda: self._client.hset(CANCELLED_KEY, node, text.decode()))
        else:
            self._call(lambda: self._client.hdel(CANCELLED_KEY, node))

    def cancelled(self) -> Mapping[str, Sequence[str]]:
        """Worker → its cancelled queues, of those that were noted within the last 30 seconds."""
        found: Any = self._call(lambda: self._client.hgetall(CANCELLED_KEY))
        noted = {node: orjson.loads(text) for node, text in found.items()}
        oldest = _milliseconds(self._now()) - _FRESH_SECONDS * 1000
        return {node: content["queues"] for node, content in noted.items() if content["at"] >= oldest}

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except redis.RedisError as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__}).") from error


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _time(milliseconds: object) -> datetime:
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC)
