"""``AMQP_URL``: one node or several, in either form, read as one value."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from kombu import Connection

from wavecom.amqp_address import AmqpAddress, AmqpNode, TlsFiles


@pytest.mark.parametrize(
    "text",
    [
        "amqp://user:secret@one,two:5673/vhost",
        "amqp://user:secret@one:5672/vhost;amqp://user:secret@two:5673/vhost",
        "amqp://user:secret@one/vhost ; amqp://user:secret@two:5673/vhost;",
        "amqp://user:secret@one/vhost,amqp://user:secret@two:5673/vhost",
        "amqp://user:secret@one,two:5673,one:5672/vhost",
    ],
)
def test_every_form_names_the_same_nodes(text: str) -> None:
    address = AmqpAddress.parse(text)

    assert address.nodes == (AmqpNode("one", 5672), AmqpNode("two", 5673))
    assert (address.user, address.password, address.vhost) == ("user", "secret", "vhost")
    assert address.is_cluster


@pytest.mark.parametrize(
    ("text", "vhost", "place"),
    [
        ("amqp://guest:guest@127.0.0.1:5672//", "/", "127.0.0.1:5672"),
        ("amqp://rabbit", "/", "rabbit:5672"),
        ("amqp://rabbit/", "/", "rabbit:5672"),
        ("amqp://rabbit/%2Fmail", "/mail", "rabbit:5672"),
        ("amqps://rabbit/mail", "mail", "rabbit:5671"),
        ("amqp://[::1]:5673/mail", "mail", "[::1]:5673"),
        ("amqp://", "/", "127.0.0.1:5672"),
        ("amqp://:5673/mail", "mail", "127.0.0.1:5673"),
        ("amqps://localhost/mail", "mail", "127.0.0.1:5671"),
    ],
)
def test_what_is_left_out_is_as_usual(text: str, vhost: str, place: str) -> None:
    address = AmqpAddress.parse(text)

    assert (address.vhost, str(address)) == (vhost, place)
    assert (address.user, address.password) == ("guest", "guest")
    assert not address.is_cluster


def test_celery_reads_from_each_url_what_was_meant() -> None:
    address = AmqpAddress.parse("amqp://us%40er:p%2F%3A%3B%40ss@one,two:5673/%2Fv%20host")

    read = [Connection(url) for url in address.urls]

    assert [(each.hostname, each.port) for each in read] == [("one", 5672), ("two", 5673)]
    assert {(each.userid, each.password, each.virtual_host) for each in read} == {("us@er", "p/:;@ss", "/v host")}


@pytest.mark.parametrize(
    "text",
    [
        "rabbit:5672",
        "redis://user:hunter2@rabbit",
        "amqp://user:hunter2@rabbit/?heartbeat=30",
        "amqp://user:hunter2@rabbit:amqp/",
        "amqp://user:hunter2@rabbit:70000/",
        "amqp://user:hunter2@ra bbit/",
        "amqp://user:hunter2@one/;two",
        "amqp://user:hunter2@one/;amqp://user:other@two/",
        "amqp://user:hunter2@one/a;amqp://user:hunter2@two/b",
        "amqp://user:hunter2@one/;amqps://user:hunter2@two/",
        "amqp://user:hunter2@one,two,/",
        "amqp://user:hunter2@one,:5673/",
        "amqp://user:hunter2@one/;amqp://user:hunter2@/",
    ],
)
def test_what_can_not_be_read_is_refused_without_showing_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"must begin|takes no|has a host|different brokers") as refusal:
        AmqpAddress.parse(text)

    assert "hunter2" not in str(refusal.value)


def test_neither_form_for_people_shows_the_password() -> None:
    address = AmqpAddress.parse("amqp://user:hunter2@one,two/vhost")

    assert "hunter2" not in f"{address} {address!r}"


def test_a_certificate_must_be_trusted_and_name_its_node() -> None:
    address = AmqpAddress.parse("amqps://user:secret@one,two/", TlsFiles(ca=Path("ca.pem")))

    assert address.tls_options("one") == {
        "ca_certs": "ca.pem",
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "one",
    }


def test_a_certificate_of_ours_logs_in_where_no_user_is_named() -> None:
    ours = TlsFiles(certificate=Path("we.pem"), key=Path("we.key"))

    assert AmqpAddress.parse("amqps://rabbit/", ours).login_method == "EXTERNAL"
    assert AmqpAddress.parse("amqps://user:secret@rabbit/", ours).login_method == "PLAIN"
    assert AmqpAddress.parse("amqp://rabbit/", ours).login_method == "PLAIN"
