"""``/receipts/<provider>``: who is let in, what a 2xx promises, and what no request can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from tests.factories import make_job, make_job_id, make_receipt
from tests.gateway_receipts import events_body, receipts_table, signed
from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import NOW, WebEnvironment, make_environment
from wavecom.core.engine import Transition
from wavecom.core.job import Job
from wavecom.core.receipts import ReceiptBatch, ReceiptRequest, UnreadableReceiptError
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.providers.file import parse_providers
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.http import HttpReceipts
from wavecom.settings import Settings
from wavecom.web.receipts import BODY_LIMIT_BYTES
from wavecom.web.security import LINES_EACH

TABLE = '[routes]\nsms = ["gateway"]\n[providers.gateway]\ntype = "http"\nurl = "https://gateway.example/"\n'


def reader() -> HttpReceipts:
    config = parse_providers(TABLE + receipts_table("gateway"), {}).providers["gateway"]

    def fetch(url: str, *, ca_file: str | None = None) -> bytes:
        raise OSError("no network in these tests")

    return HttpReceipts(config, ReceiptDependencies(fetch=fetch))


class Scripted:
    """A reader that lets everything in and does what it is told to."""

    methods = frozenset({"GET", "POST"})
    verifies_alone = True

    def __init__(
        self,
        batch: ReceiptBatch | Exception = ReceiptBatch(),  # noqa: B008 - immutable
        verification: Exception | None = None,
    ) -> None:
        self.batch = batch
        self.verification = verification
        self.requests: list[ReceiptRequest] = []

    def verify(self, request: ReceiptRequest) -> None:
        self.requests.append(request)
        if self.verification is not None:
            raise self.verification

    def read(self, _request: ReceiptRequest) -> ReceiptBatch:
        if isinstance(self.batch, Exception):
            raise self.batch
        return self.batch


class AwayStore(MemoryJobRepository):
    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        raise StoreError("away")


def with_reader(reader: Any, settings: Settings | None = None, **others: Any) -> tuple[WebEnvironment, FlaskClient]:
    environment = make_environment(settings, readers={"gateway": reader}, **others)
    return environment, environment.app.test_client()


def send(client: FlaskClient, *events: dict[str, Any], **headers: str) -> TestResponse:
    body = events_body(events)
    return client.post("/receipts/gateway", data=body, headers=signed(body, NOW) | headers)


def sent_job(environment: WebEnvironment, **overrides: Any) -> Job:
    job = make_job(**({"status": Status.SENT, "provider": "gateway", "created_at": NOW} | overrides))
    environment.jobs.insert([job])
    return job


def status_of(environment: WebEnvironment, job: Job) -> Status:
    found = environment.jobs.get(job.job_id)
    assert found is not None
    return found.status


def test_a_signed_receipt_moves_its_job_without_key_and_session() -> None:
    environment, client = with_reader(reader())
    job = sent_job(environment)

    response = send(client, {"id": "e-1", "status": "DELIVRD", "reference": job.job_id})

    assert (response.status_code, response.data, response.headers["Content-Type"]) == (200, b"", "text/plain")
    assert status_of(environment, job) is Status.DELIVERED
    assert "Set-Cookie" not in response.headers
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
        {"webhook-timestamp": "1"},
        {"webhook-id": "another"},
    ],
    ids=str,
)
def test_what_is_not_signed_is_401_counted_and_leaves_nothing_behind(headers: dict[str, str]) -> None:
    environment, client = with_reader(reader())
    job = sent_job(environment)
    before = REGISTRY.get_sample_value("wavecom_receipts_refused_total", {"provider": "gateway"}) or 0

    with capture_logs() as logs:
        response = send(
            client, {"id": "e-1", "status": "DELIVRD", "reference": job.job_id, "to": "+447700900123"}, **headers
        )

    assert response.status_code == 401
    assert response.json is not None
    assert response.json["code"] == "wrong_signature"
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert status_of(environment, job) is Status.SENT
    assert (environment.pending.all(), environment.unreadable.kept) == ([], [])
    assert REGISTRY.get_sample_value("wavecom_receipts_refused_total", {"provider": "gateway"}) == before + 1
    assert "access_refused" in [line["event"] for line in logs]
    assert "7700900123" not in str(logs)


def test_a_name_that_no_provider_has_is_404() -> None:
    _, client = with_reader(reader())

    assert client.post("/receipts/stranger", data=b"{}").status_code == 404
    assert client.post("/receipts/", data=b"{}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_another_method_is_405_and_told_which_is_right(method: str) -> None:
    _, client = with_reader(reader())

    response = client.open("/receipts/gateway", method=method)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def test_a_reader_may_take_get() -> None:
    scripted = Scripted()
    _, client = with_reader(scripted)

    assert client.get("/receipts/gateway?status=delivered&id=%2B44").status_code == 200
    assert (scripted.requests[0].method, scripted.requests[0].query) == ("GET", "status=delivered&id=%2B44")


def test_a_body_over_the_limit_is_refused_unread() -> None:
    scripted = Scripted()
    _, client = with_reader(scripted)

    response = client.post("/receipts/gateway", data=b"x" * (BODY_LIMIT_BYTES + 1))

    assert response.status_code == 413
    assert str(BODY_LIMIT_BYTES) in response.text
    assert scripted.requests == []


@pytest.mark.parametrize("batch", [UnreadableReceiptError("no JSON"), KeyError("a bug"), ReceiptBatch(unreadable=1)])
def test_what_cannot_be_read_is_kept_raw_and_not_asked_for_again(batch: Any) -> None:
    environment, client = with_reader(Scripted(batch))

    response = client.post("/receipts/gateway", data=b"\xff\x00")

    assert response.status_code == 200
    assert [(name, kept.body) for name, kept in environment.unreadable.kept] == [("gateway", b"\xff\x00")]


def test_while_what_cannot_be_read_cannot_be_kept_it_is_asked_for_again() -> None:
    environment, client = with_reader(Scripted(UnreadableReceiptError("no JSON")))
    environment.unreadable.is_away = True

    assert client.post("/receipts/gateway", data=b"?").status_code == 503


def test_nothing_is_confirmed_that_is_not_stored() -> None:
    store = AwayStore(lambda: NOW)
    environment, client = with_reader(reader(), jobs=store)
    job = sent_job(environment)

    response = send(client, {"id": "e-1", "status": "DELIVRD", "reference": job.job_id})

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_a_bug_in_a_verifier_lets_nobody_in() -> None:
    _, client = with_reader(Scripted(verification=IndexError("of bytes that anybody sends")))

    assert client.post("/receipts/gateway", data=b"x").status_code == 401


def test_where_a_signature_cannot_be_verified_now_it_is_asked_for_again() -> None:
    _, client = with_reader(Scripted(verification=OSError("no answer")))

    response = client.post("/receipts/gateway", data=b"x")

    assert (response.status_code, "Retry-After" in response.headers) == (503, True)


def failing(_name: str, _url: str) -> object:
    raise OSError("no answer")


@pytest.mark.parametrize(("confirm", "status"), [(None, 200), (failing, 503)])
def test_a_subscription_is_confirmed_before_the_answer(
    confirm: Callable[[str, str], object] | None, status: int
) -> None:
    confirmed: list[tuple[str, str]] = []
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    _, client = with_reader(
        Scripted(ReceiptBatch(confirm_url=url)), confirm=confirm or (lambda *call: confirmed.append(call))
    )

    assert client.post("/receipts/gateway", data=b"{}").status_code == status
    assert confirmed == ([("gateway", url)] if confirm is None else [])


@pytest.mark.parametrize(
    ("settings", "headers", "url"),
    [
        ({}, {}, "http://localhost/receipts/gateway?a=%2B&b"),
        ({}, {"X-Forwarded-Proto": "https"}, "http://localhost/receipts/gateway?a=%2B&b"),
        ({"trusted_proxies": 1}, {"X-Forwarded-Proto": "https"}, "https://localhost/receipts/gateway?a=%2B&b"),
        (
            {"public_url": "https://bank.example/notify"},
            {"Host": "10.0.0.7:8000"},
            "https://bank.example/notify/receipts/gateway?a=%2B&b",
        ),
    ],
)
def test_a_reader_is_told_what_the_provider_has_called(
    settings: dict[str, Any], headers: dict[str, str], url: str
) -> None:
    scripted = Scripted()
    _, client = with_reader(scripted, Settings(secret_key="a secret for tests only", **settings))

    client.post("/receipts/gateway?a=%2B&b", data=b"", headers=headers)

    assert scripted.requests[0].url == url


def test_the_public_host_is_allowed() -> None:
    settings = Settings(secret_key="a secret for tests only", public_url="https://notify.bank.example")
    _, client = with_reader(Scripted(), settings)

    assert client.post("/receipts/gateway", headers={"Host": "notify.bank.example"}).status_code == 200
    assert client.post("/receipts/gateway", headers={"Host": "evil.example"}).status_code == 421


def test_many_receipts_in_one_request_are_applied_or_kept() -> None:
    environment, client = with_reader(reader())
    jobs = [sent_job(environment) for _ in range(120)]
    events = [{"id": f"e-{n}", "status": "DELIVRD", "reference": job.job_id} for n, job in enumerate(jobs)]

    response = send(client, *events, {"id": "e-x", "status": "DELIVRD", "message": "unknown"})

    assert response.status_code == 200
    assert {status_of(environment, job) for job in jobs} == {Status.DELIVERED}
    assert [each.receipt.message_id for each in environment.pending.all()] == ["unknown"]


@pytest.mark.parametrize(
    "first", [ReceiptBatch(one_time_token="t"), UnreadableReceiptError("no event that anybody knows", "t")]
)
def test_a_token_is_used_up_by_what_is_passed_over_or_unreadable_too(first: ReceiptBatch | Exception) -> None:
    scripted = Scripted(first)
    environment, client = with_reader(scripted)
    job = sent_job(environment)

    statuses = [client.post("/receipts/gateway", data=b"one").status_code for _ in range(2)]
    kept = len(environment.unreadable.kept)
    scripted.batch = ReceiptBatch(receipts=(make_receipt(job_id=job),), one_time_token="t")
    statuses.append(client.post("/receipts/gateway", data=b"another").status_code)
    scripted.batch = UnreadableReceiptError("no event that anybody knows", "t")
    statuses.append(client.post("/receipts/gateway", data=b"more").status_code)

    assert statuses == [200, 200, 401, 401]
    assert status_of(environment, job) is Status.SENT
    assert len(environment.unreadable.kept) == kept


def test_bytes_of_strangers_that_meet_a_bug_write_no_endless_traces() -> None:
    _, client = with_reader(Scripted(verification=IndexError("of bytes that anybody sends")))

    with capture_logs() as logs:
        statuses = {client.post("/receipts/gateway", data=b"x").status_code for _ in range(3 * LINES_EACH)}

    assert statuses == {401}
    traces = [line for line in logs if line.get("exc_info")]
    assert 1 <= len(traces) <= LINES_EACH


def test_a_token_that_is_signed_in_place_of_the_content_is_good_for_one_content() -> None:
    job, other = make_job_id(), make_job_id()
    batches = {
        b"one": ReceiptBatch(receipts=(make_receipt(job_id=job),), one_time_token="t"),
        b"another": ReceiptBatch(receipts=(make_receipt(job_id=other),), one_time_token="t"),
    }

    class ByBody(Scripted):
        def read(self, request: ReceiptRequest) -> ReceiptBatch:
            return batches[request.body]

    environment, client = with_reader(ByBody())
    jobs = [sent_job(environment, job_id=each) for each in (job, other)]

    statuses = [client.post("/receipts/gateway", data=body).status_code for body in (b"one", b"one", b"another")]

    assert statuses == [200, 200, 401]
    assert [status_of(environment, each) for each in jobs] == [Status.DELIVERED, Status.SENT]
