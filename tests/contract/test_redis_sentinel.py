"""Redis behind sentinels: the server that leads dies, freezes or comes back as a follower, while limits are asked."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import trustme

from tests.contract.redis_sentinels import RedisSentinels, longest_pause
from tests.contract.test_quota import check
from tests.waiting import wait_until
from wavecom.core.quota import Limits, StoredAnswer
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.quota import RedisQuotas

#: Sentinels notice after one second, vote, and promote; then each client has to find out.
LONGEST_SECONDS = 10.0


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[RedisSentinels]:
    servers = RedisSentinels(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def client(sentinels: RedisSentinels) -> Iterator[redis.Redis]:
    with connect(sentinels.url, max_connections=4) as made:
        yield made


def _writes(client: redis.Redis) -> bool:
    try:
        return bool(client.incr("written"))
    except redis.RedisError:
        return False


def test_a_leader_that_is_killed_under_load_costs_seconds_and_no_decision(sentinels: RedisSentinels) -> None:
    client = connect(sentinels.url, max_connections=4)
    quotas = RedisQuotas(client)
    old, ended = sentinels.leader(), threading.Event()
    decisions: list[tuple[float, bool]] = []

    def ask() -> None:
        while not ended.is_set():
            started = time.monotonic()
            decision = check(quotas, Limits(rate_per_second=1_000_000), 1)
            decisions.append((time.monotonic() - started, decision.is_allowed))

    def kept() -> StoredAnswer | None:
        return check(quotas, Limits(), 0, names=("acme:1",), wants_answer=True).answer

    try:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        quotas.store_answer("acme:1", StoredAnswer("f", "j", "{}"))
        wait_until(kept)
        assert client.wait(1, 1000) == 1
        for thread in threads:
            thread.start()
        sentinels.kill(old)
        pause = longest_pause(lambda: _writes(client), lambda: sentinels.leader() != old, 30)
        ended.set()
        for thread in threads:
            thread.join(10)
        # A process goes by limits of its own for some seconds after an error.
        answer = wait_until(kept)
    finally:
        ended.set()
        quotas.close()

    assert 0 < pause < LONGEST_SECONDS
    assert len(decisions) > 100
    assert all(is_allowed for _, is_allowed in decisions)
    # A request never waits for Redis for longer than it would for one server that is away.
    assert max(seconds for seconds, _ in decisions) < 2
    assert answer == StoredAnswer("f", "j", "{}")


def test_a_leader_that_is_frozen_and_comes_back_as_a_follower_is_left(
    sentinels: RedisSentinels, client: redis.Redis
) -> None:
    old = sentinels.leader()
    assert _writes(client)
    os.kill(sentinels.process(old).pid, signal.SIGSTOP)
    try:
        pause = longest_pause(lambda: _writes(client), lambda: sentinels.leader() != old, 30)
    finally:
        os.kill(sentinels.process(old).pid, signal.SIGCONT)
    with connect(f"redis://:of-redis%3A%2F%40@127.0.0.1:{old}/1") as direct:
        wait_until(lambda: direct.info("replication")["role"] == "slave", 20)

        with pytest.raises(redis.ReadOnlyError):
            direct.incr("written")
    assert pause < LONGEST_SECONDS
    assert all(_writes(client) for _ in range(20))


def test_one_sentinel_is_enough_and_the_others_are_passed_over(sentinels: RedisSentinels) -> None:
    sentinels.kill(sentinels.ports[2])
    os.kill(sentinels.process(sentinels.ports[3]).pid, signal.SIGSTOP)
    try:
        with connect(sentinels.url, max_connections=4, timeout_seconds=0.4) as client:
            started = time.monotonic()
            assert _writes(client)
            assert time.monotonic() - started < 2
    finally:
        os.kill(sentinels.process(sentinels.ports[3]).pid, signal.SIGCONT)


def test_more_threads_than_connections_wait_for_one(sentinels: RedisSentinels, client: redis.Redis) -> None:
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(_writes(client))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert done == [True] * 40
    assert len([each for each in client.client_list() if each["cmd"] != "replconf" and each["db"] == "1"]) <= 4


def test_a_service_that_sentinels_do_not_know_is_an_error_of_redis(sentinels: RedisSentinels) -> None:
    with (
        connect(sentinels.url.replace("/limits/", "/others/")) as client,
        pytest.raises(redis.RedisError, match="others"),
    ):
        client.ping()


def test_sentinels_and_servers_by_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    tls = {
        "tls-ca-cert-file": str(tmp_path / "ca.pem"),
        "tls-cert-file": str(tmp_path / "server.pem"),
        "tls-key-file": str(tmp_path / "server.pem"),
        "tls-auth-clients": "no",
    }
    servers = RedisSentinels(tmp_path, tls)
    try:
        servers.start()
        with connect(servers.url) as client:
            assert _writes(client)
        with connect(
            f"rediss://:of-redis%3A%2F%40@127.0.0.1:{servers.leader()}/1?ssl_ca_certs={tmp_path}/ca.pem"
        ) as one:
            assert _writes(one)
        with connect(servers.url.partition("&ssl_ca_certs")[0]) as stranger, pytest.raises(redis.RedisError):
            stranger.ping()
    finally:
        servers.stop()
