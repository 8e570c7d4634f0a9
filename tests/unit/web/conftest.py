"""A web app over memory: everything real but the servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import NOW
from tests.fakes import CountingStats, FakeClock, OneByOne, RecordingPublisher
from wavecom.accounts import KeyRing
from wavecom.bootstrap import WebServices
from wavecom.core.engine import Policy
from wavecom.core.submission import Submission
from wavecom.settings import Settings
from wavecom.storage.memory import MemoryJobRepository, MemoryKeyStore
from wavecom.web import create_app

KEY = "wc_live_" + "k" * 43


@dataclass
class World:
    """What a test can look at and turn."""

    clock: FakeClock
    jobs: MemoryJobRepository
    publisher: RecordingPublisher
    keys: MemoryKeyStore
    services: WebServices
    app: Flask
    random: list[int] = field(default_factory=list)

    def client(self, key: str | None = KEY) -> FlaskClient:
        """A caller with ``key``."""
        client = self.app.test_client()
        if key is not None:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return client


def make_world(
    settings: Settings | None = None,
    *,
    checks: Mapping[str, Callable[[], None]] | None = None,
    **replaced: Any,
) -> World:
    """An app at ``NOW`` with one key, ``KEY``, that may do everything; ``replaced`` services stand in for ours."""
    settings = settings or Settings(secret_key="a secret for tests only")
    clock = FakeClock(NOW)
    jobs = MemoryJobRepository(clock.now)
    publisher = RecordingPublisher()
    key_store = MemoryKeyStore()
    keys = KeyRing(key_store, clock)
    keys.ensure_first_key(KEY)
    numbers = iter(range(1, 1_000_000))
    stats = CountingStats()
    submission = Submission(
        jobs=jobs,
        publisher=publisher,
        stats=stats,
        clock=clock,
        batcher=OneByOne,
        random_bytes=lambda size: next(numbers).to_bytes(size, "big"),
        policy=Policy(),
    )
    services = WebServices(
        settings=settings,
        clock=clock,
        jobs=jobs,
        submission=submission,
        stats=stats,
        keys=keys,
        outbox=cast(Any, None),
        checks=checks or {},
    )
    services = replace(services, **replaced)
    app = create_app(settings, services)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return World(clock, jobs, publisher, key_store, services, app)


@pytest.fixture
def world() -> World:
    """The usual one."""
    return make_world()


@pytest.fixture
def api(world: World) -> FlaskClient:
    """A caller who may do everything."""
    return world.client()
