"""One worker's deliveries from the permit on: router, pipeline, core, provider and a real gateway; no broker.

Jobs are kept in memory. What stands before the permit is the consumer step, which needs a broker.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.factories import NOW, make_job
from tests.fakes import CountingStats, FakeClock, RecordingPublisher, make_writer
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository, MemoryOutbox
from wavecom import delivery_metrics
from wavecom.batching import GroupCommit
from wavecom.core.delivery import Delivery
from wavecom.core.engine import Policy
from wavecom.core.job import Job
from wavecom.core.pauses import DestinationPauses, ProviderPauses
from wavecom.core.ports import TEST_SANDBOX, Permit
from wavecom.core.states import Status
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers, build_sandbox
from wavecom.providers.file import parse_providers
from wavecom.providers.transport import make_transport
from wavecom.routing.gate import GateSettings
from wavecom.routing.local_gate import LocalGate
from wavecom.routing.redis_gate import RedisGate
from wavecom.routing.router import Router
from wavecom.services.routing import gate_settings_of
from wavecom.worker.pipeline import DeliveryPipeline, Disposition, InFlightMessage

#: Makes the gate of a worker with these providers.
MakeGate = Callable[[Mapping[str, GateSettings]], LocalGate | RedisGate]

PATIENCE_SECONDS = 60
PROVIDERS = """
[providers.gateway]
type = "http"
url = "{url}"

[routes]
sms = ["gateway"]
email = ["gateway"]
push = ["gateway"]
"""


class _Gateway(BaseHTTPRequestHandler):
    """Takes every message."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"id": "m-1"}'
        self.send_response(202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class DeliveryEnvironment:
    """``make_gate`` decides whether breakers and limits are this process's own or shared through Redis."""

    def __init__(self, make_gate: MakeGate, *, threads: int = 8) -> None:
        self._closing = ExitStack()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Gateway)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._closing.callback(server.server_close)
        self._closing.callback(server.shutdown)
        config = parse_providers(PROVIDERS.format(url=f"http://127.0.0.1:{server.server_port}/"), {})
        clock = FakeClock(NOW)
        transport = make_transport()
        self._closing.callback(transport.close)
        dependencies = ProviderDependencies(transport=transport, outbox=MemoryOutbox(), clock=clock)
        gate = make_gate({name: gate_settings_of(provider) for name, provider in config.providers.items()})
        self._closing.callback(gate.close)
        stopping = threading.Event()
        self.router = Router(
            config.routes,
            gate,
            threads=threads,
            stopping=stopping,
            monotonic=clock.monotonic,
            draw=lambda: 0.5,
        )
        self.jobs = MemoryJobRepository()
        self.delivery = Delivery(
            jobs=self.jobs,
            writer=make_writer(
                self.jobs,
                clock,
                publisher=RecordingPublisher(),
                stats=CountingStats(),
                observers=[delivery_metrics.TransitionMetrics()],
            ),
            blobs=MemoryBlobStore(),
            route=self.router,
            providers=build_providers(config, dependencies),
            sandbox=build_sandbox(TEST_SANDBOX, dependencies),
            clock=clock,
            batcher=GroupCommit,
            policy=Policy(),
            worker="worker-1",
            stopping=stopping,
            jitter=lambda: 0.5,
            new_token=lambda: uuid.uuid4().hex,
            retry_bounds={},
            on_called=delivery_metrics.observe_calls,
            preflights=[ProviderPauses(self.router), DestinationPauses(self.router)],
        )
        self._ended = threading.Semaphore(0)
        self._pipeline = DeliveryPipeline(
            self.delivery,
            self.delivery.attempts,
            threads=threads,
            release=lambda permit: self.router.release(permit, None),
            retry=lambda message, later: None,
            on_end=self._on_end,
            on_freed=lambda: None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipeline.drain(PATIENCE_SECONDS)
        self._closing.close()

    def deliver(self, **overrides: Any) -> Job:
        """Accept a job, bring it through the pipeline, and answer it as it stands in the store then."""
        job = make_job(**overrides)
        assert self.jobs.insert([job]) == [None]
        permit = self.router.reserve(job.lane)
        assert isinstance(permit, Permit)
        assert self._pipeline.offer(InFlightMessage(job.job_id, job.lane.queue, permit, None, 1))
        assert self._ended.acquire(timeout=PATIENCE_SECONDS)
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        assert stored.status is Status.DELIVERED
        return stored

    def _on_end(self, ended: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        assert all(end is Disposition.ACK for _, end in ended)
        for _ in ended:
            self._ended.release()
