"""Messages that a scheduler sends every so many seconds, for tests without ``celery beat``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kombu.exceptions import OperationalError


@contextmanager
def ticks(send: Callable[[], object], *, seconds: float) -> Iterator[None]:
    """Within the block ``send`` is called every ``seconds``, on a thread of its own.

    A broker that is too busy for one (``OperationalError``) takes the next.
    """
    is_over = threading.Event()

    def keep_sending() -> None:
        while not is_over.wait(seconds):
            with contextlib.suppress(OperationalError):
                send()

    thread = threading.Thread(target=keep_sending, name="ticks")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
