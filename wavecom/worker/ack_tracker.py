"""Which messages of a channel are still owed an answer, and how few frames answer those that are done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class ForeignMessage(Protocol):
    """A message of the same channel that somebody else answers: ``kombu.Message``."""

    @property
    def acknowledged(self) -> bool:
        """Whether that has happened."""
        ...


@dataclass(frozen=True, slots=True)
class Ack:
    """One frame: acknowledge ``tag``, or everything up to it."""

    tag: int
    is_multiple: bool


class AckTracker:
    """The unanswered delivery tags of one channel, which grow with every message. Not thread-safe.

    One acknowledgement of "everything up to here" costs as much as that of one message, but it must never include a
    message that is still being worked on, or one that Celery answers by itself.
    """

    def __init__(self) -> None:
        # Dicts, because they keep the order of arrival and let go of an entry in its middle.
        self._owed: dict[int, str] = {}
        self._foreign: dict[int, ForeignMessage] = {}

    def __len__(self) -> int:
        """How many messages are kept track of."""
        return len(self._owed) + len(self._foreign)

    def receive(self, tag: int, job_id: str = "") -> None:
        """A message of ours has come."""
        self._owed[tag] = job_id

    def owed(self) -> Mapping[int, str]:
        """Messages of ours that are not answered yet: their tags, in the order of arrival, and jobs."""
        return dict(self._owed)

    def receive_foreign(self, tag: int, message: ForeignMessage) -> None:
        """A message has come that is not ours to answer."""
        # A worker may get nothing but these, so they are not left for a message of ours to clear away.
        for answered in [tag for tag, message in self._foreign.items() if message.acknowledged]:
            del self._foreign[answered]
        self._foreign[tag] = message

    def drop(self, tag: int) -> bool:
        """The message is being rejected, which takes a frame of its own; False when it is not owed any more."""
        return self._owed.pop(tag, None) is not None

    def settle(self, tags: Iterable[int]) -> Sequence[Ack]:
        """These are done: the frames that say so. What is not owed (any more) is passed over."""
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
        """The earliest message of either kind that is not answered yet."""
        if self._owed:
            yield next(iter(self._owed))
        for tag, message in list(self._foreign.items()):
            if not message.acknowledged:
                yield tag
                return
            del self._foreign[tag]
