"""Whatever is called with whatever, well or badly: no key, no recipient and no content is in any process's log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.web_process import WebProcess, workers

KEY = "wc_live_Kq7vT2mXr9LbZ4nWc8HsYp0JdGaEuT1fQ5oRiKxMzVB"
WRONG_KEY = "wc_live_Wx5hB8kQz3NcV6tRf1LsJp0YdMaGuX7eC9oTiKvZbEw"
#: Everything that must be found in no log.
SECRETS = {
    "key": KEY,
    "wrong key": WRONG_KEY,
    "e-mail address": "zebrafinch@secret.example",
    "phone number": "7700900777",
    "token": "zztokenzz",
    "content": "quokka",
    "name": "Wombatson",
    "idempotency key": "platypus",
}
NOTIFICATIONS: list[dict[str, Any]] = [
    {
        "type": "email",
        "to": {"email": SECRETS["e-mail address"], "name": SECRETS["name"]},
        "payload": {"subject": "quokka", "html": "<p>quokka", "headers": {"X-Quokka": "quokka"}},
        "metadata": {"quokka": "quokka"},
    },
    {"type": "sms", "to": {"phone": "+44" + SECRETS["phone number"]}, "payload": {"text": "quokka"}},
    {
        "type": "push",
        "to": {"platform": "fcm", "token": SECRETS["token"]},
        "payload": {"title": "quokka", "data": {"quokka": "quokka"}},
    },
]
#: The sandbox fails for these: errors are logged where successes are not.
TROUBLED = [
    {
        "type": "email",
        "to": {"email": f"{kind}+zebrafinch@sandbox.wavecom.test"},
        "payload": NOTIFICATIONS[0]["payload"],
    }
    for kind in ("rejected", "timeout", "unavailable")
]


@pytest.fixture
def servers(amqp_url: str, redis_url: str, mongodb_uri: str) -> dict[str, str]:
    return {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}


@pytest.fixture
def web(tmp_path: Path, servers: dict[str, str]) -> Iterator[WebProcess]:
    with WebProcess(tmp_path, servers, variables={"WAVECOM_LOG_LEVEL": "debug"}, key=KEY) as web:
        yield web


@pytest.fixture
def worker_log(tmp_path: Path, servers: dict[str, str], web: WebProcess) -> Iterator[Path]:
    with workers(tmp_path, servers, {"WAVECOM_LOG_LEVEL": "debug"}) as log:
        yield log


def _drive(web: WebProcess, key: str) -> set[tuple[str, str, int]]:
    """Call every operation of the document, as it should be and in wrong ways; what was answered."""
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": SECRETS["idempotency key"]}
    document = requests.get(f"{web.url}/api/openapi.json", timeout=10).json()
    answered = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # What a template is called is no secret: whoever changes one is in the log with its name.
            filled = path.replace("{template}", "order-shipped").replace("{", "quokka-").replace("}", "")
            query = {"recipient": SECRETS["e-mail address"], "status": "quokka", "quokka": SECRETS["phone number"]}
            calls: list[dict[str, Any]] = [{}]
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                example = content["application/json"]["example"]
                calls = [{"json": body} for body in (example, *NOTIFICATIONS, {"quokka": "quokka"}, ["quokka"])]
            elif "text/csv" in content:
                row = f"email,{SECRETS['e-mail address']},quokka"
                texts = (content["text/csv"]["example"], f"type,recipient,scope\r\n{row}\r\n", row, "quokka")
                calls = [{"data": text, "headers": headers | {"Content-Type": "text/csv"}} for text in texts]
            for call in calls:
                answer = requests.request(
                    method, web.url + filled, **({"params": query, "headers": headers, "timeout": 30} | call)
                )
                answered.add((method, path, answer.status_code))
                assert answer.status_code < 500, answer.text
        requests.post(f"{web.url}{path}", data=b"quokka {", headers=headers, timeout=30)
    return answered


@pytest.mark.timeout(240)
def test_no_secret_is_in_the_log_of_any_process(web: WebProcess, worker_log: Path) -> None:
    ids = []
    for number, body in enumerate([*NOTIFICATIONS, *TROUBLED]):
        answer = requests.post(
            f"{web.url}/api/notifications",
            json=body,
            headers=web.authorization | {"Idempotency-Key": f"{SECRETS['idempotency key']}-{number}"},
            timeout=30,
        )
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["jobId"])
    answered = _drive(web, KEY) | _drive(web, WRONG_KEY)
    requests.get(f"{web.url}/notifications?recipient={SECRETS['e-mail address']}", timeout=30)
    requests.post(f"{web.url}/login", data={"key": WRONG_KEY}, timeout=30)
    deadline = time.monotonic() + 90
    while _status(web, ids[0]) != "delivered" or _status(web, ids[3]) != "failed":
        assert time.monotonic() < deadline, worker_log.read_text()
        time.sleep(0.2)

    logs = web.logged() + worker_log.read_text(encoding="utf-8", errors="replace")

    assert {status for _, _, status in answered} >= {200, 401, 404, 422}
    assert "request_id" in web.logged()
    assert {name for name, secret in SECRETS.items() if secret.lower() in logs.lower()} == set()


def _status(web: WebProcess, job_id: str) -> str:
    answer = requests.get(f"{web.url}/api/notifications/{job_id}", headers=web.authorization, timeout=30)
    status: str = answer.json()["status"]
    return status
