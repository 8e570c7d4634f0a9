"""Declares the queues in which delayed messages wait, without holding up a worker that could deliver meanwhile.

Celery's own step does that whenever a worker connects, for each listed node in turn and with pauses in between: with
one node of three away, consumers that were registered already stood still for 17 seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from amqp import AMQPError

from wavecom.broker import topology
from wavecom.broker.connection import Connector

log = structlog.get_logger()

_TIMEOUT_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 2.0
#: Making them for the first time takes a cluster many seconds; finding them there, tenths of one.
_PATIENCE_SECONDS: Final = 3.0


class DelayQueues:
    """``declare`` may be called each time that a worker connects; a delayed message before that is left to the sweep.

    It is done on a thread. Only the first call waits for it, some seconds at most, so that the first retry of a worker
    that has just started finds the queues there.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        declare: Callable[[Any], None] = topology.declare_delays,
        sleep: Callable[[float], None] = time.sleep,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._connector = connector
        self._declare = declare
        self._sleep = sleep
        self._lock = threading.Lock()
        self._patience_seconds = patience_seconds
        self._is_done = threading.Event()
        self._is_wanted = False
        self._is_running = False

    def declare(self) -> None:
        """Have them declared. Never raises for a broker that is away: it is tried until it is there."""
        with self._lock:
            self._is_wanted = True
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="delay-queues", daemon=True).start()
        patience_seconds, self._patience_seconds = self._patience_seconds, 0.0
        self._is_done.wait(patience_seconds)

    def _run(self) -> None:
        while self._take():
            while not self._try():
                self._sleep(_PAUSE_SECONDS)
            self._is_done.set()

    def _take(self) -> bool:
        with self._lock:
            self._is_running, self._is_wanted = self._is_wanted, False
            return self._is_running

    def _try(self) -> bool:
        connection: Any = None
        try:
            connection = self._connector.connect(_TIMEOUT_SECONDS)
            self._declare(connection)
        except (AMQPError, OSError) as error:
            log.warning("delay_queues_not_declared", error=type(error).__name__)
            if connection is not None:
                self._connector.skip_node()
            return False
        except Exception:
            # The thread's border: if it ended here, nothing would declare them in this process again.
            log.exception("delay_queues_not_declared")
            return False
        finally:
            if connection is not None:
                connection.collect()
        return True
