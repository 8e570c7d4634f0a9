"""The private servers are locked: another user of the machine gets in nowhere, and an old, open one is locked too."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest
import redis
import requests
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from wavecom.amqp_address import AmqpAddress
from wavecom.broker.connection import connect
from wavecom.local.child import ChildProcess
from wavecom.local.ports import free_ports
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis, PrivateServer

needs_root = pytest.mark.skipif("os.geteuid() != 0", reason="becomes another user")


def amqp_connection(url: str, user: str | None = None, password: str | None = None) -> Any:
    address = urlsplit(url)
    login = f"{user or address.username}:{password or address.password}"
    url = address._replace(netloc=f"{login}@127.0.0.1:{address.port}").geturl()
    return connect(AmqpAddress.parse(url), 10, "test")


def command_lines() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def passwords_of(rabbitmq: PrivateRabbitMQ, *others: PrivateServer) -> list[str]:
    return [*rabbitmq.logins.passwords.values(), *(str(urlsplit(server.url).password) for server in others)]


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in [folder, *folder.rglob("*")] if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]


# --- without credentials ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PING", "GET job", "FLUSHALL", "SHUTDOWN NOSAVE", "CONFIG SET dir /tmp", "INFO"])
def test_redis_does_nothing_for_strangers(redis_server: PrivateRedis, name: str) -> None:
    with redis.Redis(port=urlsplit(redis_server.url).port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.execute_command(*name.split())  # type: ignore[no-untyped-call]


def test_redis_takes_no_other_password(redis_server: PrivateRedis) -> None:
    with (
        redis.Redis(port=urlsplit(redis_server.url).port, password="wavecom") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda client: client["wavecom"]["jobs"].find_one(),
        lambda client: client["wavecom"]["keys"].insert_one({"scopes": ["admin"]}),
        lambda client: client["wavecom"]["jobs"].delete_many({}),
        lambda client: client.drop_database("wavecom"),
        lambda client: client.list_database_names(),
        lambda client: client.admin.command("createUser", "me", pwd="me", roles=["root"]),
        lambda client: client.admin.command("usersInfo", 1),
    ],
    ids=["read", "insert", "delete", "drop", "list", "create a user", "list users"],
)
def test_mongodb_does_nothing_for_strangers(mongo_server: PrivateMongo, attempt: Callable[..., object]) -> None:
    stranger = MongoClient[dict[str, object]](port=urlsplit(mongo_server.url).port)

    with stranger, pytest.raises(OperationFailure) as refused:
        attempt(stranger)

    assert refused.value.code == 13  # Unauthorized


@pytest.mark.parametrize("password", ["wavecom", "", "password"])
def test_mongodb_takes_no_other_password(mongo_server: PrivateMongo, password: str) -> None:
    port = urlsplit(mongo_server.url).port
    stranger = MongoClient[dict[str, object]](port=port, username="wavecom", password=password or " ")

    with stranger, pytest.raises(OperationFailure) as refused:
        stranger["wavecom"]["jobs"].find_one()

    assert refused.value.code == 18  # AuthenticationFailed


@pytest.mark.parametrize("user", ["guest", "wavecom", "monitor", "administrator"])
def test_rabbitmq_knows_no_guest_and_no_other_password(rabbitmq: PrivateRabbitMQ, user: str) -> None:
    with pytest.raises(amqp.AccessRefused):
        amqp_connection(rabbitmq.url, user, "guest")


def test_rabbitmq_lets_the_application_into_its_own_virtual_host_only(rabbitmq: PrivateRabbitMQ) -> None:
    with amqp_connection(rabbitmq.url) as connection:
        connection.channel().queue_declare("ours")

    assert rabbitmq.url.endswith("/wavecom")
    with pytest.raises(amqp.exceptions.AMQPError):
        amqp_connection(rabbitmq.url_of("/"))


def management(url: str, path: str, method: str = "GET", body: object = None) -> requests.Response:
    return requests.request(method, url + path, json=body, timeout=10)


def test_flowers_user_of_the_management_api_sees_the_queues(rabbitmq: PrivateRabbitMQ) -> None:
    with amqp_connection(rabbitmq.url) as connection:
        connection.channel().queue_declare("seen", durable=True, auto_delete=False)

        queues = management(rabbitmq.api_url, "queues/wavecom").json()

    assert "seen" in [queue["name"] for queue in queues]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "queues/wavecom/kept", None),
        ("DELETE", "queues/wavecom/kept/contents", None),
        ("POST", "queues/wavecom/kept/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}),
        ("PUT", "users/me", {"password": "me", "tags": "administrator"}),
        ("GET", "definitions", None),
        ("PUT", "vhosts/mine", {}),
    ],
)
def test_flowers_user_of_the_management_api_changes_and_reads_nothing(
    rabbitmq: PrivateRabbitMQ, method: str, path: str, body: object
) -> None:
    with amqp_connection(rabbitmq.url) as connection:
        connection.channel().queue_declare("kept", durable=True, auto_delete=False)

        refused = management(rabbitmq.api_url, path, method, body)

        connection.channel().queue_declare("kept", passive=True)
    assert refused.status_code in (400, 401, 403)


def test_rabbitmqs_management_api_knows_no_guest(rabbitmq: PrivateRabbitMQ) -> None:
    address = urlsplit(rabbitmq.api_url)

    refused = management(f"http://guest:guest@{address.hostname}:{address.port}/api/", "overview")

    assert refused.status_code == 401


# --- another user of the machine --------------------------------------------------------------------------------------


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, user="nobody", group="nogroup", extra_groups=[], capture_output=True, text=True)


@needs_root
def test_another_user_reads_no_file_of_the_servers(
    rabbitmq: PrivateRabbitMQ, redis_server: PrivateRedis, mongo_server: PrivateMongo
) -> None:
    for server in (rabbitmq, redis_server, mongo_server):
        for path in (server.home, server.log, *server.home.glob("*")):
            assert as_nobody("cat" if path.is_file() else "ls", str(path)).returncode != 0


@needs_root
def test_another_user_sees_no_password_in_the_list_of_processes(
    rabbitmq: PrivateRabbitMQ, redis_server: PrivateRedis, mongo_server: PrivateMongo
) -> None:
    passwords = passwords_of(rabbitmq, redis_server, mongo_server)
    cookie = (rabbitmq.home / ".erlang.cookie").read_text().strip()

    shown = "\n".join(command_lines())

    assert str(rabbitmq.home) in shown
    assert not [secret for secret in (*passwords, cookie) if secret in shown]
    for server in (rabbitmq, redis_server, mongo_server):
        assert as_nobody("cat", f"/proc/{server.pid}/environ").returncode != 0
        assert as_nobody("kill", str(server.pid)).returncode != 0


@needs_root
def test_another_user_cannot_command_the_node_nor_end_its_port_mapper(rabbitmq: PrivateRabbitMQ) -> None:
    port = rabbitmq.ctl("eval", 'init:get_argument(kernel), os:getenv("ERL_EPMD_PORT").').strip().strip('"')

    for attempt in (["-kill"], ["-stop", "wavecom"]):
        as_nobody("epmd", "-port", port, *attempt)

    assert (
        "name wavecom at port"
        in subprocess.run(["epmd", "-port", port, "-names"], capture_output=True, text=True).stdout
    )
    script = f"""
import os, subprocess, sys, tempfile
home = tempfile.mkdtemp()
environment = {{"PATH": os.environ["PATH"], "HOME": home, "ERL_EPMD_PORT": {port!r}}}
code = 'io:format("~p~n", [net_adm:ping(wavecom@localhost)]), halt().'
done = subprocess.run(
    ["erl", "-noshell", "-sname", "me@localhost", "-setcookie", "guess", "-eval", code],
    env=environment, capture_output=True, text=True, timeout=30)
print(done.stdout, done.stderr)
"""
    answer = as_nobody(sys.executable, "-c", script)
    assert "pang" in answer.stdout


def test_the_cookie_is_ours_and_no_weaker_than_a_key(rabbitmq: PrivateRabbitMQ) -> None:
    cookie = rabbitmq.home / ".erlang.cookie"

    assert len(bytes.fromhex(cookie.read_text().strip())) == 32
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o400
    assert cookie.read_text().strip() in rabbitmq.ctl("eval", "erlang:get_cookie().")


@pytest.mark.parametrize("kind", [PrivateRedis, PrivateMongo])
def test_a_server_makes_nothing_that_others_may_read_and_keeps_its_password(
    tmp_path: Path, kind: type[PrivateServer]
) -> None:
    with kind(tmp_path / "server") as server:
        url = server.url

    with kind(tmp_path / "server") as again:
        password = urlsplit(again.url).password

    assert open_to_others(tmp_path / "server") == []
    assert password == urlsplit(url).password
    assert password is not None
    assert len(password) == 43


# --- servers from before there were locks -----------------------------------------------------------------------------


class OpenMongo(PrivateMongo):
    """As it was before there were locks."""

    def command_without_locks(self, port: int) -> Sequence[str]:
        assert self.program is not None
        return self._command_at(self.program, port)


def test_an_open_mongodb_is_locked_with_its_data_and_without_its_users(tmp_path: Path) -> None:
    home = tmp_path / "mongo"
    (home / "data").mkdir(parents=True)
    locked = OpenMongo(home)
    [port] = free_ports(1)
    old = ChildProcess(locked.command_without_locks(port), log=home / "old.log", environment={}, folder=home)
    try:
        with MongoClient[dict[str, object]](port=port, serverSelectionTimeoutMS=10_000) as client:
            client["wavecom"]["jobs"].insert_one({"_id": 1})
            for database in ("admin", "wavecom"):
                client[database].command("createUser", "spy", pwd="spy", roles=[{"role": "root", "db": "admin"}])
    finally:
        old.terminate()
        assert old.wait(10)

    with locked:
        with MongoClient[dict[str, object]](locked.url) as client:
            assert client["wavecom"]["jobs"].find_one() == {"_id": 1}
        for source in ("admin", "wavecom"):
            spy = MongoClient[dict[str, object]](
                port=urlsplit(locked.url).port, username="spy", password="spy", authSource=source
            )
            with spy, pytest.raises(OperationFailure):
                spy["wavecom"]["jobs"].find_one()


def test_an_open_redis_is_locked_with_its_data(tmp_path: Path) -> None:
    home = tmp_path / "redis"
    home.mkdir()
    [port] = free_ports(1)
    options = f"--port {port} --dir {home} --appendonly yes --appendfsync always --save".split()
    program = shutil.which("redis-server")
    assert program is not None
    old = ChildProcess([program, *options, ""], log=home / "old.log", environment={}, folder=home)
    try:
        patience = redis.retry.Retry(redis.backoff.ConstantBackoff(0.1), 50)
        with redis.Redis(port=port, retry=patience) as client:
            client.set("kept", "still here")
    finally:
        old.terminate()
        assert old.wait(10)

    with PrivateRedis(home) as locked, redis.Redis.from_url(locked.url) as client:
        assert client.get("kept") == b"still here"


class OpenRabbitMQ(PrivateRabbitMQ):
    """As it was before it had a lock: a guest, the virtual host "/" and a cookie that Erlang makes."""

    def _write_configuration(self) -> None:
        super()._write_configuration()
        path = self.home / "rabbitmq.conf"
        lines = [line for line in path.read_text().splitlines() if "definitions" not in line]
        path.write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._ports['amqp']}/%2F"


def test_an_open_rabbitmq_is_locked_with_its_messages_and_without_its_users(tmp_path: Path) -> None:
    with OpenRabbitMQ(tmp_path / "rabbitmq", plugins=()) as old:
        with amqp_connection(old.url) as connection:
            channel = connection.channel()
            channel.queue_declare("kept", durable=True, auto_delete=False)
            channel.basic_publish(amqp.Message("still here", delivery_mode=2), routing_key="kept")
        old.ctl("add_user", "spy", "spy")
        old.ctl("set_user_tags", "spy", "administrator")
        old.ctl("set_permissions", "spy", ".*", ".*", ".*")
    cookie = (old.home / ".erlang.cookie").read_text()
    (old.home / "logins.json").unlink()

    with PrivateRabbitMQ(tmp_path / "rabbitmq", plugins=()) as locked:
        users = locked.ctl("list_users", "--silent", "--no-table-headers")
        with amqp_connection(locked.url) as connection:
            message = connection.channel().basic_get("kept", no_ack=True)
        for user in ("guest", "spy"):
            with pytest.raises(amqp.AccessRefused):
                amqp_connection(locked.url, user, user)

    assert sorted(line.split()[0] for line in users.splitlines()) == ["administrator", "monitor", "wavecom"]
    assert message is not None
    assert message.body == "still here"
    assert (old.home / ".erlang.cookie").read_text() != cookie
    assert not json.loads((old.home / "logins.json").read_text())["wasOpen"]
