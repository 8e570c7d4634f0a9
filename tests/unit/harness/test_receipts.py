"""The receipts of the recording provider are signed and written as the providers file of the application says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from harness.http_client import Address
from harness.receipts import DELAYS, PER_MESSAGE, WebhookRequest, signed_post
from harness.subject import MAIN, ApplicationSetup, ProviderPlan, WaveCom
from tests.unit.harness.test_subject import config_in
from wavecom.core.receipts import ReceiptKind, ReceiptRequest
from wavecom.providers.file import read_receiving_providers
from wavecom.services.receipts import readers_of

URL = f"http://127.0.0.1:8000/receipts/{MAIN}"
JOB_IDS = [b"018f3b1e-0000-7000-8000-000000000001", b"018f3b1e-0000-7000-8000-000000000002"]


def test_reports_are_signed_and_written_as_the_providers_file_says(tmp_path: Path) -> None:
    WaveCom().processes(config_in(tmp_path, ApplicationSetup({MAIN: ProviderPlan(has_receipts=True)})))
    reader = readers_of(read_receiving_providers(tmp_path / "providers.toml", {}), None)[MAIN]
    events = [(word, job_id) for word in DELAYS for job_id in JOB_IDS]
    request = WebhookRequest("report-1", events, due_at=0.0)
    head, _, body = signed_post(Address.of(URL), request).partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    received = ReceiptRequest(
        method="POST",
        url=URL,
        query="",
        headers={name.lower(): value for name, _, value in lines},
        body=body,
        at=datetime.now(UTC),
    )

    reader.verify(received)
    batch = reader.read(received)

    assert (len(batch.receipts), batch.unreadable) == (PER_MESSAGE * len(JOB_IDS), 0)
    assert {receipt.job_id for receipt in batch.receipts} == {job_id.decode() for job_id in JOB_IDS}
    assert {receipt.kind for receipt in batch.receipts} == {ReceiptKind.PROGRESS, ReceiptKind.DELIVERED}
    assert len({receipt.event_id for receipt in batch.receipts}) == len(batch.receipts)


def test_a_provider_without_receipts_has_no_table_of_them(tmp_path: Path) -> None:
    WaveCom().processes(config_in(tmp_path, ApplicationSetup()))

    assert read_receiving_providers(tmp_path / "providers.toml", {}) == {}
