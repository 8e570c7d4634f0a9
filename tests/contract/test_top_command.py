"""``wavecom top`` over real servers: what it shows, what it reads, and what it shows when one is away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from pymongo import monitoring
from pymongo.database import Database

from tests.factories import make_job_id
from tests.fakes import FakeClock
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.cli import main
from wavecom.core.job import DeliveryMessage
from wavecom.core.lanes import Channel, Lane, Priority, QueueLayout
from wavecom.core.progress import StallReport
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.states import Status
from wavecom.health import report_path
from wavecom.services.overview import OverviewServices, overview_services
from wavecom.services.shared import progress_of
from wavecom.settings import Settings
from wavecom.storage.mongo.queue_layout import MongoQueueLayout
from wavecom.storage.mongo.stats import MongoStats
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.provider_board import RedisProviderBoard
from wavecom.storage.redis.watermarks import RedisWatermarks

SMS_HIGH = "notifications.sms.high"


class ReadCollections(monitoring.CommandListener):
    """Collections that commands name, of this process's clients that are made from now on."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        named = event.command.get(event.command_name)
        if isinstance(named, str):
            self.names.append(named)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        return None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        return None


READ = ReadCollections()
monitoring.register(READ)


@pytest.fixture
def settings(amqp_url: str, redis_url: str, mongodb_uri: str, tmp_path: Path) -> Settings:
    return Settings(amqp_url=amqp_url, redis_url=redis_url, mongodb_uri=mongodb_uri, home=tmp_path)


@pytest.fixture
def opened() -> Iterator[Callable[[Settings], OverviewServices]]:
    services: list[OverviewServices] = []

    def open_(settings: Settings) -> OverviewServices:
        services.append(overview_services(settings))
        return services[-1]

    yield open_
    for each in services:
        each.close()


def shown(services: OverviewServices, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["top", *words], obj=services)
    return done.exit_code, done.output


def test_it_shows_rates_queues_providers_and_workers_and_reads_no_job(
    settings: Settings, database: Database[dict[str, Any]], opened: Callable[[Settings], OverviewServices]
) -> None:
    now = datetime.now(UTC)
    stats = MongoStats(database)
    stats.add("shop", Channel.SMS, Status.DELIVERED, 120)
    stats.flush()
    stats.close()
    publisher = AmqpPublisher(AmqpAddress.parse(settings.amqp_url), origin="test")
    assert publisher.publish([DeliveryMessage(make_job_id(), Lane(Channel.SMS, Priority.HIGH))] * 3) == [True] * 3
    publisher.close()
    with connect(settings.redis_url, timeout_seconds=5) as client:
        watermarks = RedisWatermarks(client)
        watermarks.note(SMS_HIGH, now - timedelta(seconds=40))
        watermarks.write()
        RedisProviderBoard(client).publish(
            [ProviderStatus("gateway", ProviderAvailability.PAUSED, now, "maintenance", "")]
        )
        progress_of(client, FakeClock(now)).publish(StallReport(now, [SMS_HIGH]))
    path = report_path(settings.home, "worker1@here")
    path.parent.mkdir()
    path.write_bytes(orjson.dumps({"at": now.timestamp(), "problems": ["loop_stuck"], "lag": 0.2}))
    services = opened(settings)
    READ.names.clear()

    code, text = shown(services, "--json")
    table = shown(services, "--once")

    found = json.loads(text)
    [queue] = [each for each in found["queues"] if each["queue"] == SMS_HIGH]
    assert code == 0
    assert 1.0 <= found["ratesPerSecond"]["sms"]["delivered"] <= 2.0
    assert (queue["waiting"], queue["consumers"]) == (3, 0)
    assert 40 <= queue["oldestSeconds"] < 70
    assert [each["state"] for each in found["providers"]] == ["paused"]
    assert found["stalled"] == [SMS_HIGH]
    assert "loop_stuck" in found["workers"][0]["problem"]
    assert found["away"] == []
    assert set(READ.names) == {"stats", "measurements", "queue_layouts"}
    assert table[0] == 0
    for word in ("sms", SMS_HIGH, "gateway", "maintenance", "worker1@here", "nothing moves"):
        assert word in table[1]


def test_a_lane_has_what_waits_in_its_queues_of_all_regions(
    settings: Settings, database: Database[dict[str, Any]], opened: Callable[[Settings], OverviewServices]
) -> None:
    layout = QueueLayout(2, ("eu",))
    MongoQueueLayout(database).note(layout)
    address, queues = AmqpAddress.parse(settings.amqp_url), DeliveryQueues(layout)
    # Patient: it declares all queues of the region first.
    publisher = AmqpPublisher(address, origin="test", queues=queues, timeout_seconds=60)
    lanes = [Lane(Channel.SMS, Priority.HIGH)] * 2 + [Lane(Channel.SMS, Priority.HIGH, region="eu")] * 3
    assert all(publisher.publish([DeliveryMessage(make_job_id(), lane) for lane in lanes]))
    publisher.close()

    found = opened(settings).read()

    [lane] = [each for each in found.lanes if each.lane == "sms.high"]
    waiting = {each.queue: each.waiting for each in found.queues}
    assert (waiting[SMS_HIGH], waiting["notifications.eu.sms.high"]) == (2, 3)
    assert (lane.queue.waiting, lane.queue.consumers) == (5, 0)


@pytest.mark.parametrize(
    ("server", "changed"),
    [
        ("MongoDB", {"mongodb_uri": "mongodb://user:hunter2@127.0.0.1:1/w"}),
        ("RabbitMQ", {"amqp_url": "amqp://user:hunter2@127.0.0.1:1/"}),
        ("Redis", {"redis_url": "redis://:hunter2@127.0.0.1:1"}),
    ],
)
def test_a_server_that_is_away_is_named_and_the_rest_is_shown(
    settings: Settings,
    opened: Callable[[Settings], OverviewServices],
    server: str,
    changed: dict[str, str],
) -> None:
    services = opened(replace(settings, **changed))

    code, text = shown(services, "--json")

    # Before it stands what the log says: the command sends that elsewhere, and services of a test do not.
    found = json.loads(text.splitlines()[-1])
    assert (code, found["away"]) == (1, [server])
    assert bool(found["ratesPerSecond"]) is (server != "MongoDB")
    assert (found["deadLetters"] is None) is (server == "RabbitMQ")
    assert "hunter2" not in text
