"""Look-ups of names: bounded in number, whatever becomes of them."""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any

import pytest

from wavecom.core.exhaustion import is_exhaustion
from wavecom.providers.transport.deadline import Deadline, connect, look_up

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


def test_an_address_of_a_kind_that_this_machine_has_not_is_passed_by() -> None:
    no_such_family = 9999
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [
            (no_such_family, socket.SOCK_STREAM, 0, "", ("2001:db8::1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)),
        ]

        with connect("mail.example", port, Deadline(5), lambda *_args, **_named: found) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)


def test_a_server_with_addresses_that_this_machine_can_not_reach_is_no_want_of_ours() -> None:
    assert not is_exhaustion(OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"))
    assert is_exhaustion(OSError(errno.EMFILE, "Too many open files"))
