"""More requests at once than the process may hold."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.core.ports import Cursor, JobFilter, Page
from wavecom.settings import Settings


class _SlowRepository(MemoryJobRepository):
    """Lists only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def search(self, where: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        self.entered.release()
        assert self.go_on.wait(30)
        return super().search(where, limit, after)


def _busy_environment(slots: int) -> tuple[WebEnvironment, _SlowRepository]:
    jobs = _SlowRepository()
    return make_environment(Settings(max_requests_in_flight=slots, secret_key="a secret for tests"), jobs=jobs), jobs


def _list(environment: WebEnvironment) -> Any:
    return environment.client().get("/api/notifications")


def test_one_too_many_is_told_to_come_back_and_the_others_are_served() -> None:
    environment, jobs = _busy_environment(slots=2)
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(_list, environment) for _ in range(2)]
        for _ in held:
            assert jobs.entered.acquire(timeout=30)

        refused = _list(environment)
        alive = environment.client(None).get("/healthz")
        ready = environment.client(None).get("/readyz")
        jobs.go_on.set()
        served = [each.result(30) for each in held]

    assert (refused.status_code, refused.json["code"]) == (503, "overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert [answer.status_code for answer in served] == [200, 200]


def test_slots_come_back_after_every_kind_of_answer() -> None:
    environment, jobs = _busy_environment(slots=1)
    jobs.go_on.set()
    client = environment.client()

    answers = [
        client.get("/nothing"),
        client.delete("/api/notifications"),
        environment.client(None).get("/api/notifications"),
        client.post("/api/notifications", data="not JSON", content_type="application/json"),
        client.get("/api/notifications"),
    ]

    assert [answer.status_code for answer in answers] == [404, 405, 401, 400, 200]
