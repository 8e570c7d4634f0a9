"""Read at the start of a Python under libfaketime 0.9.10, which refuses every ``time.sleep`` of Python 3.11 (EINVAL):
that sleeps until an absolute monotonic time, which the library takes for a moved one. ``select`` sleeps for a while.
"""

import select
import time
from typing import Any


def _sleep(seconds: Any) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
