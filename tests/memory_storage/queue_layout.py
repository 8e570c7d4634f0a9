"""``LayoutRegistry`` in memory."""

from __future__ import annotations

from wavecom.core.lanes import QueueLayout
from wavecom.errors import StoreError


class MemoryQueueLayout:
    """Remembers one layout; away while ``is_up`` is False."""

    def __init__(self) -> None:
        self.is_up = True
        self._layout = QueueLayout()

    def note(self, layout: QueueLayout) -> QueueLayout:
        """See the port."""
        self._check()
        self._layout = self._layout.joined(layout)
        return self._layout

    def noted(self) -> QueueLayout:
        """See the port."""
        self._check()
        return self._layout

    def _check(self) -> None:
        if not self.is_up:
            raise StoreError("MongoDB does not answer.")
