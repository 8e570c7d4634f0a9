"""Three RabbitMQ nodes, of which the one that is listed first dies: nothing stands still."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from harness.rabbitmq_cluster import PrivateRabbitMQCluster
from tests.factories import make_job_id
from tests.waiting import wait_until
from tests.web_process import WebProcess, workers
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import DeliveryMessage
from wavecom.core.lanes import LANES, Channel, Lane, Priority, QueueLayout

pytestmark = pytest.mark.timeout(400)  # three nodes boot on a machine that does other things


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQCluster]:
    with PrivateRabbitMQCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def publisher(cluster: PrivateRabbitMQCluster) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(AmqpAddress.parse(cluster.url), origin="test", pause_seconds=0.1, timeout_seconds=30)
    wait_until(publisher.ping, "the cluster to take and give a message")
    yield publisher
    publisher.close()


class Client:
    """Sends text messages, and asks what became of them."""

    def __init__(self, web: WebProcess) -> None:
        self._web = web
        self._jobs: list[str] = []

    def send(self, **more: str) -> None:
        body = {"type": "sms", "to": {"phone": "+4915112345678"}, "payload": {"text": "Hello"}, **more}
        answer = requests.post(f"{self._url}", json=body, headers=self._web.authorization, timeout=30)
        assert answer.status_code == 202, answer.text
        self._jobs.append(answer.json()["jobId"])

    def all_delivered(self) -> bool:
        return all(self._status(job_id) in {"sent", "delivered"} for job_id in self._jobs)

    def _status(self, job_id: str) -> str:
        answer = requests.get(f"{self._url}/{job_id}", headers=self._web.authorization, timeout=30)
        return str(answer.json()["status"])

    @property
    def _url(self) -> str:
        return f"{self._web.url}/api/notifications"


def test_what_is_sent_while_the_first_node_dies_is_delivered_and_so_is_what_only_the_sweep_starts(
    tmp_path: Path, cluster: PrivateRabbitMQCluster, redis_url: str, mongodb_uri: str
) -> None:
    servers = {"AMQP_URL": cluster.url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as web, workers(tmp_path, servers):
        client = Client(web)
        client.send()
        wait_until(client.all_delivered, "the workers to be up and a first one to be delivered", 180)

        cluster.nodes[0].kill()
        for _ in range(20):
            client.send()
            time.sleep(0.05)
        client.send(sendAt=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())

        wait_until(client.all_delivered, "all of them to be delivered")
        wait_until(lambda: requests.get(f"{web.url}/readyz", timeout=30).status_code == 200, "everything to be ready")


def test_a_batch_on_a_connection_that_breaks_goes_to_another_node_at_once(
    cluster: PrivateRabbitMQCluster, publisher: AmqpPublisher
) -> None:
    message = DeliveryMessage(make_job_id(), Lane(Channel.SMS, Priority.NORMAL))
    wait_until(lambda: publisher.publish([message]) == [True], "the queue to have a leader")

    running = next(node for node in cluster.nodes if node.is_running)
    running.ctl("close_all_connections", "a test wants it")

    assert publisher.publish([message] * 3) == [True] * 3


def test_partitions_of_a_lane_have_their_leaders_on_several_nodes(cluster: PrivateRabbitMQCluster) -> None:
    for node in cluster.nodes:
        if not node.is_running:
            node.start()
    wait_until(cluster.is_whole, "all nodes to be there", 180)
    queues = DeliveryQueues(QueueLayout(3))
    publisher = AmqpPublisher(AmqpAddress.parse(cluster.url), origin="test", queues=queues, timeout_seconds=60)
    lane = Lane(Channel.SMS, Priority.NORMAL)
    messages = [DeliveryMessage(make_job_id(), lane) for _ in range(30)]

    wait_until(lambda: all(publisher.publish(messages)), "the queues to have leaders", 180)
    publisher.close()

    leaders = cluster.leaders()
    # Of all lanes: the first ones all go to a node that has just come back and leads nothing.
    partitions = [name for each in LANES for name in topology.partition_names(topology.queue_of(each), 3)[1:]]
    assert len({leaders[name].node for name in partitions}) > 1
