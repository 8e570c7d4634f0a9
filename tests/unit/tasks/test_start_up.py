"""What a worker sets for itself when Celery has made it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery import signals

import wavecom.celery

#: Of programs that set nothing.
USUAL = (2_000, 10, 10)


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)


def test_a_worker_looks_for_garbage_less_often_than_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wavecom.celery, "step_back", lambda _niceness: None)
    queues = SimpleNamespace(consume_from={"notifications.sms.high": None})
    worker = SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)))

    signals.celeryd_after_setup.send(sender="worker1@here", instance=worker, conf=None)

    assert gc.get_threshold()[0] >= 10 * USUAL[0]
