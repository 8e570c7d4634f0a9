"""What the broker counts of the delivery queues, by its management API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import requests

from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import QueueState
from wavecom.broker.topology import partition_names, queue_name
from wavecom.core.lanes import LaneQueue
from wavecom.core.queue_rates import QueueCounters
from wavecom.errors import BrokerError

_TIMEOUT_SECONDS: Final = 3.0


class QueueCounterReader:
    """Reads all delivery queues at once.

    The management API counts what came and went, but some seconds late; ``look_at`` (the publisher's) asks the broker
    itself what waits now and who consumes. ``api_url`` is ``WAVECOM_RABBITMQ_API_URL``, with user and password; the
    queues are in ``vhost``. Partitions of a lane's queue are added up; each worker consumes all of them.
    """

    def __init__(
        self,
        api_url: str,
        vhost: str,
        look_at: Callable[[str], QueueState | None],
        queues: DeliveryQueues | None = None,
    ) -> None:
        self._url = f"{api_url.rstrip('/')}/queues/{quote(vhost, safe='')}"
        self._look_at = look_at
        self._queues = queues or DeliveryQueues()

    def read(self) -> Mapping[LaneQueue, QueueCounters]:
        """The counters by lane queue. Raises ``BrokerError``."""
        counted = self._counted()
        self._queues.try_refresh()
        layout = self._queues.layout
        return {
            queue: _sum(
                [self._together(name, counted) for name in partition_names(queue_name(queue), layout.partitions)]
            )
            for queue in layout.lane_queues
        }

    def _together(self, name: str, counted: Mapping[str, Mapping[str, Any]]) -> QueueCounters:
        state = self._look_at(name)
        if state is None:
            raise BrokerError("RabbitMQ does not tell what waits in its queues.")
        statistics = counted.get(name, {})
        messages = statistics.get("message_stats", {})
        return QueueCounters(
            waiting=state.ready,
            consumers=state.consumers,
            in_hand=statistics.get("messages_unacknowledged") or 0,
            published=messages.get("publish", 0),
            acked=messages.get("ack", 0),
        )

    def _counted(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            answer = requests.get(self._url, timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            queues = answer.json()
        except (requests.RequestException, ValueError) as error:
            # Its own words would show the address, with the password in it.
            status = f", status {answer.status_code}" if isinstance(error, requests.HTTPError) else ""
            raise BrokerError(f"RabbitMQ's management API can't be used ({type(error).__name__}{status}).") from None
        return {queue["name"]: queue for queue in queues}


def _sum(partitions: Sequence[QueueCounters]) -> QueueCounters:
    return QueueCounters(
        waiting=sum(each.waiting for each in partitions),
        consumers=max(each.consumers for each in partitions),
        in_hand=sum(each.in_hand for each in partitions),
        published=sum(each.published for each in partitions),
        acked=sum(each.acked for each in partitions),
    )
