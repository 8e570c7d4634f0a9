"""Many threads' single calls made one, as the core sees it (``wavecom.batching``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Batcher(Protocol):
    """What ``wavecom.batching.GroupCommit`` offers, as the core sees it."""

    def submit(self, item: Any, *, is_urgent: bool = False) -> Any:
        """Blocks until the batch that holds the item is done; returns or raises the item's own result."""
        ...


#: Makes one of a function that does what a whole batch asks for, and answers each item in its place.
MakeBatcher = Callable[[Callable[[Sequence[Any]], Sequence[Any]]], Batcher]
