"""Keeps track of a channel's unsettled messages, to acknowledge many with one frame. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class CeleryMessage(Protocol):
    """A message of the same channel that Celery settles: ``kombu.Message``."""

    @property
    def acknowledged(self) -> bool:
        """Whether it was settled."""
        ...


@dataclass(frozen=True, slots=True)
class Ack:
    """One ``basic.ack``: of ``tag``, or of everything up to it."""

    tag: int
    is_multiple: bool


class AckTracker:
    """The unsettled delivery tags of one channel, which grow with every message. Not thread-safe.

    One acknowledgement of "everything up to here" costs as much as that of one message, but it must never include a
    message that is still being worked on, or one that Celery answers by itself.
    """

    def __init__(self) -> None:
        # Dicts, because they keep the order of arrival and let go of an entry in its middle.
        self._unsettled: dict[int, str] = {}
        self._celery_messages: dict[int, CeleryMessage] = {}

    def __len__(self) -> int:
        """How many messages are unsettled."""
        return len(self._unsettled) + len(self._celery_messages)

    def receive(self, tag: int, job_id: str = "") -> None:
        """A delivery message has come."""
        self._unsettled[tag] = job_id

    def unsettled(self) -> Mapping[int, str]:
        """The unsettled delivery messages: tag to job, in the order of arrival."""
        return dict(self._unsettled)

    def receive_celery_message(self, tag: int, message: CeleryMessage) -> None:
        """A message has come that Celery settles."""
        # A worker may get nothing but these, so they are not left for a delivery message to clear away.
        for answered in [tag for tag, message in self._celery_messages.items() if message.acknowledged]:
            del self._celery_messages[answered]
        self._celery_messages[tag] = message

    def drop(self, tag: int) -> bool:
        """Forget a message that is rejected, which takes a frame of its own; False when it was settled before."""
        return self._unsettled.pop(tag, None) is not None

    def settle(self, tags: Iterable[int]) -> Sequence[Ack]:
        """Settle these: the frames that acknowledge them. Tags that were settled before are passed over."""
        done = sorted(tag for tag in tags if self.drop(tag))
        if not done:
            return []
        barrier = min(self._barriers(), default=done[-1] + 1)
        together = [tag for tag in done if tag < barrier]
        acks = [Ack(tag, is_multiple=False) for tag in done[len(together) :]]
        if together:
            acks.append(Ack(together[-1], is_multiple=len(together) > 1))
        return acks

    def _barriers(self) -> Iterator[int]:
        """The earliest unsettled tag of either kind of message."""
        if self._unsettled:
            yield next(iter(self._unsettled))
        for tag, message in list(self._celery_messages.items()):
            if not message.acknowledged:
                yield tag
                return
            del self._celery_messages[tag]
