"""Signature Version 4, with botocore's own signer as the judge."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from wavecom.providers.aws.sigv4 import AwsCredentials, signed_headers

NOW = datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC)
CREDENTIALS = AwsCredentials(
    access_key_id="AKIDEXAMPLE", secret_access_key="s3cret/+key", region="eu-west-1", service="ses"
)


def botocores(method: str, url: str, headers: dict[str, str], body: bytes) -> str:
    """The Authorization header that botocore makes."""
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    with time_machine.travel(NOW, tick=False):
        SigV4Auth(Credentials("AKIDEXAMPLE", "s3cret/+key"), "ses", "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize(
    "url",
    [
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "https://email.eu-west-1.amazonaws.com:443/",
        "https://email.eu-west-1.amazonaws.com",
        "http://127.0.0.1:8080/v2/email/account",
        "http://127.0.0.1:80/v2/email/account",
        "https://host.example/v2/email/identities/bank%40example.org",
        "https://host.example/a?b=1&a=%20x&a=&c",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_is_signed_as_botocore_signs_it(method: str, url: str) -> None:
    headers = {"Content-Type": "application/json", "X-Odd": "  two   blanks "}

    signed = signed_headers(CREDENTIALS, method, url, headers, b'{"a": 1}', NOW)

    assert signed["Authorization"] == botocores(method, url, headers, b'{"a": 1}')
    assert signed["X-Amz-Date"] == "20261122T120005Z"
    assert signed.items() >= headers.items()


@settings(max_examples=200)
@given(
    body=st.binary(max_size=200),
    query=st.lists(st.tuples(st.from_regex(r"\A[A-Za-z0-9._~-]{1,5}\Z"), st.from_regex(r"\A[A-Za-z0-9._~-]{0,5}\Z"))),
)
def test_any_body_and_query_are_signed_as_botocore_signs_them(body: bytes, query: list[tuple[str, str]]) -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?" + "&".join(f"{name}={value}" for name, value in query)

    signed = signed_headers(CREDENTIALS, "POST", url, {}, body, NOW)

    assert signed["Authorization"] == botocores("POST", url, {}, body)


def test_the_secret_is_never_shown() -> None:
    assert "s3cret" not in repr(CREDENTIALS)
