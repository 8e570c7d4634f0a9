"""Which queues a process publishes into, and which may hold messages that any process of the fleet has published.

The two differ while the number of partitions, or the list of regions, is being changed: processes with the old number
and with the new one run side by side, and what the old ones have published must be consumed. So whoever wants more
than was noted so far has it noted in the store first, and publishes into those queues only afterwards; and whoever
consumes, counts or sweeps goes by what is noted, which only grows (ADR 39).
"""

from __future__ import annotations

from typing import Final, Protocol

import structlog

from wavecom.core.lanes import QueueLayout
from wavecom.errors import StoreError

log = structlog.get_logger()

#: So often a process asks which queues there are: a new partition's messages wait no longer for a first worker.
REFRESH_SECONDS: Final = 5.0


class LayoutRegistry(Protocol):
    """Remembers the largest layout that was ever noted. Every call raises ``StoreError`` while the store is away."""

    def note(self, layout: QueueLayout) -> QueueLayout:
        """Add these queues to those that were noted before, durably; all of them."""
        ...

    def noted(self) -> QueueLayout:
        """All that were noted so far."""
        ...


class DeliveryQueues:
    """Follows what the registry knows. Thread-safe; ``refresh`` by one thread at a time.

    ``wanted`` is what this process's settings say. Without a registry nobody else is asked: for tools that neither
    publish nor consume.
    """

    def __init__(self, wanted: QueueLayout = QueueLayout(), registry: LayoutRegistry | None = None) -> None:  # noqa: B008
        self._wanted = wanted
        self._registry = registry
        self._noted = QueueLayout()
        #: One until the store has noted more: the first partition of each lane is consumed by everybody.
        self.publishing = 1
        if registry is None:
            self._take(wanted)

    @property
    def is_parted(self) -> bool:
        """Whether this process is to publish into other queues than those that everybody consumes."""
        return self._wanted != QueueLayout()

    @property
    def layout(self) -> QueueLayout:
        """All queues in which messages may be."""
        return self._noted

    def refresh(self) -> None:
        """Have what is wanted noted, if it is not yet, and read what others want. Raises ``StoreError``."""
        if self._registry is None:
            return
        missing = self._noted.joined(self._wanted) != self._noted
        self._take(self._registry.note(self._wanted) if missing else self._registry.noted())

    def try_refresh(self) -> None:
        """``refresh``; while the store is away all stays as it is."""
        try:
            self.refresh()
        except StoreError as error:
            log.debug("queue_layout_unread", error=type(error).__name__)

    def _take(self, noted: QueueLayout) -> None:
        # Joined: an answer of a store that was restored from an older copy takes no queue away.
        noted = self._noted.joined(noted)
        if noted != self._noted:
            # Otherwise the same object as before: who has declared these queues sees that by one comparison.
            self._noted = noted
            if self._registry is not None:
                log.info("queue_layout_changed", partitions=noted.partitions, regions=noted.regions)
        # What is wanted is among it: it has been noted before it is taken.
        self.publishing = self._wanted.partitions
