"""Names of others' hosts, looked up without holding up anybody else's."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from wavecom.providers.transport.deadline import Deadline, look_up
from wavecom.providers.transport.public_addresses import PublicAddresses


def test_names_that_are_never_answered_hold_up_no_providers_host() -> None:
    over = threading.Event()

    def never(*_: Any, **__: Any) -> list[Any]:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    def at_once(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 25))]

    addresses = PublicAddresses(resolve=never)
    try:
        for number in range(40):
            with suppress(OSError):
                addresses.look_up(f"{number}.example", 443, 0.01)

        assert look_up("smtp.example", 25, Deadline(5), at_once)[0][4] == ("93.184.215.14", 25)
    finally:
        over.set()
