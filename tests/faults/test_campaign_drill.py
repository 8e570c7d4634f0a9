"""The client of a drill's campaign, and the kills, against an API that is away until somebody starts it again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import requests
from requests.adapters import BaseAdapter

from tests.faults.campaigns import kill_web_while_rows_come, rows_of_file

_FILE = b"".join(rows_of_file())
#: Bytes that are stored at once.
_CHUNK = 14_000


#: It takes no more before it was killed so often, once after each of the first chunks.
_KILLS = 3


class Api(BaseAdapter):
    """Keeps the bytes of one campaign; one that is killed breaks off what it does, and is away."""

    def __init__(self) -> None:
        super().__init__()
        self.kills = 0
        self.is_up = True
        self.stored: dict[str, Any] | None = None
        self.data = b""

    def session(self) -> requests.Session:
        """What the client asks with."""
        session = requests.Session()
        session.mount("http://", self)
        return session

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self.kills, self.is_up = self.kills + 1, False

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:  # type: ignore[override]
        """Answer as WaveCom does."""
        life = self.kills
        self._live(life)
        path = str(request.url)
        if request.method == "PATCH":
            self._take(request, life)
        elif path.endswith("/start"):
            self._stored()["status"] = "finished"
        elif request.method == "POST":
            self.stored = {"status": "uploading", "upload": {"offset": 0, "isComplete": False}}
        upload = self._stored()["upload"]
        told = {"campaignId": "c", "offset": upload["offset"], "complete": upload["isComplete"]}
        response = requests.Response()
        response.status_code = 200
        response.raw = BytesIO(json.dumps(told).encode())
        return response

    def close(self) -> None:
        """Nothing is held."""

    def _take(self, request: requests.PreparedRequest, life: int) -> None:
        upload = self._stored()["upload"]
        assert int(request.headers["Upload-Offset"]) == upload["offset"]
        come = b""
        for part in request.body:  # type: ignore[union-attr]
            self._live(life)
            come += part  # type: ignore[operator]
            while len(come) >= _CHUNK:
                self._store(come[:_CHUNK])
                come = come[_CHUNK:]
                while life == self.kills < _KILLS:
                    time.sleep(0.001)
        self._store(come)
        upload["isComplete"] = True

    def _store(self, data: bytes) -> None:
        self.data += data
        self._stored()["upload"]["offset"] += len(data)

    def _stored(self) -> dict[str, Any]:
        assert self.stored is not None
        return self.stored

    def _live(self, life: int) -> None:
        if not self.is_up or life != self.kills:
            raise requests.ConnectionError


class Deployment:
    """What the drill does it to: what was killed is started again by who waits, as the real one has it."""

    def __init__(self, api: Api) -> None:
        self.kills: list[int] = []
        self.config = SimpleNamespace(url="http://api", api_key="key")
        self.plan = SimpleNamespace(seed=1, pace=0.02)
        self.notes = SimpleNamespace(broken=[])
        found = SimpleNamespace(find_one=lambda: api.stored)
        self.jobs = SimpleNamespace(database={"campaigns": found})
        self._api = api

    def kill_program(self, _title: str) -> None:
        """See ``tests.faults.deployment``; so the others."""
        self.kills.append(len(self._api.data))
        self._api.kill()

    def kill_web_child(self) -> None:
        self.kill_program("web")

    def mark(self, _text: str) -> None:
        pass

    def pause(self, seconds: float) -> None:
        self.wait_until(lambda: False, seconds * self.plan.pace)

    def wait_until(self, is_so: Callable[[], bool], seconds: float, _poll: float = 0.5) -> bool:
        ends_at = time.monotonic() + min(seconds, 10)
        while not is_so():
            if time.monotonic() > ends_at:
                return False
            time.sleep(0.002)
            self._api.is_up = True
        return True


def test_an_upload_goes_on_while_the_web_process_is_killed_and_started_again() -> None:
    api = Api()
    deployment = Deployment(api)

    kill_web_while_rows_come(deployment, api.session)  # type: ignore[arg-type]

    assert deployment.notes.broken == []
    assert deployment.kills == [_CHUNK, 2 * _CHUNK, 3 * _CHUNK]
    assert api.data == _FILE
    assert api.stored is not None
    assert api.stored["status"] == "finished"
