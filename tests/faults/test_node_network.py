"""The network between the nodes of a cluster, asked as Erlang asks its port mapper."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.control import HelperProcess
from tests.faults.test_recorder_and_proxy import echo
from tests.waiting import wait_until
from wavecom.local.ports import LOOPBACK, free_ports

#: A visible node that speaks TCP/IP, and versions 6 to 5 of the protocol.
PROPERTIES = bytes([77, 0, 0, 6, 0, 5])


@dataclass
class Network:
    """The process, and the port of each node's mapper."""

    helper: HelperProcess
    mappers: dict[str, int]

    def ask(self, asker: str, request: bytes) -> bytes:
        with connect(self.mappers[asker]) as connection:
            connection.sendall(len(request).to_bytes(2) + request)
            answer = b""
            while data := connection.recv(1024):
                answer += data
        return answer

    def port_of(self, node: str, asker: str) -> int | None:
        """What the mapper of ``asker`` says."""
        answer = self.ask(asker, b"z" + node.encode())
        assert answer[0] == ord("w")
        return None if answer[1] else int.from_bytes(answer[2:4])

    def register(self, node: str, port: int) -> socket.socket:
        """The connection for whose time the node is known."""
        name = node.encode()
        request = b"x" + port.to_bytes(2) + PROPERTIES + len(name).to_bytes(2) + name + bytes(2)
        connection = connect(self.mappers[node])
        connection.sendall(len(request).to_bytes(2) + request)
        assert connection.recv(6)[:2] == b"v\0"
        return connection


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    mappers = dict(zip(("one", "two", "three"), free_ports(3), strict=True))
    arguments = [f"--node={node}={port}" for node, port in mappers.items()]
    helper = HelperProcess("tests.faults.node_network", arguments, log=tmp_path / "log")
    helper.launch()
    try:
        wait_until(helper.answers)
        yield Network(helper, mappers)
    finally:
        helper.kill()


@pytest.fixture
def node_two(network: Network) -> Iterator[int]:
    """The port of the node ``two``, which says everything back."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=echo, args=(listener,), name="echo").start()
        port = listener.getsockname()[1]
        try:
            with network.register("two", port):
                yield port
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def connect(port: int | None) -> socket.socket:
    assert port is not None
    return socket.create_connection((LOOPBACK, port), timeout=5)


def says_back(connection: socket.socket, word: bytes, seconds: float = 5) -> bool:
    connection.settimeout(seconds)
    connection.sendall(word)
    try:
        return connection.recv(64) == word
    except TimeoutError:
        return False


def test_a_node_has_its_own_port_at_its_own_mapper_and_a_proxy_s_at_others(network: Network, node_two: int) -> None:
    ports = {asker: network.port_of("two", asker) for asker in ("one", "two", "three")}

    assert ports["two"] == node_two
    assert len({*ports.values(), None}) == 4
    with connect(ports["one"]) as connection:
        assert says_back(connection, b"hello")


def test_the_properties_that_a_node_registered_are_told(network: Network, node_two: int) -> None:
    found = network.ask("two", b"ztwo")

    assert found == b"w\0" + node_two.to_bytes(2) + PROPERTIES + b"\0\3two\0\0"


def test_the_list_names_nodes_and_ports(network: Network, node_two: int) -> None:
    listed = network.ask("two", b"n")

    assert listed == network.mappers["two"].to_bytes(4) + f"name two at port {node_two}\n".encode()


def test_a_node_whose_connection_ends_is_known_no_more(network: Network) -> None:
    with network.register("three", 4711):
        assert network.port_of("three", "three") == 4711

    wait_until(lambda: network.port_of("three", "three") is None, "the mapper to notice")


def test_between_a_node_that_is_cut_off_and_the_others_nothing_passes_until_it_is_healed(
    network: Network, node_two: int
) -> None:
    with connect(network.port_of("two", "one")) as from_one, connect(network.port_of("two", "three")) as from_three:
        assert says_back(from_one, b"before")

        network.helper.ask("cut_off", node="one")

        assert not says_back(from_one, b"within", seconds=0.3)
        assert says_back(from_three, b"others")
        network.helper.ask("heal", node="one")
        from_one.settimeout(5)
        assert from_one.recv(64) == b"within"
