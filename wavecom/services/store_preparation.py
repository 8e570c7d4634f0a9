"""What a web process makes in its store before it is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from wavecom.errors import StoreError

log = structlog.get_logger()


class StorePreparation:
    """Indexes and the first key, made in the background until the store has taken them.

    The web app starts without its store, answers 503 meanwhile, and is not ready before this is done.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        self._prepare = prepare
        self._is_done = threading.Event()
        threading.Thread(target=self._run, name="preparation", daemon=True).start()

    def check(self) -> None:
        """Raises ``StoreError`` until everything is made."""
        if not self._is_done.is_set():
            raise StoreError("MongoDB has not taken the indexes yet.")

    def _run(self) -> None:
        pause_seconds = 0.2
        while True:
            try:
                self._prepare()
            except StoreError as error:
                log.warning("preparation_waits_for_store", error=str(error))
                time.sleep(pause_seconds)
                pause_seconds = min(5.0, pause_seconds * 2)
            else:
                self._is_done.set()
                return
