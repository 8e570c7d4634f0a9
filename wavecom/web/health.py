"""``GET /healthz``: this process is alive. ``GET /readyz``: the servers it needs answer; 503 names those that don't.

``/readyz`` says how many providers are in trouble, too. ``GET /readyz/accepting`` asks less, for those who decide
whether requests are sent to this process: it is ready as long as it can accept notifications.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import orjson
import structlog
from flask import Blueprint, Response

from wavecom.core.provider_administration import ProviderStatus

log = structlog.get_logger()

Check = Callable[[], None]

OK = "ok"

#: The checks without which nothing is accepted. While the broker or Redis is away, and while due work does not move,
#: notifications are accepted and stored: no reason to send requests elsewhere, where it is the same.
ACCEPTING = frozenset({"mongodb"})


class HealthProbe:
    """One named check, run in a thread of its own and never twice at once, however long it hangs."""

    def __init__(self, name: str, check: Check) -> None:
        self.name = name
        self._check = check
        self._done: threading.Event | None = None
        self._result = OK

    def start(self) -> None:
        """Begin a run, unless the last one still hangs."""
        if self._done is not None and not self._done.is_set():
            return
        self._done = threading.Event()
        # A daemon: a check that hangs must not keep the process from ending.
        threading.Thread(target=self._run, args=(self._done,), name=f"readiness-{self.name}", daemon=True).start()

    def result(self, deadline: float, timeout_seconds: float) -> str:
        """``OK``, or a short reason that tells strangers nothing. Waits until ``deadline`` (monotonic) at most."""
        if self._done is None or not self._done.wait(max(0.0, deadline - time.monotonic())):
            return f"no answer within {timeout_seconds:g} s"
        return self._result

    def _run(self, done: threading.Event) -> None:
        try:
            self._check()
        except Exception as error:  # noqa: BLE001 - a thread's border: whatever a client library raises means "not ok"
            log.warning("readiness_check_failed", check=self.name, error=repr(error))
            self._result = f"failed ({getattr(error, 'code', type(error).__name__)})"
        else:
            self._result = OK
        finally:
            done.set()


class Readiness:
    """All checks at once, within ``timeout_seconds``; an answer serves everybody who asks within ``ttl_seconds``."""

    def __init__(self, checks: Mapping[str, Check], *, timeout_seconds: float = 2, ttl_seconds: float = 1) -> None:
        self._probes = [HealthProbe(name, check) for name, check in checks.items()]
        self._timeout_seconds = timeout_seconds
        self._ttl_seconds = ttl_seconds
        self._lock = threading.Lock()
        self._results: dict[str, str] = {}
        self._stale_at = 0.0

    def results(self) -> dict[str, str]:
        """Name of each check → ``OK`` or why not."""
        with self._lock:
            if not self._results or time.monotonic() >= self._stale_at:
                for probe in self._probes:
                    probe.start()
                deadline = time.monotonic() + self._timeout_seconds
                self._results = {probe.name: probe.result(deadline, self._timeout_seconds) for probe in self._probes}
                self._stale_at = time.monotonic() + self._ttl_seconds
            return self._results


def make_blueprint(readiness: Readiness, statuses: Callable[[], Sequence[ProviderStatus]]) -> Blueprint:
    """The three addresses. They need no key, and their answers hold nothing but names of our servers and words.

    ``statuses`` tells how providers stand. One in trouble is counted and makes nobody unready: its messages wait, or go
    by others. Strangers are not told which it is, or that an account has no credit.
    """
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def alive() -> Response:
        return _answer(200, {"status": "alive"})

    @blueprint.get("/readyz")
    def ready() -> Response:
        return answer_of(readiness.results())

    @blueprint.get("/readyz/accepting")
    def ready_to_accept() -> Response:
        return answer_of({name: result for name, result in readiness.results().items() if name in ACCEPTING})

    def answer_of(results: Mapping[str, str]) -> Response:
        is_ready = all(result == OK for result in results.values())
        troubled = sum(bool(each.trouble) for each in statuses())
        body = {"status": "ready" if is_ready else "unavailable", "checks": results, "troubledProviders": troubled}
        return _answer(200 if is_ready else 503, body)

    return blueprint


def _answer(status: int, body: object) -> Response:
    response = Response(orjson.dumps(body), status, mimetype="application/json")
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response
