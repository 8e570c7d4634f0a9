"""Look-ups of names: bounded in number, whatever becomes of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from wavecom.providers.transport.deadline import Deadline, look_up

FOUND = [(2, 1, 6, "", ("192.0.2.1", 25))]


def resolve(*_args: Any, **_named: Any) -> list[Any]:
    return FOUND


def test_look_ups_for_which_there_was_no_thread_take_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", no_thread)
        for _ in range(40):
            with pytest.raises(RuntimeError):
                look_up("mail.example", 25, Deadline(5), resolve)

    assert look_up("mail.example", 25, Deadline(5), resolve) == FOUND
