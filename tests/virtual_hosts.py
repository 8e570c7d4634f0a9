"""Virtual hosts of the tests' RabbitMQ: a new one for a test, or one that a test before it has left behind in order.

What the broker pays for the forty quorum queues that a worker needs, in seconds of CPU: 0.6 to make them and 0.4 to
delete them with their virtual host, and a worker's start waits 2.5 s for them. To find them there costs it 0.08.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections import deque
from collections.abc import Set
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.transport.native_delayed_delivery import MAX_LEVEL, level_name

from tests.waiting import comes_true
from wavecom.broker import topology
from wavecom.local.servers import PrivateRabbitMQ

#: RabbitMQ 3.10 loses the process that keeps dead letters safe, for all virtual hosts until it is started anew, when a
#: quorum queue is deleted in the moment in which it gets its leader. What a test has declared last is let rest; on a
#: machine with five times as much to do as it can, 20 seconds were too short.
REST_SECONDS = 60
#: So long the queues of a worker that was killed may take to notice that it has gone.
_PATIENCE_SECONDS = 5.0

#: The queues there are after a worker without partitions and regions has started.
_QUEUES = frozenset(
    [
        *(queue.name for queue in (*topology.TASK_QUEUES, topology.DEAD, topology.CANARY)),
        *(level_name(level) for level in range(MAX_LEVEL + 1)),
    ]
)


class VirtualHosts:
    """Those of one broker, by their names. The application has all rights in each.

    ``take`` and ``give_back`` are for tests that find it in order that queues are there, and empty; ``make`` and
    ``throw_away`` for those that begin with nothing.
    """

    def __init__(self, rabbitmq: PrivateRabbitMQ) -> None:
        self._rabbitmq = rabbitmq
        #: Those that have no queues but some of ``_QUEUES``, empty and without a consumer.
        self._in_order: list[str] = []
        #: Those that no test uses any more, oldest first: ``time.monotonic()`` since then, name.
        self._thrown_away: deque[tuple[float, str]] = deque()

    def take(self) -> str:
        """One that was given back; else a new one, empty."""
        return self._in_order.pop() if self._in_order else self.make()

    def give_back(self, name: str) -> None:
        """The test is over and its processes have ended. Another gets it, if this one has left nothing in it."""
        if self._is_put_in_order(name):
            self._in_order.append(name)
        else:
            self.throw_away(name)

    def make(self) -> str:
        """A new one, without a queue."""
        while self._thrown_away and time.monotonic() - self._thrown_away[0][0] > REST_SECONDS:
            _, old = self._thrown_away.popleft()
            # Tidying only, and a broker that was killed a moment ago may refuse it; the server itself is thrown away.
            with contextlib.suppress(urllib.error.HTTPError):
                rabbitmq_api(self._rabbitmq, "DELETE", f"vhosts/{old}")
        name = f"test-{uuid.uuid4().hex[:12]}"
        rabbitmq_api(self._rabbitmq, "PUT", f"vhosts/{name}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        rabbitmq_api(self._rabbitmq, "PUT", f"permissions/{name}/wavecom", everything)
        return name

    def throw_away(self, name: str) -> None:
        """Have it deleted in a while."""
        self._thrown_away.append((time.monotonic(), name))

    def _is_put_in_order(self, name: str) -> bool:
        """Whether no queue but those of ``_QUEUES`` is there, and none has a consumer or, emptied, a message."""
        try:
            queues = self._queues(name)
            # Those by which a worker is spoken to go with it, in a moment; partitions and regions stay.
            if any(map(topology.is_delivery_queue, queues - _QUEUES)):
                return False
            with Connection(self._rabbitmq.url_of(name)) as connection:
                return comes_true(
                    lambda: _are_empty(connection.default_channel, queues & _QUEUES) and self._queues(name) <= _QUEUES,
                    _PATIENCE_SECONDS,
                    poll_seconds=0.1,
                )
        except (AMQPError, OSError):
            return False

    def _queues(self, name: str) -> set[str]:
        listed = rabbitmq_api(self._rabbitmq, "GET", f"queues/{name}?columns=name&disable_stats=true")
        return {queue["name"] for queue in json.loads(listed)}


def _are_empty(channel: Any, queues: Set[str]) -> bool:
    """Purge those that hold messages. False while somebody consumes, who may have some that come back."""
    states = [channel.queue_declare(name, passive=True) for name in queues]
    if any(state.consumer_count for state in states):
        return False
    for state in states:
        if state.message_count:
            channel.queue_purge(state.queue)
    return not any(state.message_count for state in states)


def rabbitmq_api(rabbitmq: PrivateRabbitMQ, method: str, path: str, body: object = None) -> bytes:
    """One call of the management API, by its administrator."""
    # urllib takes no credentials from a URL.
    address = urlsplit(rabbitmq.admin_api_url)
    credentials = b64encode(f"{address.username}:{address.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{address.hostname}:{address.port}{address.path}{path}",
        None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: bytes = response.read()
    return answer
