"""The private servers: they start, answer, are killed, start again with their data, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import amqp
import pytest
import redis
from pymongo import MongoClient
from pymongo.database import Database

from tests.waiting import comes_true
from wavecom.errors import ConfigurationError
from wavecom.local.ports import free_ports, is_free
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis


def processes_of(folder: Path) -> list[str]:
    """The living processes whose command line or working folder is in ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if command and (str(folder) in command or (process / "cwd").readlink().is_relative_to(folder)):
                found.append(command)
        except OSError:
            continue
    return found


def connected(server: PrivateRabbitMQ) -> amqp.Connection:
    url = urlsplit(server.url)
    return amqp.Connection(
        f"127.0.0.1:{url.port}",
        userid=url.username,
        password=url.password,
        virtual_host=unquote(url.path[1:]),
        confirm_publish=True,
    )


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> PrivateRabbitMQ:
    # A folder name with a space: WAVECOM_HOME may have one, and the start scripts are shell.
    return PrivateRabbitMQ(tmp_path / "rabbit mq", plugins=())


def test_rabbitmq_keeps_its_port_and_messages_over_a_restart_and_leaves_no_process_behind(
    own_rabbitmq: PrivateRabbitMQ,
) -> None:
    # One after the other: each start takes five seconds of CPU.
    with own_rabbitmq:
        url = own_rabbitmq.url
        with connected(own_rabbitmq) as connection:
            channel = connection.channel()
            channel.queue_declare("kept", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
            for text in ("first", "second"):
                channel.basic_publish(amqp.Message(text, delivery_mode=2), routing_key="kept")
        assert any("epmd" in command for command in processes_of(own_rabbitmq.home))
        assert "wavecom@localhost" in own_rabbitmq.ctl("eval", "node().")

        own_rabbitmq.stop()
        assert own_rabbitmq.exit_code == 0
        assert not own_rabbitmq.answers()
        # Not even its port mapper.
        assert comes_true(lambda: not processes_of(own_rabbitmq.home))
        own_rabbitmq.start()
        assert own_rabbitmq.url == url
        assert taken_from_kept(own_rabbitmq) == "first"
        # RabbitMQ 3.10 writes a new quorum queue's name to disk up to a second later; killed before that, it never
        # serves the queue again.
        names = next(own_rabbitmq.home.glob("data/*/quorum/*/names.dets"))
        assert comes_true(lambda: b"_kept" in names.read_bytes())

        own_rabbitmq.kill()
        assert not own_rabbitmq.answers()
        own_rabbitmq.start()
        assert own_rabbitmq.url == url
        assert taken_from_kept(own_rabbitmq) == "second"


def taken_from_kept(server: PrivateRabbitMQ) -> object:
    with connected(server) as connection:
        kept = connection.channel().basic_get("kept", no_ack=True)
        return None if kept is None else kept.body


def test_rabbitmqctl_says_why_it_failed(rabbitmq: PrivateRabbitMQ) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        rabbitmq.ctl("delete_queue", "no-such-queue")

    assert "not found" in caught.value.output.lower()


def test_redis_keeps_its_port_and_data_over_a_restart(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as client:
        client.set("kept", "still here")

        server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.start()

        assert client.get("kept") == b"still here"


def test_mongodb_keeps_its_port_and_data_over_a_restart_and_leaves_no_process_behind(tmp_path: Path) -> None:
    with PrivateMongo(tmp_path / "mongo") as server:
        url = server.url
        for end, number in ((server.stop, 1), (server.kill, 2)):
            with MongoClient[dict[str, object]](url) as client:
                client["wavecom"]["kept"].insert_one({"_id": number, "text": "still here"})
            assert processes_of(server.home)

            end()
            end()
            assert not server.answers()
            assert comes_true(lambda: not processes_of(server.home))
            server.start()

            assert server.url == url
            with MongoClient[dict[str, object]](url) as client:
                assert client["wavecom"]["kept"].find_one({"_id": number}) == {"_id": number, "text": "still here"}


def test_a_stopped_redis_leaves_no_process_behind(tmp_path: Path) -> None:
    server = PrivateRedis(tmp_path / "server")
    server.start()
    assert processes_of(server.home)

    server.stop()
    server.stop()

    assert comes_true(lambda: not processes_of(server.home))


def test_a_server_that_cannot_start_says_why_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "redis" / "appendonlydir"
    broken.parent.mkdir()
    broken.write_text("not a folder")

    with pytest.raises(ConfigurationError, match=r"Redis: ended with exit code 1; the end of its log .*\n.*\S"):
        PrivateRedis(tmp_path / "redis").start()


def test_a_server_that_is_not_installed_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r"Redis: is not installed.*apt-get install redis-server.*REDIS_URL"):
        PrivateRedis(tmp_path / "redis").start()


def test_servers_die_with_whoever_started_them_even_if_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from wavecom.local.servers import PrivateRedis\n"
        "server = PrivateRedis(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(60)\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "redis")], stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    with launcher:
        assert int(launcher.stdout.readline()) in {
            int(process.name) for process in Path("/proc").glob("[0-9]*") if process.name
        }

        os.kill(launcher.pid, signal.SIGKILL)

    assert comes_true(lambda: not processes_of(tmp_path / "redis"))


def test_ports_are_different_free_and_below_the_range_of_outgoing_connections() -> None:
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(is_free("127.0.0.1", port) for port in ports)
    assert max(ports) < first_ephemeral


def test_two_processes_are_never_given_the_same_port() -> None:
    # Of about eighteen thousand: if each chose for itself, hundreds would be the same.
    program = "from wavecom.local.ports import free_ports; print(*free_ports(3000), flush=True); input()"
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        given = [process.stdout.readline().split() for process in processes if process.stdout]
    finally:
        for process in processes:
            process.communicate("\n")

    assert [len(each) for each in given] == [3000, 3000]
    assert not set(given[0]) & set(given[1])


def test_each_test_has_a_corner_of_its_own(
    amqp_url: str, redis_url: str, database: Database[dict[str, object]], rabbitmq: PrivateRabbitMQ
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
    assert database.list_collection_names() == []
    assert amqp_url != rabbitmq.url
