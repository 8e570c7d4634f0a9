"""The list of all checks, and what runs them: side by side, all within a time, none able to hide another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis import (
    callbacks,
    certificates,
    clocks,
    machine,
    mongodb,
    providers,
    rabbitmq,
    redis,
    restore,
    sign_on,
)
from wavecom.diagnosis.context import CheckFunction, DiagnosisContext, places_of

log = structlog.get_logger()

#: For all checks, which run side by side; longer than all waits of one together.
TIMEOUT_SECONDS: Final = 45.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``name`` stands in each of its results; ``meaning`` is for people."""

    name: str
    meaning: str
    run: CheckFunction


CHECKS: Final = (
    Check(
        "settings", "names that nothing reads, guest logins, no metrics, a home open to others", machine.check_settings
    ),
    Check("mongodb", "reachable, latency, version, replicated", mongodb.check_server),
    Check("redis", "reachable, latency, version, takes writes, evicts nothing", redis.check_server),
    Check("rabbitmq", "each node: reachable, latency, version, takes messages", rabbitmq.check_nodes),
    Check("clocks", "this machine's clock against the servers'", clocks.check_clocks),
    Check("indexes", "missing, different, or none of ours", mongodb.check_indexes),
    Check("queues", "exchanges and queues: there, arguments as declared, consumed", rabbitmq.check_queues),
    Check("deliveries", "due work moves, as the sweep found a moment ago", redis.check_deliveries),
    Check("restore", "MongoDB is as recent as Redis remembers it, and has what it answers with", restore.check_restore),
    Check("callbacks", "this machine can read the secrets that callbacks are signed with", callbacks.check_callbacks),
    Check("login", "the identity provider answers and offers what is asked of it", sign_on.check_sign_on),
    Check(
        "providers", "the file, routes, how workers find each; with --accounts our account", providers.check_providers
    ),
    Check("certificates", "end within 30 days: of servers, providers and files", certificates.check_certificates),
    Check("disk", "room for WAVECOM_HOME, MongoDB and RabbitMQ", machine.check_disk),
)


class _Run:
    """One check in a thread of its own; what it found until it failed, or until nobody waited any longer, counts."""

    def __init__(self, check: Check, context: DiagnosisContext) -> None:
        self._check = check
        self._context = context
        self._found: list[CheckResult] = []
        # A daemon: a check that hangs must not keep the command from ending.
        self._thread = threading.Thread(target=self._work, name=f"check-{check.name}", daemon=True)
        self._thread.start()

    def results(self, wait_seconds: float, timeout_seconds: float) -> Sequence[CheckResult]:
        """What is found after ``wait_seconds`` more, of the ``timeout_seconds`` that all have."""
        self._thread.join(wait_seconds)
        if not self._thread.is_alive():
            return self._found
        text = f"gave no answer within {timeout_seconds:g} s"
        return [*self._found, CheckResult(self._check.name, "check", Severity.ERROR, text, "wavecom doctor")]

    def _work(self) -> None:
        try:
            for result in self._check.run(self._context):
                self._found.append(result)
        except Exception as error:  # noqa: BLE001 - the thread's border: one failed check must not hide the others
            # Without the error's own words, in which there may be an address with its password.
            log.error("check_failed", check=self._check.name, error=type(error).__name__, at=places_of(error))  # noqa: TRY400
            text = f"failed ({type(error).__name__}); the line check_failed of the log says where"
            self._found.append(CheckResult(self._check.name, "check", Severity.ERROR, text))


def run_checks(
    context: DiagnosisContext, checks: Sequence[Check] = CHECKS, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> list[CheckResult]:
    """All results, in the order of ``checks``, after ``timeout_seconds`` at the latest.

    Never raises for anything that a check meets.
    """
    deadline = context.monotonic() + timeout_seconds
    runs = [_Run(check, context) for check in checks]
    return [result for run in runs for result in run.results(max(0.0, deadline - context.monotonic()), timeout_seconds)]
