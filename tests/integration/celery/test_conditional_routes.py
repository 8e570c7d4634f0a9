"""Routes with conditions, through a whole worker and over real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_celery import CeleryTestSetup

from tests import peers
from tests.peers import HttpPeer
from tests.waiting import wait_until
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.states import FINAL, Status

PROVIDERS = """
[providers.german]
type = "http"
url = "{german}"

[providers.shop_own]
type = "http"
url = "{shop}"
client = "shop"

[providers.others]
type = "http"
url = "{others}"

[[routes.sms]]
when = {{ client = "shop", tag = {{ kind = "otp" }} }}
providers = ["shop_own"]

[[routes.sms]]
when = {{ country = "DE" }}
providers = ["german"]
sender = "BANK"

[[routes.sms]]
providers = ["others"]
"""
GERMAN, BRITISH = "+4915112345678", "+447700900123"


@pytest.fixture
def gateways() -> Iterator[dict[str, HttpPeer]]:
    taken = peers.reply(202, b'{"id": "m-1"}')
    with HttpPeer(taken) as german, HttpPeer(taken) as shop, HttpPeer(taken) as others:
        yield {"german": german, "shop": shop, "others": others}


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], gateways: dict[str, HttpPeer], tmp_path: Path
) -> dict[str, str]:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(**{name: peer.url for name, peer in gateways.items()}))
    return worker_environment | {"WAVECOM_PROVIDERS": str(file)}


def test_each_message_goes_by_the_first_route_that_is_for_it(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
    gateways: dict[str, HttpPeer],
) -> None:
    def sent(phone: str, client: str = "acme", kind: str = "news") -> JobId:
        to, labels = {"phone": phone}, {"kind": kind}
        return submit(type=Channel.SMS, to=to, payload={"text": "hello"}, client=client, metadata=labels).job_id

    # All at one time: the pipeline takes them together, and each has to find its own way.
    german = [sent(GERMAN) for _ in range(10)] + [sent(GERMAN, "shop")]
    shop = [sent(phone, "shop", "otp") for phone in (GERMAN, BRITISH)]
    others = [sent(BRITISH) for _ in range(10)] + [sent(BRITISH, "shop"), sent(BRITISH, kind="otp")]
    everybody = [*german, *shop, *others]

    wait_until(lambda: all(read(job_id).status in FINAL for job_id in everybody), "the jobs to settle")

    settled = {job_id: (job.status, job.provider) for job_id in everybody if (job := read(job_id))}
    assert settled == {
        **dict.fromkeys(german, (Status.DELIVERED, "german")),
        **dict.fromkeys(shop, (Status.DELIVERED, "shop_own")),
        **dict.fromkeys(others, (Status.DELIVERED, "others")),
    }
    bodies = {name: [json.loads(request.body) for request in peer.requests] for name, peer in gateways.items()}
    assert {name: sorted(body["jobId"] for body in found) for name, found in bodies.items()} == {
        "german": sorted(german),
        "shop": sorted(shop),
        "others": sorted(others),
    }
    # The sender of a route goes with its own messages alone.
    senders = {name: {body["payload"].get("senderId") for body in found} for name, found in bodies.items()}
    assert senders == {"german": {"BANK"}, "shop": {None}, "others": {None}}
