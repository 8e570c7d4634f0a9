"""What who has just started WaveCom is told to paste, and whom it reaches."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from wavecom.local.first_request import first_request
from wavecom.providers.file import parse_providers

SANDBOX = '[providers.box]\ntype = "sandbox"\n'
GATEWAY = '[providers.gateway]\ntype = "http"\nurl = "https://sms.example/send"\n'


def shown(routes: str, providers: str = SANDBOX + GATEWAY) -> str:
    return first_request(parse_providers(f"{providers}[routes]\n{routes}\n", {}), "http://127.0.0.1:8000", "wc_live_x")


def pasted(text: str) -> dict[str, object]:
    words = shlex.split(next(line for line in text.splitlines() if line.startswith("curl ")))
    body: dict[str, object] = json.loads(words[words.index("-d") + 1])
    return body


def test_without_a_file_a_text_message_goes_to_the_sandbox() -> None:
    text = first_request(None, "http://127.0.0.1:8000", "wc_live_x")

    assert "to the sandbox, which reaches nobody" in text
    assert pasted(text)["type"] == "sms"


@pytest.mark.parametrize(
    ("routes", "channel"),
    [
        ('sms = ["box"]\nemail = ["gateway"]', "sms"),
        ('sms = ["gateway"]\nemail = ["box"]', "email"),
        ('sms = ["gateway", "box"]\npush = ["box"]', "push"),
    ],
)
def test_a_channel_that_only_the_sandbox_serves_comes_first(routes: str, channel: str) -> None:
    text = shown(routes)

    assert pasted(text)["type"] == channel
    assert "to the sandbox" in text
    assert "Warning" not in text


@pytest.mark.parametrize(
    ("routes", "channel"),
    [('sms = ["gateway"]', "sms"), ('email = ["gateway"]', "email"), ('sms = ["box", "gateway"]', "sms")],
)
def test_a_real_provider_is_named_with_a_warning(routes: str, channel: str) -> None:
    text = shown(routes)

    assert pasted(text)["type"] == channel
    assert "through gateway (http). Warning" in text
    assert re.search("reaches whoever has the address", text)
