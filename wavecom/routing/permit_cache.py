"""Permits that a process has fetched for one priority and not used yet: one trip to Redis serves many calls. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: What isn't used by then is lost: permits kept for later would come on top of those granted then.
KEEP_SECONDS = 0.2
#: A batch is meant to last about so long.
BATCH_SECONDS = 0.05
#: A refusal is believed for so long without asking again, however long the wait it promised.
BELIEVE_SECONDS = 0.1


@dataclass(slots=True)
class PermitCache:
    """Not thread-safe. ``now`` is monotonic seconds. ``most_ahead`` bounds a batch beyond what is needed at once."""

    most_ahead: int
    permits: int = 0
    #: How many the next batch should hold beyond the need; follows the demand.
    ahead: int = 0
    refusal_reason: str = ""
    _fetched: int = 0
    _fetched_at: float = float("-inf")
    _refused_at: float = float("-inf")
    _worth_asking_at: float = float("-inf")

    def take(self, cost: int, now: float) -> bool:
        """Take permits if there are enough."""
        if self.permits < cost or now >= self._fetched_at + KEEP_SECONDS:
            return False
        self.permits -= cost
        return True

    def plan(self, now: float) -> None:
        """Before a batch is fetched: adapt its size to what became of the last one."""
        age = now - self._fetched_at
        if age >= KEEP_SECONDS:
            if self.permits > 0:
                self.ahead = max(0, self._fetched - self.permits)
            self.permits = 0
        elif age < BATCH_SECONDS:
            self.ahead = min(self.most_ahead, 2 * self.ahead + 1)

    def fill(self, granted: int, cost: int, now: float) -> None:
        """A batch came, and ``cost`` of it is used at once."""
        self.permits += granted - cost
        self._fetched = granted - cost
        self._fetched_at = now
        self._worth_asking_at = now

    def put_back(self, cost: int, now: float) -> None:
        """Permits that were taken and not used."""
        if now < self._fetched_at + KEEP_SECONDS:
            self.permits += cost

    def spend(self, cost: int, now: float) -> int:
        """Use up to ``cost`` permits; answers how many are still owed."""
        paid = min(cost, self.permits) if now < self._fetched_at + KEEP_SECONDS else 0
        self.permits -= paid
        return cost - paid

    def clear(self) -> None:
        """Drop what was fetched: nobody may call now."""
        self.permits = 0

    def refuse(self, reason: str, wait_seconds: float, now: float) -> None:
        """No batch came, and none is expected for ``wait_seconds``."""
        self.refusal_reason = reason
        self._refused_at = now
        self._worth_asking_at = now + wait_seconds

    def wait_seconds(self, now: float) -> float:
        """How long until it is worth asking; 0: now."""
        return 0.0 if self.permits else max(0.0, self._worth_asking_at - now)

    def knows_refusal(self, now: float) -> bool:
        """Whether asking now would only bring the same refusal again."""
        return now < min(self._worth_asking_at, self._refused_at + BELIEVE_SECONDS)
