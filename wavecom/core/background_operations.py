"""Bulk operations that go on while nobody waits for them: started from the pages, stopped from any process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from wavecom.core.bulk_operations import BulkOperation, BulkOptions, OperationStoppedError, StopRequests
from wavecom.core.bulk_runner import Progress
from wavecom.errors import WaveComError

log = structlog.get_logger()

#: Runs an operation with these options, telling its progress.
Run = Callable[[BulkOptions, Progress], BulkOperation]


class OperationsBusyError(OperationStoppedError):
    """As many operations run in this process as may."""

    code = "operations_busy"


class BackgroundOperations:
    """Runs each operation on a thread of its own; its audit entry tells how far it is. Thread-safe.

    Killed with its process it can be resumed like one that was interrupted (``core.bulk_runner``).
    """

    def __init__(self, stop_requests: StopRequests, *, most: int = 4) -> None:
        self._stop_requests = stop_requests
        self._room = threading.BoundedSemaphore(most)

    def start(self, options: BulkOptions, run: Run) -> None:
        """Begin, and come back at once. Raises ``OperationsBusyError``. ``options`` must name the operation's id."""
        if not self._room.acquire(blocking=False):
            raise OperationsBusyError("Several operations are under way. Wait for one of them, or stop one.")
        threading.Thread(target=self._run, args=(options, run), name="bulk-operation", daemon=True).start()

    def _run(self, options: BulkOptions, run: Run) -> None:
        def on_progress(operation: BulkOperation) -> None:
            if self._stop_requests.has(operation.operation_id):
                raise OperationStoppedError("Somebody asked for it to stop.")

        try:
            run(options, on_progress)
        except OperationStoppedError:
            log.info("operation_stopped", operation_id=options.operation_id)
        except WaveComError as error:
            log.warning("operation_failed", operation_id=options.operation_id, error=str(error))
        except Exception:
            # The thread's border: the entry says that it failed, the log why.
            log.exception("operation_failed", operation_id=options.operation_id)
        finally:
            self._room.release()
