"""Addresses that no callback is ever sent to: refused where the connection would be made, whatever was checked before.

From OWASP's cheat sheet on server-side request forgery, the registries of IANA for special addresses, and what clouds
call their metadata services.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.fakes import FakeClock
from wavecom.callbacks.http_caller import HttpEndpointCaller
from wavecom.core.callback_administration import url_problem
from wavecom.providers.transport import HttpVersion, OnEnd, Request, Response

PUBLIC = "93.184.215.14"

#: Addresses in a URL itself, in all the forms in which they are written.
IN_URLS = [
    "https://127.0.0.1/",
    "https://127.0.0.1:8000/",
    "https://127.1/",
    "https://127.255.255.254/",
    "https://0/",
    "https://0.0.0.0/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[100::1]/",
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.0.1/",
    "https://192.168.1.1:8443/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://100.100.100.200/",
    "https://100.64.0.1/",
    "https://192.0.0.192/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
]

#: URLs that two programs might read in two ways, or that are of no kind that is sent to.
TRICKS = [
    "http://shop.example/",
    "ftp://shop.example/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "//127.0.0.1/",
    "https:///127.0.0.1/",
    "https://shop.example@127.0.0.1/",
    "https://127.0.0.1@shop.example/",
    "https://shop.example:443@127.0.0.1/",
    "https://shop.example\\@127.0.0.1/",
    "https://127.0.0.1\\.shop.example/",
    "https://shop.example#@127.0.0.1/",
    "https://127.0.0.1#.shop.example/",
    "https://127.0.0.1%2f.shop.example/",
    "https://127.0.0.1%00.shop.example/",
    "https://[fe80::1%25eth0]/",
    "https://[::1",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://shop.example:0/",
    "https://shop.example:99999/",
    "https://shop.example :443/",
    "https://shop.example/\r\nHost: 127.0.0.1",
    "https://\t127.0.0.1/",
    "https:127.0.0.1",
    "https://",
]

#: What a name of the attacker's may lead to; one such address among good ones is enough.
BEHIND_NAMES = [
    ["127.0.0.1"],
    ["10.1.2.3"],
    ["192.168.1.1"],
    ["169.254.169.254"],
    ["::1"],
    ["fd00::1"],
    ["::ffff:10.0.0.1"],
    ["fe80::1%eth0"],
    ["0.0.0.0"],
    ["64:ff9b::a00:1"],
    [PUBLIC, "127.0.0.1"],
    ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
]


class UntouchedTransport:
    """An ``HttpTransport`` that notes what it is asked to send, and answers 204."""

    http_versions = frozenset({HttpVersion.HTTP_1_1})

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(204, {}, b"")

    def start(self, request: Request, on_end: OnEnd) -> bool:
        return False

    def close(self) -> None:
        pass


class Names:
    """A name service that answers with these addresses, one list after another; the last one for good."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        found = self.answers[min(self.count, len(self.answers) - 1)]
        self.count += 1
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in found
        ]


def test_there_are_enough_of_them() -> None:
    assert len({*IN_URLS, *TRICKS}) + len(BEHIND_NAMES) >= 60


@pytest.mark.parametrize("url", [*IN_URLS, *TRICKS])
def test_nothing_is_sent_to_an_address_that_is_not_public(url: str) -> None:
    transport = UntouchedTransport()
    caller = HttpEndpointCaller(transport, FakeClock(), resolve=Names(["127.0.0.1"]))

    result = caller.call(url, {}, b"{}")

    assert result.fault == "address_not_allowed"
    assert transport.requests == []


@pytest.mark.parametrize("url", TRICKS)
def test_no_callback_is_made_for_a_url_that_can_be_read_in_two_ways(url: str) -> None:
    assert url_problem(url, ()) is not None


@pytest.mark.parametrize("addresses", BEHIND_NAMES)
def test_nothing_is_sent_to_a_name_that_leads_inside(addresses: list[str]) -> None:
    transport = UntouchedTransport()
    caller = HttpEndpointCaller(transport, FakeClock(), resolve=Names(addresses))

    assert caller.call("https://rebound.example/hook", {}, b"{}").fault == "address_not_allowed"
    assert transport.requests == []


def test_the_connection_is_made_to_the_address_that_was_checked() -> None:
    transport, names = UntouchedTransport(), Names([PUBLIC], ["127.0.0.1"])
    caller = HttpEndpointCaller(transport, FakeClock(), resolve=names)

    results = [caller.call("https://rebound.example/hook", {}, b"{}") for _ in range(3)]

    assert all(result.is_delivered for result in results)
    assert [request.addresses for request in transport.requests] == [(PUBLIC,)] * 3
    assert names.count == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/",
        "https://rabbitmq/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://a.localhost/",
    ],
)
def test_no_callback_is_made_for_a_name_of_an_inner_network(url: str) -> None:
    assert url_problem(url, ()) is not None


@pytest.mark.parametrize("url", IN_URLS)
def test_a_host_is_allowed_by_its_exact_name_alone(url: str) -> None:
    transport = UntouchedTransport()
    caller = HttpEndpointCaller(
        transport, FakeClock(), private_hosts=["hooks.bank.internal"], resolve=Names(["127.0.0.1"])
    )

    assert caller.call(url, {}, b"{}").fault == "address_not_allowed"
    assert url_problem("http://hooks.bank.internal:8080/a", ["hooks.bank.internal"]) is None
    assert url_problem("http://evil.hooks.bank.internal/", ["hooks.bank.internal"]) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://93.184.215.14/hook",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/hook",
        # As a network without IPv4 of its own gives it.
        "https://[64:ff9b::5db8:d70e]/hook",
    ],
)
def test_a_public_address_is_called(url: str) -> None:
    transport = UntouchedTransport()

    assert HttpEndpointCaller(transport, FakeClock()).call(url, {}, b"{}").is_delivered
    assert len(transport.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1.", "0x7f.1", "0177.1", "127.1", "2130706433.", "10.0.0.0x1", "a.0x"])
def test_no_resolver_is_asked_for_a_number_that_http_clients_take_for_an_address(host: str) -> None:
    # Such as one that has an answer of its own for every name: what was checked is not where curl connects then.
    transport, names = UntouchedTransport(), Names([PUBLIC])
    caller = HttpEndpointCaller(transport, FakeClock(), resolve=names)

    assert caller.call(f"https://{host}/", {}, b"{}").fault == "address_not_allowed"
    assert url_problem(f"https://{host}/", ()) is not None
    assert (transport.requests, names.count) == ([], 0)


@pytest.mark.parametrize("host", [PUBLIC, "3.example", "shop.example", "1-2.example.", "x0x7f.example", "4chan.x1"])
def test_a_name_with_numbers_in_it_is_called(host: str) -> None:
    transport = UntouchedTransport()

    assert HttpEndpointCaller(transport, FakeClock(), resolve=Names([PUBLIC])).call(f"https://{host}/", {}, b"").status
