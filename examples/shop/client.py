"""WaveCom's API, as much of it as the shop needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import requests

#: A stream says something every 15 seconds, if only that there is nothing: after this it is gone.
STREAM_SECONDS = 40
TIMEOUT_SECONDS = 15


class RefusedError(Exception):
    """What was asked for is wrong, and will be wrong the next time. Its text says why."""


class EventsExpiredError(Exception):
    """The stream no longer has the events behind this position."""


class WaveCom:
    """``url`` is WaveCom's address; ``key`` an API key with the scopes send, read, recipients and manage.

    All methods raise ``requests.RequestException`` where asking again later may help.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def categorize(self, name: str, fields: dict[str, Any]) -> None:
        """Say of a kind of messages what it is, to whom it comes, and when. May be called any number of times."""
        self._ask("PUT", f"/categories/{name}", fields)

    def register(self, recipient_id: str, fields: dict[str, Any]) -> None:
        """Say how a customer is reached, and what he wants. May be repeated; raises ``RefusedError``."""
        self._ask("PUT", f"/recipients/{recipient_id}", fields)

    def send(self, idempotency_key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a notification; its job. May be called any number of times: it is sent once. Raises ``RefusedError``."""
        sent: dict[str, Any] = self._ask("POST", "/notifications", body, {"Idempotency-Key": idempotency_key}).json()
        return sent

    def status(self, job_id: str) -> str | None:
        """How a notification stands; None: WaveCom knows it no more."""
        answer = self._ask("GET", f"/notifications/{job_id}", allowed={404})
        return None if answer.status_code == 404 else str(answer.json()["status"])

    def recorded_since(self) -> str:
        """From when on notifications have events: the first call of this, for a key's client, begins it."""
        return str(self._ask("GET", "/events?limit=1").json()["recordedSince"])

    def newest_position(self) -> str:
        """Where the stream of events stands now."""
        with self._stream(None) as stream:
            for position, _ in server_sent(stream.iter_lines()):
                return position
        raise requests.ConnectionError("the stream ended before it began")

    def events(self, position: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Positions and events behind ``position``, as they happen, until the connection ends, as each does some time.

        A position without an event says that there is nothing up to there. Raises ``EventsExpiredError``.
        """
        with self._stream(position) as stream:
            yield from server_sent(stream.iter_lines())

    def callback(self, url: str, known_id: str | None) -> tuple[str, str | None]:
        """Have events sent to ``url``: the callback's id, and its secret where it is not the one known already.

        Raises ``RefusedError`` where WaveCom may not call this address.
        """
        found = next((each for each in self._ask("GET", "/callbacks").json()["items"] if each["url"] == url), None)
        if found is None:
            # Of what happens to a message, customers care about its end.
            events = [f"notification.{status}" for status in ("delivered", "failed", "expired", "unconfirmed")]
            created = self._ask("POST", "/callbacks", {"url": url, "name": "examples/shop", "events": events}).json()
            return created["callbackId"], created["secret"]
        address = f"/callbacks/{found['callbackId']}"
        if found["state"] == "disabled":
            self._ask("PATCH", address, {"state": "active"})
        if found["callbackId"] == known_id:
            return found["callbackId"], None
        # It was made for a database of orders that is gone, and the secret with it.
        rotated = self._ask("POST", f"{address}/rotate", {"overlapSeconds": 0}).json()
        return rotated["callbackId"], rotated["secret"]

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        allowed: Collection[int] = (),
        **options: Any,
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        options = {"timeout": TIMEOUT_SECONDS} | options
        answer = requests.request(method, f"{self._url}/api{path}", json=body, headers=headers, **options)  # noqa: S113
        if answer.status_code in {400, 413, 422}:
            told = answer.json()
            fields = [f"{each.get('pointer', '')} {each['message']}" for each in told.get("errors", [])]
            raise RefusedError("; ".join(fields) or told["detail"])
        if answer.status_code == 410:
            raise EventsExpiredError
        if answer.status_code not in allowed:
            # Also for a wrong key: the messages are right, and go out once the key is.
            answer.raise_for_status()
        return answer

    def _stream(self, position: str | None) -> requests.Response:
        headers = {} if position is None else {"Last-Event-ID": position}
        return self._ask(
            "GET", "/events/stream", headers=headers, stream=True, timeout=(TIMEOUT_SECONDS, STREAM_SECONDS)
        )


def server_sent(lines: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The ids in a stream of server-sent events, each with its event or None. One that is cut off is none."""
    position, data = "", b""
    for line in lines:
        if line.startswith(b"id: "):
            position = line[4:].decode()
        elif line.startswith(b"data: "):
            data += line[6:]
        elif not line:
            if position:
                yield position, json.loads(data) if data else None
            data = b""
