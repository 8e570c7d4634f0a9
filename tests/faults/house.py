"""A whole WaveCom of real processes and real servers, with a proxy before each server, a recording provider behind it
and clients in front of it: what the drill does its worst to.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from tests.faults.control import HelperProcess
from tests.faults.recorder import Behaviour, Fault, Kind
from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.programs import PROGRAMS, ProgramService
from wavecom.local.readiness import check_of
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis, PrivateServer
from wavecom.local.service import MARK, Service
from wavecom.local.supervisor import Supervisor
from wavecom.settings import Settings

RABBITMQ, REDIS, MONGODB = "rabbitmq", "redis", "mongodb"
SERVERS = (RABBITMQ, REDIS, MONGODB)
FIRST, SECOND = "first", "second"

#: The longest that one provider call may take; short, so that a hanging provider shows its effects soon.
PROVIDER_TIMEOUT_SECONDS = 3
PROVIDER_RATE = 200
CONCURRENCY = 16
START_SECONDS = 120
#: A worker has its start behind it by then, and work in its hands.
SETTLED_SECONDS = 6
_POLL_SECONDS = 0.1
_CLOCK_FOLDER = Path(__file__).with_name("clock")
_OBSERVE_SECONDS = 1.0

#: What every provider does to a few requests on its best day.
NOISE = (
    Fault(Kind.STATUS, 0.006, status=503),
    Fault(Kind.STATUS, 0.004, status=500),
    Fault(Kind.STATUS, 0.0005, status=429, retry_after_seconds=1),
    Fault(Kind.STATUS, 0.001, status=502),
    Fault(Kind.RESET, 0.002),
    Fault(Kind.EARLY_RESET, 0.002),
    Fault(Kind.SILENCE, 0.002),
)
HEALTHY = Behaviour(0.05, NOISE)


class HouseError(Exception):
    """Something that the drill itself needs does not work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a house is built."""

    providers: Sequence[str] = (FIRST,)
    workers: int = 2
    rate: float = 110.0
    seed: int = 0
    #: Multiplies every duration of a scenario.
    pace: float = 1.0
    #: The process whose clock can be moved.
    fake_clock_of: str | None = None
    faketime_library: Path | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done, or that happened. Times in seconds since the epoch."""

    at: float
    text: str


@dataclass(slots=True)
class Trouble:
    """A span of time in which something was broken on purpose."""

    what: str
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was ended with SIGKILL."""

    title: str
    pid: int
    at: float


@dataclass(slots=True)
class Orphan:
    """A job that a dead worker held."""

    job_id: str
    killed_at: float
    last_seen_at: float


@dataclass(slots=True)
class Notes:
    """What the house saw while it ran."""

    marks: list[Mark] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    orphans: dict[str, Orphan] = field(default_factory=dict)
    #: title -> the most memory it ever held, MiB
    memory: dict[str, float] = field(default_factory=dict)
    restarts: int = 0

    @property
    def healed_at(self) -> float:
        """When the last trouble ended; when the drill began if there was none."""
        ends = [trouble.until or time.time() for trouble in self.troubles]
        return max(ends, default=self.marks[0].at if self.marks else time.time())


class House:
    """A context manager. Everything it does happens in the calling thread, which must be the main one."""

    def __init__(self, home: Path, plan: Plan, mongo_program: Path | None, say: Callable[[str], None]) -> None:
        self.home = home.absolute()
        self.plan = plan
        self.notes = Notes()
        self._say = say
        self._logs = self.home / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        base = {
            name: value
            for name, value in os.environ.items()
            if name == "WAVECOM_FAST_PATHS" or not name.startswith(("WAVECOM_", "FLOWER_"))
        }
        for name in ("AMQP_URL", "REDIS_URL", "MONGODB_URI"):
            base.pop(name, None)
        base |= {MARK: str(self.home), "PYTHONUNBUFFERED": "1"}
        self._base = base
        self.rabbitmq = PrivateRabbitMQ(self.home / RABBITMQ, log=self._logs / "rabbitmq.log", environment=base)
        self.redis = PrivateRedis(self.home / REDIS, log=self._logs / "redis.log", environment=base)
        self.mongodb = PrivateMongo(
            self.home / MONGODB, log=self._logs / "mongodb.log", environment=base, program=mongo_program
        )
        self.servers: dict[str, PrivateServer] = {
            RABBITMQ: self.rabbitmq,
            REDIS: self.redis,
            MONGODB: self.mongodb,
        }
        self.programs: dict[str, ProgramService] = {}
        self._supervisor = Supervisor(self._heard)
        self._helpers: list[HelperProcess] = []
        self._settings: Settings
        self._store: MongoClient[dict[str, Any]] | None = None
        self._observed_at = 0.0
        self._clock_file = self.home / "clock"

    # --- opening and closing --------------------------------------------------------------------------------------

    def __enter__(self) -> House:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything, whatever state it is in. May be called twice."""
        services: list[Service] = [*self.programs.values(), *self._helpers, *self.servers.values()]
        for service in services:
            service.kill()
        if self._store is not None:
            self._store.close()

    def _open(self) -> None:
        for server in self.servers.values():
            server.launch()
        self._wait_for(list(self.servers.values()), lambda server: None if server.answers() else "does not answer")
        server_ports = {name: _port_of(server) for name, server in self.servers.items()}
        proxy_ports = dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True))
        provider_ports = dict(zip(self.plan.providers, free_ports(len(self.plan.providers)), strict=True))
        [self.api_port] = free_ports(1)
        self.api_key = secrets.token_urlsafe(24)
        links = [f"--link={name}={proxy_ports[name]}:{server_ports[name]}" for name in SERVERS]
        self.proxy = self._helper("proxy", links)
        providers = [f"--provider={name}={port}" for name, port in provider_ports.items()]
        self.recorder = self._helper("recorder", [*providers, f"--seed={self.plan.seed}"])
        self.load = self._helper("load", [f"--api-port={self.api_port}", f"--seed={self.plan.seed}"])
        self._wait_for(self._helpers, lambda helper: None if helper.answers() else "does not answer")
        for name in self.plan.providers:
            self.behave(name, HEALTHY)
        self._write_providers_file(provider_ports)
        self._start_programs(proxy_ports)

    def _helper(
        self, module: str, arguments: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> HelperProcess:
        environment = {**self._base, "WAVECOM_API_KEY": self.api_key, **(variables or {})}
        helper = HelperProcess(module, arguments, log=self._logs / f"{module}.log", environment=environment)
        self._helpers.append(helper)
        helper.launch()
        return helper

    def _write_providers_file(self, ports: Mapping[str, int]) -> None:
        lines = []
        for name, port in ports.items():
            lines += [
                f"[providers.{name}]",
                'type = "http"',
                f'url = "http://{LOOPBACK}:{port}/send"',
                f"timeout_seconds = {PROVIDER_TIMEOUT_SECONDS}",
                f"rate_per_second = {PROVIDER_RATE}",
                # Every repetition must reach the recorder: it is there to see them.
                "is_idempotent = true",
            ]
        names = ", ".join(f'"{name}"' for name in ports)
        lines += ["[routes]", *(f"{channel} = [{names}]" for channel in ("email", "sms", "push"))]
        (self.home / "providers.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _start_programs(self, proxy_ports: Mapping[str, int]) -> None:
        environment = {
            **self._base,
            "WAVECOM_HOME": str(self.home),
            "WAVECOM_HOST": LOOPBACK,
            "WAVECOM_PORT": str(self.api_port),
            "WAVECOM_API_KEY": self.api_key,
            "WAVECOM_SECRET_KEY": secrets.token_urlsafe(24),
            "WAVECOM_PROVIDERS": str(self.home / "providers.toml"),
            "WAVECOM_WORKERS": str(self.plan.workers),
            "WAVECOM_WORKER_CONCURRENCY": str(CONCURRENCY),
            "WAVECOM_RETRY_BASE_SECONDS": "1",
            "WAVECOM_RETRY_CAP_SECONDS": "8",
            "AMQP_URL": _at_port(self.rabbitmq.url, proxy_ports[RABBITMQ]),
            "REDIS_URL": _at_port(self.redis.url, proxy_ports[REDIS]),
            "MONGODB_URI": _at_port(self.mongodb.url, proxy_ports[MONGODB]),
        }
        self._environment = environment
        self._settings = Settings.from_environment(environment)
        for program in PROGRAMS:
            if program.name == "flower":
                continue
            copies = self.plan.workers if program.name == "worker" else 1
            for number in range(1, copies + 1):
                title = f"worker{number}" if program.name == "worker" else program.name
                own = environment | (self._fake_clock() if title == self.plan.fake_clock_of else {})
                service = ProgramService(program, title=title, log=self._logs / f"{title}.log", environment=own)
                self.programs[title] = service
                self._supervisor.start(service)
        self._wait_for(list(self.programs.values()), lambda program: check_of(program, self._settings)())

    def _fake_clock(self) -> dict[str, str]:
        if self.plan.faketime_library is None:
            raise HouseError("no libfaketime to move a clock with")
        self._clock_file.write_text("+0s\n", encoding="ascii")
        return {
            "LD_PRELOAD": str(self.plan.faketime_library),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
            "FAKETIME_CACHE_DURATION": "1",
            # A clock that is set moves the wall clock; the monotonic one never jumps.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_CLOCK_FOLDER), self._base.get("PYTHONPATH")])),
        }

    def _wait_for(self, services: Sequence[Any], reason: Callable[[Any], str | None]) -> None:
        deadline = time.monotonic() + START_SECONDS
        for service in services:
            while (why := reason(service)) is not None:
                if not service.is_running or time.monotonic() > deadline:
                    raise HouseError(f"{service.title} did not start ({why}); see {service.log}")
                time.sleep(_POLL_SECONDS)

    # --- time -----------------------------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Let ``seconds`` (times the plan's pace) go by, restarting what has died meanwhile."""
        self._watch_until(lambda: False, seconds * self.plan.pace)

    def wait_until(self, is_so: Callable[[], bool], seconds: float, poll_seconds: float = 0.5) -> bool:
        """Whether ``is_so`` came true within ``seconds``; restarts what has died meanwhile."""
        asked_at = 0.0
        answer = False

        def ask() -> bool:
            nonlocal asked_at, answer
            if time.monotonic() - asked_at >= poll_seconds:
                answer = is_so()
                asked_at = time.monotonic()
            return answer

        return self._watch_until(ask, seconds)

    def _watch_until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            self._supervisor.watch()
            if time.monotonic() - self._observed_at > _OBSERVE_SECONDS:
                self._observed_at = time.monotonic()
                self._observe()
            if is_so():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(_POLL_SECONDS, left))

    # --- faults ---------------------------------------------------------------------------------------------------

    def mark(self, text: str) -> None:
        """Note that something was done now."""
        self.notes.marks.append(Mark(time.time(), text))
        self._say(text)

    @contextlib.contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Something is broken as long as this lasts."""
        trouble = Trouble(what, time.time())
        self.notes.troubles.append(trouble)
        self.mark(what)
        try:
            yield
        finally:
            trouble.until = time.time()
            self.mark(f"{what}: over")

    def kill_program(self, title: str) -> None:
        """``kill -9``; the supervisor starts it again."""
        self._kill(title, self.programs[title].pid)

    def kill_web_child(self) -> None:
        """``kill -9`` of the process that serves requests, under the one that would start it again."""
        children = [pid for pid in _children_of(self.programs["web"].pid) if _is_python(pid)]
        if children:
            self._kill("web (child)", children[0])

    def _kill(self, title: str, pid: int) -> None:
        self.notes.kills.append(Kill(title, pid, time.time()))
        self.notes.troubles.append(Trouble(f"kill -9 {title}", time.time(), time.time()))
        self.mark(f"kill -9 {title}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def without(self, name: str, *, gently: bool = False) -> Iterator[None]:
        """A server is killed, or stopped, and after the block started again on the same data."""
        server = self.servers[name]
        with self.trouble(f"{server.title} {'stopped' if gently else 'killed with kill -9'}"):
            if gently:
                server.terminate()
                self.wait_until(lambda: not server.is_running, server.stop_seconds + 10, 0.1)
            server.kill()
            yield
            server.launch()
            if not self.wait_until(server.answers, server.start_seconds, 0.1):
                raise HouseError(f"{server.title} did not start again; see {server.log}")

    @contextlib.contextmanager
    def besieged(self, silent: int, stalled: int, trickled: int) -> Iterator[None]:
        """Within it hostile clients of two identities that have keys, one of them for tests too, and strangers, do
        their worst: ``silent`` connections, and for each identity so many bodies that stall and that trickle."""
        keys = [self.new_key(*options) for options in (("--client", "acme"), ("--client", "acme", "--test"))]
        keys.append(self.new_key("--client", "other"))
        hostile = self._helper("hostile", [f"--api-port={self.api_port}"], {"HOSTILE_KEYS": ",".join(keys)})
        self._wait_for([hostile], lambda helper: None if helper.answers() else "does not answer")
        with self.trouble(f"{silent:,} silent connections, stalled and trickled bodies, HTTP/2"):
            hostile.ask("attack", silent=silent, stalled=stalled, trickled=trickled)
            try:
                yield
            finally:
                counts = hostile.ask("retreat", timeout_seconds=60)
                self.mark(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
        hostile.kill()

    def new_key(self, *options: str) -> str:
        """A key of another client than the one that submits; ``options`` are those of ``wavecom keys create``."""
        command = [
            sys.executable,
            "-m",
            "wavecom.cli",
            "keys",
            "create",
            "--name",
            "hostile",
            "--scopes",
            "send,read",
            *options,
        ]
        made = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if made.returncode:
            raise HouseError(f"wavecom keys create: {made.stderr.strip()}")
        return made.stdout.strip()

    @contextlib.contextmanager
    def link(self, name: str, verb: str) -> Iterator[None]:
        """The network to a server is ``freeze``d or ``refuse``d as long as this lasts."""
        words = {"freeze": "frozen", "refuse": "refused"}
        with self.trouble(f"connections to {self.servers[name].title} {words[verb]}"):
            self.proxy.ask(verb, server=name)
            try:
                yield
            finally:
                self.proxy.ask("heal", server=name)

    def cut(self, name: str) -> None:
        """Reset all connections to a server at this moment."""
        with self.trouble(f"connections to {self.servers[name].title} cut"):
            self.proxy.ask("cut", server=name)

    def flush_redis(self) -> None:
        """Delete all that Redis holds."""
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()

    def behave(self, provider: str, behaviour: Behaviour) -> None:
        """A provider's manners from now on."""
        faults = [
            {
                "kind": fault.kind.value,
                "share": fault.share,
                "status": fault.status,
                "retry_after_seconds": fault.retry_after_seconds,
            }
            for fault in behaviour.faults
        ]
        self.recorder.ask(
            "behave", provider=provider, behaviour={"latency_seconds": behaviour.latency_seconds, "faults": faults}
        )

    @contextlib.contextmanager
    def ailing(self, provider: str, what: str, behaviour: Behaviour | None) -> Iterator[None]:
        """A provider behaves badly, or with None refuses connections, as long as this lasts."""
        with self.trouble(f"provider {provider} {what}"):
            if behaviour is None:
                self.recorder.ask("refuse", provider=provider)
            else:
                self.behave(provider, behaviour)
            try:
                yield
            finally:
                self.behave(provider, HEALTHY)
                self.recorder.ask("listen", provider=provider)

    @contextlib.contextmanager
    def clock_moved(self, seconds: int) -> Iterator[None]:
        """The wall clock of the plan's ``fake_clock_of`` is off by ``seconds`` as long as this lasts."""
        with self.trouble(f"clock of {self.plan.fake_clock_of} moved by {seconds:+d} s"):
            self._clock_file.write_text(f"{seconds:+d}s\n", encoding="ascii")
            try:
                yield
            finally:
                self._clock_file.write_text("+0s\n", encoding="ascii")

    # --- looking on -----------------------------------------------------------------------------------------------

    @property
    def jobs(self) -> Collection[dict[str, Any]]:
        """The jobs, read past the proxy and past WaveCom's code."""
        if self._store is None:
            # The reading side's own: aware times, short waits.
            self._store = MongoClient(
                self.mongodb.url, tz_aware=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=60_000
            )
        return self._store.get_default_database()["jobs"]

    @property
    def delivery_workers(self) -> dict[str, str]:
        """Title -> the name under which it claims jobs, of the delivery workers that run now."""
        host = socket.gethostname()
        return {
            title: f"{host}:{program.pid}"
            for title, program in self.programs.items()
            if title.startswith("worker") and program.is_running
        }

    def settled_workers(self) -> list[str]:
        """Titles of the delivery workers that have been at work for a while."""
        now = time.monotonic()
        return sorted(
            title for title in self.delivery_workers if now - self.programs[title].started_at > SETTLED_SECONDS
        )

    def claimants_since(self, moment: float) -> set[str]:
        """The names of those workers who claimed a job that was accepted after ``moment``."""
        since = datetime.fromtimestamp(moment, UTC)
        found = self.jobs.find({"createdAt": {"$gte": since}}, {"_id": 0, "claim.worker": 1})
        return {job["claim"]["worker"] for job in found if "claim" in job}

    def _observe(self) -> None:
        for service in (*self.programs.values(), *self.servers.values()):
            if service.is_running:
                used = sum(_memory_mib(pid) for pid in (service.pid, *_children_of(service.pid)))
                self.notes.memory[service.title] = max(self.notes.memory.get(service.title, 0), used)
        host = socket.gethostname()
        dead = {f"{host}:{kill.pid}": kill.at for kill in self.notes.kills if kill.at > time.time() - 150}
        if not dead or not self.mongodb.is_running:
            return
        with contextlib.suppress(PyMongoError):
            held = self.jobs.find({"status": "processing"}, {"_id": 0, "jobId": 1, "claim.worker": 1})
            now = time.time()
            for job in held:
                killed_at = dead.get(job["claim"]["worker"])
                if killed_at is not None:
                    orphan = self.notes.orphans.setdefault(job["jobId"], Orphan(job["jobId"], killed_at, now))
                    orphan.last_seen_at = now

    def _heard(self, text: str) -> None:
        first_line = text.splitlines()[0].partition(" The end of ")[0]
        if "started again" in first_line:
            self.notes.restarts += 1
        self.mark(first_line)


def _port_of(server: PrivateServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def _at_port(url: str, port: int) -> str:
    """The same address behind another port of this machine."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{LOOPBACK}:{port}").geturl()


def _children_of(pid: int) -> list[int]:
    """All descendants. Linux only."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return [*own, *(grandchild for child in own for grandchild in _children_of(child))]


def _is_python(pid: int) -> bool:
    try:
        return b"python" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _memory_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0)
