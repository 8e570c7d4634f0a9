"""The APIs of Amazon Web Services: a region, an access key, topics that report, and signed requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from wavecom.providers.api.base import ApiOptions
from wavecom.providers.aws.sigv4 import AwsCredentials, signed_headers
from wavecom.providers.configuration.options import host_name, secret, text, tuple_of

_ARNS = tuple_of(text(), 'must be a list such as ["arn:aws:sns:eu-west-1:123456789012:events"]')


# Without slots: SES's options are those of a mail API too, and two bases can't both have some.
@dataclass(frozen=True, kw_only=True, repr=False)
class AwsOptions(ApiOptions):
    """The keys of both types. ``topic_arns`` are the SNS topics that receipts, and replies, may come from."""

    region: Annotated[str, host_name()]
    access_key_id: Annotated[str, secret()]
    secret_access_key: Annotated[str, secret()]
    topic_arns: Annotated[tuple[str, ...], _ARNS] = ()
    configuration_set: Annotated[str | None, text()] = None


class AwsSigner:
    """Signs requests to one service of a region (Signature Version 4)."""

    def __init__(self, options: AwsOptions, service: str, now: Callable[[], datetime]) -> None:
        self._credentials = AwsCredentials(
            access_key_id=options.access_key_id,
            secret_access_key=options.secret_access_key,
            region=options.region,
            service=service,
        )
        self._now = now

    def signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> dict[str, str]:
        """``headers``, and those that sign the request."""
        return signed_headers(self._credentials, method, url, headers, body, self._now())
