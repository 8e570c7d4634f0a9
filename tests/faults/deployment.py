"""A whole WaveCom of real processes and real servers, with a proxy before each server, a recording provider behind it
and clients in front of it: what the drill does its worst to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError

from harness.control import HelperProcess
from harness.environment import START_SECONDS, Environment
from harness.processes import sample
from harness.provider_server import Behaviour, provider_arguments, set_behaviour
from harness.subject import MONGODB, RABBITMQ, REDIS, DeploymentConfig
from tests.faults.addresses import at_port, port_of
from tests.faults.application import Application
from tests.faults.callbacks import CallbackEvidence
from tests.faults.cluster import DrillCluster
from tests.faults.endpoints import ClientEndpoints
from tests.faults.notes import Kill, Mark, Notes, Orphan, Trouble
from tests.faults.plan import HEALTHY, SERVERS, SETTLED_SECONDS, DrillError, Plan
from tests.faults.processes import descendants_of, is_python
from tests.faults.receipts import ReceiptEvidence
from wavecom.local.ports import free_ports
from wavecom.local.programs import ProgramService
from wavecom.local.rabbitmq import MANAGEMENT, PrivateRabbitMQ
from wavecom.local.supervisor import RETIRE_SECONDS

_POLL_SECONDS = 0.1
_CLOCK_FOLDER = Path(__file__).with_name("clock")
_OBSERVE_SECONDS = 1.0


class Deployment:
    """A context manager. Everything it does happens in the calling thread, which must be the main one."""

    def __init__(self, home: Path, plan: Plan, mongo_program: Path | None, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.notes = Notes()
        self._say = say
        self._environment = Environment(
            home, mongo_program=mongo_program, plugins=MANAGEMENT, has_broker=not plan.has_cluster
        )
        self._environment.logs.mkdir(parents=True, exist_ok=True)
        self.servers = self._environment.servers
        self._cluster: DrillCluster | None = None
        self._endpoints: ClientEndpoints | None = None
        self._application: Application | None = None
        self._store: MongoClient[dict[str, Any]] | None = None
        self._observed_at = 0.0
        self._clock_file = self._environment.home / "clock"

    @property
    def rabbitmq(self) -> PrivateRabbitMQ:
        """The broker itself, past the proxy; of a cluster a node that runs."""
        if self._cluster is not None:
            return self._cluster.running()
        server = self.servers[RABBITMQ]
        assert isinstance(server, PrivateRabbitMQ)
        return server

    @property
    def cluster(self) -> DrillCluster:
        """The nodes of the broker. Raises ``DrillError`` if the plan has no cluster."""
        if self._cluster is None:
            raise DrillError("RabbitMQ is a single node here")
        return self._cluster

    @property
    def endpoints(self) -> ClientEndpoints:
        """The endpoints of the client that submits. Raises ``DrillError`` if the plan has none."""
        if self._endpoints is None:
            raise DrillError("nobody is sent events here")
        return self._endpoints

    @property
    def programs(self) -> Mapping[str, ProgramService]:
        """WaveCom's processes, by title."""
        return self._running.by_title

    @property
    def _running(self) -> Application:
        assert self._application is not None, "nothing has been started"
        return self._application

    # --- opening and closing --------------------------------------------------------------------------------------

    def __enter__(self) -> Deployment:
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
        if self._application is not None:
            self._application.kill()
        self._environment.close()
        if self._store is not None:
            self._store.close()

    def _open(self) -> None:
        environment = self._environment
        environment.start_servers()
        proxied = [name for name in SERVERS if name in self.servers]
        proxy_ports = dict(zip(proxied, free_ports(len(proxied)), strict=True))
        if self.plan.has_cluster:
            self._cluster = DrillCluster(environment)
            self._cluster.start()
        self.config = DeploymentConfig.create(
            environment.home,
            environment.logs,
            self.plan.shape,
            environment.variables,
            amqp_url=self._cluster.url if self._cluster else at_port(self.rabbitmq.url, proxy_ports[RABBITMQ]),
            redis_url=at_port(self.servers[REDIS].url, proxy_ports[REDIS]),
            mongodb_uri=at_port(self.servers[MONGODB].url, proxy_ports[MONGODB]),
        )
        links = [f"--link={name}={proxy_ports[name]}:{port_of(self.servers[name])}" for name in proxied]
        self.proxy = self._helper("proxy", links)
        providers = provider_arguments(self.config.provider_ports)
        self.recorder = self._helper("recorder", [*providers, f"--seed={self.plan.seed}"])
        self.load = self._helper("load", [f"--url={self.config.url}", f"--seed={self.plan.seed}"])
        if self.plan.has_callbacks:
            self._endpoints = ClientEndpoints(environment, self.config, self.plan.seed)
        environment.wait_for_helpers()
        for name in self.plan.providers:
            self.behave(name, HEALTHY)
            if self.plan.has_receipts:
                self.recorder.ask("report_to", provider=name, url=f"{self.config.url}/receipts/{name}")
        self._start_application()
        if self._endpoints is not None:
            self._endpoints.subscribe()

    def _helper(self, module: str, arguments: Sequence[str], **variables: str) -> HelperProcess:
        return self._environment.start_helper(
            module, f"tests.faults.{module}", arguments, WAVECOM_API_KEY=self.config.api_key, **variables
        )

    def _start_application(self) -> None:
        extra_of = {title: self._fake_clock() for title in (self.plan.fake_clock_of,) if title is not None}
        self._application = Application(
            self.plan, self._environment, self.config, extra_of=extra_of, on_supervised=self._on_supervised
        )
        self._application.start()

    def _fake_clock(self) -> dict[str, str]:
        if self.plan.faketime_library is None:
            raise DrillError("no libfaketime to move a clock with")
        self._clock_file.write_text("+0s\n", encoding="ascii")
        return {
            "LD_PRELOAD": str(self.plan.faketime_library),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock_file),
            "FAKETIME_CACHE_DURATION": "1",
            # A clock that is set moves the wall clock; the monotonic one never jumps.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_CLOCK_FOLDER), os.environ.get("PYTHONPATH")])),
        }

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
            if self._application is not None:
                self._application.watch()
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

    def to_the_other_release(self, title: str) -> None:
        """End a process gently and start the same one of the other release; returns when it is ready.

        Which is the plan's ``other_release``, or the one that is checked out if the plan started with the other.
        """
        with self.trouble(f"{title} of another release"):
            has_ended = self._running.retire(title)
            if not self.wait_until(has_ended, RETIRE_SECONDS + 10, 0.1):
                raise DrillError(f"{title} did not end; see {self.programs[title].log}")
            check = self._running.start_of_another_release(title)
            if not self.wait_until(lambda: check() is None, START_SECONDS, 0.1):
                raise DrillError(f"{title} of the other release did not start; see {self.programs[title].log}")

    @contextlib.contextmanager
    def without_workers(self) -> Iterator[None]:
        """All delivery workers are stopped gently, and started again after the block."""
        titles = [title for title in self.programs if title.startswith("worker")]
        with self.trouble(f"{' and '.join(titles)} stopped"):
            for title, has_ended in [(title, self._running.retire(title)) for title in titles]:
                if not self.wait_until(has_ended, RETIRE_SECONDS + 10, 0.1):
                    raise DrillError(f"{title} did not end; see {self.programs[title].log}")
            yield
            for title, check in [(title, self._running.start_again(title)) for title in titles]:
                if not self.wait_until(lambda ready=check: ready() is None, START_SECONDS, 0.1):  # type: ignore[misc]
                    raise DrillError(f"{title} did not start again; see {self.programs[title].log}")

    def kill_web_child(self) -> None:
        """``kill -9`` of the process that serves requests, under the one that would start it again."""
        children = [pid for pid in descendants_of(self.programs["web"].pid) if is_python(pid)]
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
                raise DrillError(f"{server.title} did not start again; see {server.log}")

    @contextlib.contextmanager
    def under_attack(self, silent: int, stalled: int, trickled: int) -> Iterator[None]:
        """Within it hostile clients of two identities that have keys, one of them for tests too, and strangers, do
        their worst: ``silent`` connections, and for each identity so many bodies that stall and that trickle."""
        keys = [self.new_key(*options) for options in (("--client", "acme"), ("--client", "acme", "--test"))]
        keys.append(self.new_key("--client", "other"))
        hostile = self._helper("hostile", [f"--api-port={self.config.api_port}"], HOSTILE_KEYS=",".join(keys))
        self._environment.wait_for_helpers()
        with self.trouble(f"{silent:,} silent connections, stalled and trickled bodies, HTTP/2"):
            hostile.ask("attack", silent=silent, stalled=stalled, trickled=trickled)
            try:
                yield
            finally:
                counts = hostile.ask("retreat", timeout_seconds=60)
                self.mark(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
        hostile.kill()
        del self._environment.helpers["hostile"]

    def new_key(self, *options: str) -> str:
        """A key of another client than the one that submits; ``options`` are those of ``wavecom keys create``."""
        return self.wavecom("keys", "create", "--name", "hostile", "--scopes", "send,read", *options).strip()

    def wavecom(self, *arguments: str, may_fail: bool = False) -> str:
        """What the command ``wavecom`` prints, run where WaveCom's processes run."""
        command = [sys.executable, "-m", "wavecom.cli", *arguments]
        done = subprocess.run(command, env=self._running.variables, capture_output=True, text=True, check=False)
        if done.returncode and not may_fail:
            raise DrillError(f"wavecom {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    @contextlib.contextmanager
    def link(self, name: str, command: str) -> Iterator[None]:
        """The network to a server is ``freeze``d or ``refuse``d as long as this lasts."""
        words = {"freeze": "frozen", "refuse": "refused"}
        with self.trouble(f"connections to {self.servers[name].title} {words[command]}"):
            self.proxy.ask(command, server=name)
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
        with redis.Redis.from_url(self.servers[REDIS].url) as client:
            client.flushall()

    def behave(self, provider: str, behaviour: Behaviour) -> None:
        """How a provider answers from now on."""
        set_behaviour(self.recorder, provider, behaviour)

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
        return self._database["jobs"]

    def receipts(self) -> ReceiptEvidence:
        """What the providers, and the store, know of receipts until now. Raises ``PyMongoError``."""
        confirmed = [
            tuple(each) for name in self.plan.providers for each in self.recorder.ask("confirmed", provider=name)
        ]
        due = sum(self.recorder.ask("receipts", provider=name)["due"] for name in self.plan.providers)
        kept = self._database["receipts"].find({"nextTryAt": {"$exists": True}})
        return ReceiptEvidence(due=due, confirmed=confirmed, pending=[receipt["eventId"] for receipt in kept])

    def unsettled_callbacks(self) -> int:
        """Events that are on their way to endpoints. Raises ``PyMongoError``."""
        return 0 if self._endpoints is None else self._endpoints.unsettled(self._database)

    def callbacks(self) -> CallbackEvidence:
        """What endpoints were sent until now."""
        return CallbackEvidence() if self._endpoints is None else self._endpoints.evidence()

    @property
    def _database(self) -> Database[dict[str, Any]]:
        if self._store is None:
            # The reading side's own: aware times, short waits.
            self._store = MongoClient(
                self.servers[MONGODB].url, tz_aware=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=60_000
            )
        return self._store.get_default_database()

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
        services = (*self.programs.values(), *self.servers.values())
        roots = {service.title: [service.pid] for service in services if service.is_running}
        for title, usage in sample(roots).groups.items():
            self.notes.memory[title] = max(self.notes.memory.get(title, 0), usage.memory_mib)
        host = socket.gethostname()
        dead = {f"{host}:{kill.pid}": kill.at for kill in self.notes.kills if kill.at > time.time() - 150}
        if not dead or not self.servers[MONGODB].is_running:
            return
        with contextlib.suppress(PyMongoError):
            held = self.jobs.find({"status": "processing"}, {"_id": 0, "jobId": 1, "claim.worker": 1})
            now = time.time()
            for job in held:
                killed_at = dead.get(job["claim"]["worker"])
                if killed_at is not None:
                    orphan = self.notes.orphans.setdefault(job["jobId"], Orphan(job["jobId"], killed_at, now))
                    orphan.last_seen_at = now

    def _on_supervised(self, text: str) -> None:
        first_line = text.splitlines()[0].partition(" The end of ")[0]
        if "started again" in first_line:
            self.notes.restarts += 1
        self.mark(first_line)
