"""HTTP for what is not the hot path, against real servers: its deadline, its redirects, its repetitions."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests import peers
from tests.peers import Behaviour, HttpPeer
from wavecom.providers.account import AccountCallError
from wavecom.providers.account.client import HttpAccountClient

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

#: Whatever is asked for, it is over by then; far more than the deadlines below and far less than the peers' patience.
SOON_SECONDS = 20


@pytest.fixture
def client() -> Iterator[HttpAccountClient]:
    made = HttpAccountClient(deadline_seconds=5)
    yield made
    made.close()


@pytest.fixture
def hasty_client() -> Iterator[HttpAccountClient]:
    made = HttpAccountClient(deadline_seconds=0.6)
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = Path(tmp_path_factory.mktemp("ca") / "ca.pem")
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def redirect(url: str, status: int = 302) -> Behaviour:
    return peers.reply(status, headers={"Location": url})


def test_an_answer_comes_as_it_is_whatever_its_status(client: HttpAccountClient) -> None:
    with HttpPeer(peers.reply(403, b'{"error": "no"}', headers={"X-Quota": "7"})) as peer:
        answer = client.call("GET", peer.url, headers={"X-Key": "k"}, auth=("user", "s3cret"))

        [received] = peer.requests
    assert (answer.status, answer.content, answer.body) == (403, {"error": "no"}, b'{"error": "no"}')
    assert answer.headers["x-quota"] == "7"
    assert received.line == "GET /send HTTP/1.1"
    assert received.headers["x-key"] == "k"
    assert received.headers["authorization"] == "Basic dXNlcjpzM2NyZXQ="


def test_what_is_no_json_has_no_content_and_can_be_read_all_the_same(client: HttpAccountClient) -> None:
    with HttpPeer(peers.reply(200, b"<Quota>7</Quota>")) as peer:
        answer = client.call("POST", peer.url, body=b"Action=Quota")

        [received] = peer.requests
    assert (answer.content, answer.body) == (None, b"<Quota>7</Quota>")
    assert received.body == b"Action=Quota"


@pytest.mark.parametrize("trouble", [peers.reply(503), peers.reply(502, b"<html>"), peers.hang_up, peers.reset])
def test_a_get_is_repeated_where_a_server_is_in_trouble_for_a_moment(
    client: HttpAccountClient, trouble: Behaviour
) -> None:
    with HttpPeer(trouble, trouble, peers.reply(200, b"{}")) as peer:
        assert client.call("GET", peer.url).status == 200

        assert len(peer.requests) == 3


def test_trouble_that_stays_is_told_as_it_is_after_three_calls(client: HttpAccountClient) -> None:
    with HttpPeer(peers.reply(503)) as peer:
        assert client.call("GET", peer.url).status == 503

        assert len(peer.requests) == 3


def test_what_might_change_something_is_never_repeated(client: HttpAccountClient) -> None:
    with HttpPeer(peers.reply(503)) as peer:
        assert client.call("POST", peer.url, body=b"{}").status == 503
        assert len(peer.requests) == 1
    with HttpPeer(peers.hang_up) as peer:
        with pytest.raises(AccountCallError):
            client.call("POST", peer.url, body=b"{}")
        assert len(peer.requests) == 1


def test_a_redirect_within_the_host_is_followed(client: HttpAccountClient) -> None:
    with HttpPeer(redirect("/elsewhere"), peers.reply(200, b'{"a": 1}')) as peer:
        answer = client.call("GET", peer.url, headers={"X-Key": "s3cret"})

        assert answer.content == {"a": 1}
        assert [each.line for each in peer.requests] == ["GET /send HTTP/1.1", "GET /elsewhere HTTP/1.1"]


def test_a_redirect_to_another_host_port_or_scheme_is_the_answer(client: HttpAccountClient) -> None:
    with HttpPeer(peers.reply(200)) as other:
        targets = [other.url, "//127.0.0.2/", "https://[", f"http://user@127.0.0.1:{other.port}/"]
        for target in targets:
            with HttpPeer(redirect(target)) as peer:
                assert client.call("GET", peer.url, headers={"X-Key": "s3cret"}).status == 302
                assert len(peer.requests) == 1

        assert other.requests == []


def test_redirects_that_go_round_in_a_circle_end(client: HttpAccountClient) -> None:
    with HttpPeer(redirect("/send")) as peer:
        assert client.call("GET", peer.url).status == 302

        assert len(peer.requests) == 4


def test_what_is_posted_follows_no_redirect(client: HttpAccountClient) -> None:
    with HttpPeer(redirect("/elsewhere", 307), peers.reply(200)) as peer:
        assert client.call("POST", peer.url, body=b"{}").status == 307


@pytest.mark.parametrize("behaviour", [peers.be_silent, peers.drip(peers.head(200, {"X-Long": "x" * 5000}))])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_deadline_is_that_of_the_whole_call(
    hasty_client: HttpAccountClient, behaviour: Behaviour, method: str
) -> None:
    with HttpPeer(behaviour) as peer:
        started = time.monotonic()

        with pytest.raises(AccountCallError):
            hasty_client.call(method, peer.url)

        assert time.monotonic() - started < SOON_SECONDS


def test_an_error_names_no_address_and_no_secret(client: HttpAccountClient) -> None:
    with pytest.raises(AccountCallError) as caught:
        client.call("GET", f"http://user:s3cret@127.0.0.1:{peers.free_port()}/send?key=s3cret")

    chain = [caught.value, caught.value.__cause__]
    assert not [error for error in chain if "s3cret" in f"{error} {error!r}"]


def test_certificates_are_checked(client: HttpAccountClient, server_context: ssl.SSLContext, ca_file: str) -> None:
    with HttpPeer(peers.reply(200, b"{}"), context=server_context) as peer:
        assert client.call("GET", peer.url, ca_file=ca_file).status == 200
        with pytest.raises(AccountCallError):
            client.call("GET", peer.url)

        assert len(peer.requests) == 1


def test_an_unknown_method_is_a_mistake_of_the_caller(client: HttpAccountClient) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        client.call("BREW", "http://127.0.0.1:1/")


class TestFetch:
    """Small documents over https."""

    def test_a_document_is_fetched(
        self, client: HttpAccountClient, server_context: ssl.SSLContext, ca_file: str
    ) -> None:
        with HttpPeer(peers.reply(200, b"PEM"), context=server_context) as peer:
            assert client.fetch(peer.url, ca_file=ca_file) == b"PEM"

    @pytest.mark.parametrize(
        "behaviour",
        [
            peers.reply(404),
            redirect("/elsewhere"),
            peers.reply(200, b"x" * 70_000),
            peers.send(peers.head(200, {"Content-Length": "50"}) + b"PE"),
        ],
        ids=["not there", "redirect", "too long", "cut"],
    )
    def test_anything_but_a_whole_small_document_is_an_error(
        self, client: HttpAccountClient, server_context: ssl.SSLContext, ca_file: str, behaviour: Behaviour
    ) -> None:
        with HttpPeer(behaviour, context=server_context) as peer, pytest.raises(AccountCallError):
            client.fetch(peer.url, ca_file=ca_file)

    def test_nothing_is_fetched_in_the_clear(self, client: HttpAccountClient) -> None:
        with HttpPeer(peers.reply(200, b"PEM")) as peer:
            with pytest.raises(AccountCallError):
                client.fetch(peer.url)

            assert peer.requests == []
