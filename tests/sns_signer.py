"""A stand-in for Amazon SNS: it signs messages with a certificate of its own, which it hands out."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

#: What SNS signs of each type of message, in its order.
ORDER: Mapping[str, str] = {
    "Notification": "Message MessageId Subject Timestamp TopicArn Type",
    "SubscriptionConfirmation": "Message MessageId SubscribeURL Timestamp Token TopicArn Type",
    "UnsubscribeConfirmation": "Message MessageId SubscribeURL Timestamp Token TopicArn Type",
}
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-events"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem"


class SnsSigner:
    """One key with its certificate, valid around ``now``."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=30))
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def message(self, text: str = "", *, version: str = "2", **changes: str) -> dict[str, str]:
        """A signed message; ``changes`` are made before it is signed."""
        at = self._now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        content = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": text,
            "Timestamp": at,
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
        } | changes
        names = [name for name in ORDER[content["Type"]].split() if name in content]
        signed = "".join(f"{name}\n{content[name]}\n" for name in names).encode()
        algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
        signature = self._key.sign(signed, padding.PKCS1v15(), algorithm)
        return content | {"Signature": b64encode(signature).decode()}

    def body(self, text: str = "", *, version: str = "2", **changes: str) -> bytes:
        """The same as SNS posts it."""
        return json.dumps(self.message(text, version=version, **changes), indent=2).encode()
