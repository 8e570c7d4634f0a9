"""``WAVECOM_WORKERS=auto``: a burst brings workers, quiet sends them away, and no notification notices."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo.database import Database

from tests.e2e.launched import Launched
from tests.waiting import comes_true, wait_until
from wavecom.local.servers import PrivateRabbitMQ

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

BURST = 120
PROVIDERS = """
[providers.sandbox]
type = "sandbox"
latency_ms = 500

[routes]
sms = ["sandbox"]
"""


def test_workers_come_with_a_burst_and_go_after_it_with_nothing_in_hand(
    tmp_path: Path,
    rabbitmq: PrivateRabbitMQ,
    amqp_url: str,
    rabbitmq_api_url: str,
    redis_url: str,
    mongodb_uri: str,
    database: Database[dict[str, Any]],
) -> None:
    providers = tmp_path / "providers.toml"
    providers.write_text(PROVIDERS)
    launched = Launched(
        [sys.executable, "-m", "wavecom.cli", "run"],
        tmp_path / "home",
        tmp_path,
        variables={
            "AMQP_URL": amqp_url,
            "REDIS_URL": redis_url,
            "MONGODB_URI": mongodb_uri,
            "WAVECOM_RABBITMQ_API_URL": rabbitmq_api_url,
            "WAVECOM_PROVIDERS": str(providers),
            "WAVECOM_WORKERS": "auto",
            "WAVECOM_WORKERS_MAX": "3",
            "WAVECOM_DRAIN_SECONDS": "1",
            "WAVECOM_SCALE_DOWN_SECONDS": "15",
        },
    )
    try:
        launched.start()

        send(launched, BURST)
        # In one step or in two: a look may fall into the middle of what comes, or of what is left.
        launched.wait_for(r"^worker: 3 in place of [12], for ")
        wait_until(lambda: consumers(rabbitmq, amqp_url) == 3, "all consume", 240, poll_seconds=0.5)
        launched.wait_for(r"^worker: 1 in place of [23], for ", 240)
        # They are asked to end at this moment; some of these they have taken.
        sent = BURST + send(launched, 10)
        launched.wait_for(r"^worker2 has ended: it is not needed now", 240)
        launched.wait_for(r"^worker3 has ended: it is not needed now", 240)
        delivered = {"status": "delivered"}
        is_done = comes_true(lambda: database["jobs"].count_documents(delivered) == sent, 240, poll_seconds=0.5)
        assert is_done, (Counter(job["status"] for job in database["jobs"].find()), launched.output)
        # How all of it ends together is another promise, with a time of its own, which a busy machine may not keep.
        output = launched.output
    finally:
        launched.end()

    assert Counter(job["attempts"] for job in database["jobs"].find()) == {1: sent}
    assert not re.search(r"was killed|was ended by", output)
    assert "worker1 has ended" not in output, "the oldest stays"


def send(launched: Launched, count: int) -> int:
    notification = {
        "type": "sms",
        "to": {"phone": "+12025550143"},
        "payload": {"text": "Your parcel arrives today", "senderId": "PARCEL"},
    }
    answer = requests.post(
        f"{launched.url}/api/notifications/batch",
        json={"notifications": [notification] * count},
        headers={"Authorization": f"Bearer {launched.api_key}"},
        timeout=30,
    )
    assert answer.status_code == 202, answer.text
    return count


def consumers(rabbitmq: PrivateRabbitMQ, amqp_url: str) -> int:
    vhost = amqp_url.rpartition("/")[2]
    lines = rabbitmq.ctl("list_queues", "-p", vhost, "--silent", "--no-table-headers", "name", "consumers").splitlines()
    return int(dict(line.split("\t") for line in lines)["notifications.sms.normal"])
