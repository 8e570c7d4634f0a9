"""Rendering the items of one batch: what it may take of the process that it is accepted by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wavecom.core.lanes import Channel
from wavecom.core.templates.rendering import Rendered, TemplateRequest
from wavecom.errors import BodyTooLargeError

#: Characters that templates may write for one batch: 1,000 mails of 32 KiB. All stand in memory until the last one is
#: written.
CHARACTERS_LIMIT: Final = 32 * 1024 * 1024
#: CPU time in which they must be written, compiling included: 1,000 mails take 0.2 s, and the dearest template that can
#: be published 0.1 s a text, so a thousand of those would hold a process for minutes.
CPU_SECONDS_LIMIT: Final = 5.0


class BatchRenderer:
    """Renders for one batch, in one thread. ``cpu_seconds`` tells the CPU time of this thread, in seconds."""

    def __init__(
        self, render: Callable[[Channel, TemplateRequest], Rendered], cpu_seconds: Callable[[], float]
    ) -> None:
        self._render = render
        self._cpu_seconds = cpu_seconds
        self._items = 0
        self._characters = 0
        self._used_seconds = 0.0

    def __call__(self, channel: Channel, wanted: TemplateRequest) -> Rendered:
        """The payload of the next item. Raises what ``render`` raises, and ``BodyTooLargeError`` where the templates of
        this batch have written more, or taken longer, than those of one may: then nothing of it is sent."""
        self._items += 1
        begun = self._cpu_seconds()
        try:
            rendered = self._render(channel, wanted)
        finally:
            # An item that is refused has taken its time as well.
            self._count(self._cpu_seconds() - begun)
        self._characters += sum(len(each) for each in rendered.payload.values() if isinstance(each, str))
        if self._characters > CHARACTERS_LIMIT:
            raise BodyTooLargeError(
                f"What the templates write for the first {self._items} items that name one has more than "
                f"{CHARACTERS_LIMIT} characters; send fewer at once."
            )
        return rendered

    def _count(self, seconds: float) -> None:
        self._used_seconds += seconds
        if self._used_seconds > CPU_SECONDS_LIMIT:
            raise BodyTooLargeError(
                f"Writing the first {self._items} items that name a template took more than {CPU_SECONDS_LIMIT:g} "
                "seconds of CPU time; send fewer at once, or give their lists and texts smaller limits."
            )
