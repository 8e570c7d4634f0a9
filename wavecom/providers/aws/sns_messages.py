"""Messages that Amazon SNS posts to a subscriber: verified by the certificate that they name, then read.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import re
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import Certificate, load_pem_x509_certificate

from wavecom.core.receipts import ReceiptRequest, SignatureError, UnreadableReceiptError
from wavecom.providers.configuration.options import is_this_machine

#: What is signed, in this order (the page above); ``Subject`` only where there is one.
_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES: Final[Mapping[str, Callable[[], hashes.HashAlgorithm]]] = {"1": hashes.SHA1, "2": hashes.SHA256}
#: ``sns.<region>`` and nothing like it: ``sns.s3`` is a bucket that somebody owns.
_HOST: Final = re.compile(r"sns\.[a-z]+(-[a-z]+)+-[0-9]+\.amazonaws\.com(\.cn)?")
#: Where a host of SNS has certificates. Anywhere else it answers what its customers have put there: with a presigned
#: address of GetEndpointAttributes anybody's own certificate
#: (https://spaceraccoon.dev/exploiting-improper-validation-amazon-simple-notification-service/).
_CERTIFICATE_PATH: Final = re.compile(r"(/[A-Za-z0-9_-]+)*/SimpleNotificationService-[A-Za-z0-9]+\.pem")
#: SNS repeats a message for an hour at most, with the time of the first attempt
#: (https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html).
LONGEST_RETRIES: Final = timedelta(hours=1)
#: Clocks may differ by so much.
_CLOCK_SKEW: Final = timedelta(minutes=5)
_MOST_CERTIFICATES: Final = 16
#: Anybody may name addresses that look right: no more are called than this, in this time. Those of ours change a few
#: times a year, and what was not taken meanwhile SNS sends again: one of its messages comes first sooner or later.
_FETCHES_LIMIT: Final = 30
_FETCHES_WINDOW: Final = timedelta(minutes=1)


class FetchCertificate(Protocol):
    """Gets a certificate (``wavecom.providers.receipts.Fetch``)."""

    def __call__(self, url: str, *, ca_file: str | None = None) -> bytes:
        """Raises ``OSError``."""
        ...


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """One verified message. ``text`` is what was published; of a confirmation, a sentence for people."""

    type: str
    message_id: str
    topic_arn: str
    text: str = field(repr=False)
    #: Where a SubscriptionConfirmation is confirmed, by a GET; None: nothing to confirm.
    subscribe_url: str | None = field(default=None, repr=False)


class SnsVerifier:
    """Verifies messages of the topics ``topic_arns``. Thread-safe.

    Certificates come from ``sns.<region>.amazonaws.com`` over https or, where the API is called elsewhere, from the
    host of ``base_url``, over https too; where that is this machine, from any of its ports. Each is fetched once, and
    only some a minute.
    """

    def __init__(
        self,
        topic_arns: Collection[str],
        fetch: FetchCertificate,
        *,
        base_url: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._topic_arns = frozenset(topic_arns)
        self._fetch = fetch
        self._own = urlsplit(base_url) if base_url else None
        self._ca_file = ca_file
        self._certificates: dict[str, Certificate] = {}
        #: When the last ones were asked for.
        self._fetches: deque[datetime] = deque(maxlen=_FETCHES_LIMIT)
        self._lock = threading.Lock()

    def verify(self, request: ReceiptRequest) -> None:
        """Raises ``SignatureError`` unless SNS sent this, of late, for one of our topics.

        ``OSError`` where the certificate can't be had: SNS, which gives up after a 401, is to send it again.
        """
        try:
            fields = _fields(request.body)
        except UnreadableReceiptError as error:
            raise SignatureError(str(error)) from None
        if fields.get("TopicArn") not in self._topic_arns:
            raise SignatureError("the topic is none of topic_arns")
        _check_time(fields.get("Timestamp"), request.at)
        certificate = self._certificate(fields.get("SigningCertURL"), request.at)
        if not certificate.not_valid_before_utc <= request.at <= certificate.not_valid_after_utc:
            raise SignatureError("the certificate is not valid at this time")
        key = certificate.public_key()
        algorithm = _HASHES.get(fields.get("SignatureVersion", ""))
        if not isinstance(key, rsa.RSAPublicKey) or algorithm is None:
            raise SignatureError("the kind of signature is not known")
        try:
            signature = b64decode(fields.get("Signature", ""), validate=True)
            key.verify(signature, _signed_text(fields), padding.PKCS1v15(), algorithm())
        except (InvalidSignature, ValueError):
            raise SignatureError("the signature is wrong") from None

    def read(self, request: ReceiptRequest) -> SnsMessage:
        """A verified request's message. Raises ``UnreadableReceiptError``."""
        fields = _fields(request.body)
        url = fields.get("SubscribeURL") if fields["Type"] == "SubscriptionConfirmation" else None
        if url is not None and not self._is_trusted(url):
            raise UnreadableReceiptError("SubscribeURL is not an address of SNS")
        try:
            return SnsMessage(fields["Type"], fields["MessageId"], fields["TopicArn"], fields["Message"], url)
        except KeyError as error:
            raise UnreadableReceiptError(f"{error.args[0]} is missing") from None

    def _certificate(self, url: str | None, now: datetime) -> Certificate:
        if url is None or not self._is_trusted(url) or not _is_of_certificate(url):
            raise SignatureError("SigningCertURL is not an address of SNS where it has certificates")
        with self._lock:
            found = self._certificates.get(url)
            if found is not None:
                return found
            if len(self._fetches) == _FETCHES_LIMIT and now - self._fetches[0] < _FETCHES_WINDOW:
                raise OSError("too many addresses of certificates within a minute")
            self._fetches.append(now)
        try:
            # Once more where two ask at once, rather than have one wait for the other's network.
            found = load_pem_x509_certificate(self._fetch(url, ca_file=self._ca_file))
        except ValueError:
            raise SignatureError("the certificate can't be read") from None
        with self._lock:
            if len(self._certificates) >= _MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = found
        return found

    def _is_trusted(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.username is not None or not url.isascii():
            return False
        own = self._own
        if parts.scheme != "https":
            return False
        if own is not None and (own.scheme, own.netloc) == (parts.scheme, parts.netloc):
            return True
        if own is not None and is_this_machine(own.hostname or "") and is_this_machine(host):
            return True
        return port in {None, 443} and _HOST.fullmatch(host) is not None


def _is_of_certificate(url: str) -> bool:
    parts = urlsplit(url)
    return not parts.query and _CERTIFICATE_PATH.fullmatch(parts.path) is not None


def _fields(body: bytes) -> dict[str, str]:
    """The texts in a message. Raises ``UnreadableReceiptError``."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableReceiptError("the body is not JSON") from None
    texts = content.items() if isinstance(content, dict) else ()
    fields = {name: value for name, value in texts if isinstance(value, str)}
    if fields.get("Type") not in _SIGNED:
        raise UnreadableReceiptError("the body is no message of SNS")
    return fields


def _signed_text(fields: Mapping[str, str]) -> bytes:
    names = [name for name in _SIGNED[fields["Type"]] if name in fields]
    return "".join(f"{name}\n{fields[name]}\n" for name in names).encode()


def _check_time(value: str | None, now: datetime) -> None:
    try:
        at = datetime.fromisoformat(value or "")
        age = now - (at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise SignatureError("Timestamp is no time") from None
    if not -_CLOCK_SKEW <= age <= LONGEST_RETRIES + _CLOCK_SKEW:
        raise SignatureError("the message is too old, or of the future")
