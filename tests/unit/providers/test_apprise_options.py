"""Which addresses the type ``apprise`` takes, and that what is refused is not repeated."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import pytest

from wavecom.errors import ProvidersFileError
from wavecom.providers.file import parse_providers

# Apprise imports imghdr, which Python 3.11 and 3.12 call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def problems(urls: Sequence[str], channel: str = "sms") -> list[str]:
    source = f"""
        [providers.last]
        type = "apprise"
        channels = ["{channel}"]
        urls = {json.dumps(urls)}
        [routes]
        {channel} = ["last"]
    """
    try:
        parse_providers(source, {})
    except ProvidersFileError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "url",
    [
        "json://user:s3cret@gateway.example:8443/send?+Key={delivery_key}&-to={recipient}",
        "jsons://gateway.example/{recipient}",
        "clicksend://user:s3cret@{recipient}",
        f"twilio://AC{'a' * 32}:{'5' * 32}@+12025550100/{{recipient}}",
        "tgram://123456789:s3cret_abcdefghijklmnopqrstuvwxyz0/42",
    ],
)
def test_an_address_of_a_service_is_taken(url: str) -> None:
    assert problems([url], "sms") == []


@pytest.mark.parametrize(
    ("url", "channel", "sentence"),
    [
        ("nosuchservice://s3cret", "sms", "is no address that Apprise can send sms to"),
        ("s3cret", "sms", "is no address that Apprise can send sms to"),
        ("slack://s3cret", "push", "is no address that Apprise can send push to"),
        ("clicksend://user:s3cret@", "sms", "is no address that Apprise can send sms to"),
        ("clicksend://user:s3cret@{recipient}/+12025550100", "sms", "is no address that Apprise can send sms to"),
        # Telegram knows no numbers: it would send to whoever wrote to the bot last.
        ("tgram://123456789:s3cret_abcdefghijklmnopqrstuvwxyz0/{recipient}", "sms", "is no address that Apprise"),
        ("json://{recipient}/s3cret", "push", "must not have {recipient} in the place of the host"),
        ("json://s3cret:{recipient}@gateway.example", "push", "must not have {recipient} in the place of the host"),
        ("json://gateway.example/s3cret?retry=2", "sms", "must not have retry"),
        ("json://gateway.example/s3cret?optional=yes", "sms", "must not have optional"),
    ],
)
def test_an_address_that_can_not_be_used_safely_is_refused_and_not_repeated(
    url: str, channel: str, sentence: str
) -> None:
    [problem] = problems(["json://gateway.example", url], channel)

    assert problem.startswith(f"providers.last.urls: {sentence}")
    assert "s3cret" not in problem


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed."""
    monkeypatch.setitem(sys.modules, "apprise", None)


def test_without_the_library_the_extra_is_named(no_library: None) -> None:
    [problem] = problems(["json://gateway.example"])

    assert problem == (
        "providers.last.type: needs the library apprise: install WaveCom with its extra, as in "
        "pip install 'wavecom[apprise]'"
    )
