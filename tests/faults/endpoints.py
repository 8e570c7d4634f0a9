"""Fifty endpoints of the client that submits: what listens at them, and the callbacks by which they are sent events."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from harness.control import HelperProcess
from harness.environment import Environment
from harness.notifications import CHANNELS
from harness.provider_server import Behaviour, Fault, FaultKind, provider_arguments, set_behaviour
from harness.subject import DeploymentConfig
from tests.faults.callbacks import CallbackEvidence, Endpoint
from tests.faults.plan import DrillError
from wavecom.local.ports import LOOPBACK, free_ports

#: One of each channel is told everything; the others of what did not arrive, or two cores would do nothing else.
TOLD_EVERYTHING = len(CHANNELS)
ENDPOINTS = 50
_BAD_ENDS = frozenset({"failed", "expired", "unconfirmed"})

_HEALTHY = Behaviour(0.02, [Fault(FaultKind.STATUS, 0.01, status=503), Fault(FaultKind.RESET, 0.005)])
_SLOW = Behaviour(0.2)
_SILENT = Behaviour(0, [Fault(FaultKind.SILENCE)])
_REFUSING = Behaviour(0.02, [Fault(FaultKind.STATUS, status=503)])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClientEndpoints:
    """Started before the application, ``subscribe`` once it answers."""

    def __init__(self, environment: Environment, config: DeploymentConfig, seed: int) -> None:
        self._config = config
        self.endpoints = tuple(
            Endpoint(
                f"endpoint-{number}",
                CHANNELS[number % len(CHANNELS)],
                frozenset() if number < TOLD_EVERYTHING else _BAD_ENDS,
            )
            for number in range(ENDPOINTS)
        )
        names = [endpoint.name for endpoint in self.endpoints]
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._down = ""
        self._receiver: HelperProcess = environment.start_helper(
            "receiver", "tests.faults.receiver", [*provider_arguments(self._ports), f"--seed={seed}"]
        )

    def subscribe(self) -> None:
        """Create the callbacks; returns when all that is sent from now on has events. Raises ``DrillError``."""
        for endpoint in self.endpoints:
            wanted: dict[str, Any] = {
                "url": f"http://{LOOPBACK}:{self._ports[endpoint.name]}/events",
                "name": endpoint.name,
                "events": sorted(f"notification.{status}" for status in endpoint.statuses),
                "channels": [endpoint.channel],
            }
            created = self._request("POST", "/api/callbacks", wanted)
            self._behave(endpoint.name, _HEALTHY)
            self._receiver.ask("set_secret", endpoint=endpoint.name, secret=created["secret"])
        recorded_since = datetime.fromisoformat(self._request("GET", "/api/events")["recordedSince"])
        time.sleep(max(0.0, recorded_since.timestamp() - time.time()))

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        """Those that are told everything take their time as long as this lasts: there are always calls under way."""
        for endpoint in self.endpoints[:TOLD_EVERYTHING]:
            self._behave(endpoint.name, _SLOW)
        yield
        for endpoint in self.endpoints[:TOLD_EVERYTHING]:
            self._behave(endpoint.name, _HEALTHY)

    def silence_one(self) -> None:
        """One that is told everything takes connections and bodies from now on, and never answers."""
        self._down = self.endpoints[0].name
        self._behave(self._down, _SILENT)

    def have_it_refuse(self) -> None:
        """That one answers 503 from now on."""
        self._behave(self._down, _REFUSING)

    def heal(self) -> None:
        """All is well again."""
        self._behave(self._down, _HEALTHY)

    def unsettled(self, database: Database[dict[str, Any]]) -> int:
        """How many jobs hold events that are not published yet, and deliveries are to be tried (again).

        Raises ``PyMongoError``.
        """
        unpublished = database["jobs"].count_documents({"eventsDueAt": {"$gt": _EPOCH}})
        callback_ids = [callback["_id"] for callback in database["callbacks"].find({}, {"_id": 1})]
        pending = {"callbackId": {"$in": callback_ids}, "dueAt": {"$gt": _EPOCH}}
        return unpublished + database["callback_deliveries"].count_documents(pending)

    def evidence(self) -> CallbackEvidence:
        """What the endpoints know until now."""
        calls = self._receiver.ask("fetch", timeout_seconds=60)
        return CallbackEvidence(endpoints=self.endpoints, calls=calls, down=self._down)

    def _behave(self, endpoint: str, behaviour: Behaviour) -> None:
        set_behaviour(self._receiver, endpoint, behaviour)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self._config.api_port, timeout=30)
        headers = {"Authorization": f"Bearer {self._config.api_key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise DrillError(f"{method} {path} was answered {response.status}: {answer.decode()}")
        return json.loads(answer)
