"""The one way to connect to RabbitMQ outside of Celery's own machinery."""

from __future__ import annotations

from typing import Any, Final

from kombu import Connection

_CONNECT_TIMEOUT_SECONDS: Final = 2.0


def connect(amqp_url: str, timeout_seconds: float, name: str) -> Any:
    """A connection with every wait bounded.

    kombu reads the address, no more: its own ``connect()`` tries twice with two seconds of sleep in between, while
    every request waits behind it, and leaves the socket open when the broker refuses after the handshake.

    Ends in about ``timeout_seconds``; ``name`` is what operators see. Raises ``amqp.AMQPError`` or ``OSError``. To be
    let go with ``collect()``: that needs no handshake, which a blocked broker would not answer.
    """
    address = Connection(amqp_url)
    transport: Any = address.transport  # reading it makes amqps:// set ssl
    defaults = transport.default_connection_params
    connection = transport.Connection(
        host=f"{address.hostname or defaults['hostname']}:{address.port or defaults['port']}",
        userid=address.userid or defaults["userid"],
        password=address.password or defaults["password"],
        virtual_host=address.virtual_host or "/",
        ssl=address.ssl,
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=timeout_seconds,
        write_timeout=timeout_seconds,
        client_properties={"connection_name": name},
    )
    try:
        connection.connect()
    except BaseException:
        connection.collect()
        raise
    return connection
