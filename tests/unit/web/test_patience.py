"""Bodies that never come hold some threads, not all of them."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.unit.web.conftest import KEY, make_world
from wavecom.errors import OverloadedError
from wavecom.settings import Settings
from wavecom.web.patience import ReadingSlots

SMS = b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}'


def test_one_client_gets_half_of_the_threads_and_all_together_three_quarters() -> None:
    slots = ReadingSlots(8, patience_seconds=0)

    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(slots.hold("acme"))
        with pytest.raises(OverloadedError):
            held.enter_context(slots.hold("acme"))
        for _ in range(2):
            held.enter_context(slots.hold("other"))
        with pytest.raises(OverloadedError):
            held.enter_context(slots.hold("third"))
    with slots.hold("acme"):
        pass


def test_who_waits_gets_the_slot_that_becomes_free() -> None:
    slots = ReadingSlots(2, patience_seconds=30)
    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with slots.hold("acme"):
            entered.set()
            assert go_on.wait(30)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hold)
        assert entered.wait(30)
        second = pool.submit(hold)
        go_on.set()
        first.result(30)
        second.result(30)


class _Stalling(io.BytesIO):
    """A body whose rest comes when it is told to."""

    def __init__(self) -> None:
        super().__init__(SMS)
        self.entered, self.go_on = threading.Event(), threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        self.entered.set()
        assert self.go_on.wait(30)
        return super().read(size)


def test_a_client_whose_bodies_stall_is_told_so_and_others_are_served() -> None:
    world = make_world(Settings(web_threads=2, secret_key="a secret for tests"))
    stalling = _Stalling()
    extra = {"wsgi.input": stalling, "CONTENT_LENGTH": str(len(SMS))}

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(
            lambda: world.client().post("/api/notifications", content_type="application/json", environ_overrides=extra)
        )
        assert stalling.entered.wait(30)
        refused = world.client().post("/api/notifications", data=SMS, content_type="application/json")
        listed = world.client().get("/api/notifications")
        stalling.go_on.set()
        served = held.result(30)

    assert (refused.status_code, refused.json["code"]) == (503, "overloaded")
    assert listed.status_code == 200
    assert served.status_code == 202
    again = world.client().post("/api/notifications", data=SMS, content_type="application/json")
    assert again.status_code == 202


def test_nothing_of_a_strangers_body_is_waited_for() -> None:
    world = make_world(Settings(web_threads=2, secret_key="a secret for tests"))
    stalling = _Stalling()

    answer = world.client(KEY + "x").post(
        "/api/notifications",
        content_type="application/json",
        environ_overrides={"wsgi.input": stalling, "CONTENT_LENGTH": "100"},
    )

    assert answer.status_code == 401
    assert not stalling.entered.is_set()
