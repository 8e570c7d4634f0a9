"""Messages to try templates on: of each channel one with the least that the API takes, and one with more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from wavecom.core.job import JobId
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message

_LEAST: Final[Mapping[Channel, tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]]] = {
    Channel.EMAIL: (
        ({"email": "amina@example.com"}, {"subject": "Subject", "text": "Text"}),
        ({"email": "amina@example.com", "name": "Amina"}, {"subject": "Subject", "html": "<p>Text</p>"}),
    ),
    Channel.SMS: (({"phone": "+447700900123"}, {"text": "Text"}),),
    Channel.PUSH: (
        ({"platform": "fcm", "token": "token"}, {"title": "Title", "body": "Text"}),
        ({"platform": "apns", "token": "ab" * 32}, {"data": {"kind": "quiet"}}),
    ),
}


def sample_messages(channels: frozenset[Channel]) -> Iterator[Message]:
    """Some for each channel. A template that needs what one of them lacks would fail with such messages of clients."""
    for channel in sorted(channels):
        for to, payload in _LEAST[channel]:
            yield Message(JobId("0198c4a1-0000-7000-8000-000000000000"), "key", channel, to, payload, {}, 1)
