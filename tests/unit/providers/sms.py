"""Providers of text messages as the providers file declares them, and what they would send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from tests.unit.providers.conftest import NOW, Environment, message_for
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message, Provider
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.factory import build_providers
from wavecom.providers.file import parse_providers
from wavecom.providers.transport import Request

RECEIPTS_URL = "https://notify.bank.example/receipts"


def sms_provider(environment: Environment, table: str, receipts_url: str | None = None) -> Provider:
    """The provider that ``table`` declares as ``it``."""
    config = parse_providers(f"[providers.it]\n{table}\n[routes]\nsms = ['it']", {})
    dependencies = ProviderDependencies(
        transport=environment.transport, outbox=environment.outbox, clock=environment.clock, receipts_url=receipts_url
    )
    return build_providers(config, dependencies)["it"]


def sms(text: str = "Ihr Code: 123456", *, seconds: float | None = None, **payload: Any) -> Message:
    """A text message of the job ``job-1``, worth nothing after ``seconds``."""
    expires_at = None if seconds is None else NOW + timedelta(seconds=seconds)
    content = {"text": text, **payload}
    return message_for(
        Channel.SMS, job_id=JobId("job-1"), payload=content, to={"phone": "+12025550143"}, expires_at=expires_at
    )


def sent_request(environment: Environment, provider: Provider, message: Message) -> Request:
    """The request that goes out for the message."""
    provider.send(message)
    return environment.transport.requests[-1]


def form(request: Request) -> dict[str, str]:
    """The fields of a form."""
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
