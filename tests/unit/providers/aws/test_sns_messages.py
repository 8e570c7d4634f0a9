"""Messages of SNS: only what SNS signed for one of our topics, of late, by a certificate of its own host, is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sns_signer import CERTIFICATE_URL, TOPIC, SnsSigner
from wavecom.core.receipts import ReceiptRequest, SignatureError, UnreadableReceiptError
from wavecom.providers.aws.sns_messages import SnsVerifier

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SIGNER = SnsSigner(NOW)
SUBSCRIBE_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"


@dataclass
class PublishedCertificates:
    """Certificates by their addresses; counts who asks."""

    certificates: dict[str, bytes] = field(default_factory=lambda: {CERTIFICATE_URL: SIGNER.pem})
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def __call__(self, url: str, *, ca_file: str | None = None) -> bytes:
        self.asked.append((url, ca_file))
        if url not in self.certificates:
            raise OSError("not found")
        return self.certificates[url]


def posted(body: bytes, at: datetime = NOW) -> ReceiptRequest:
    return ReceiptRequest(method="POST", url="", query="", headers={}, body=body, at=at)


def verifier(certificates: PublishedCertificates | None = None, **options: str) -> SnsVerifier:
    return SnsVerifier([TOPIC], certificates or PublishedCertificates(), **options)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("changes", [{}, {"Subject": "Amazon SES Email Event Notification"}])
def test_a_notification_is_verified_by_either_hash_and_read(version: str, changes: dict[str, str]) -> None:
    request = posted(SIGNER.body('{"a": "ü\n"}', version=version, **changes))
    own = verifier()

    own.verify(request)

    message = own.read(request)
    assert (message.type, message.topic_arn, message.text) == ("Notification", TOPIC, '{"a": "ü\n"}')
    assert message.subscribe_url is None


def test_a_certificate_is_fetched_once() -> None:
    certificates = PublishedCertificates()
    own = verifier(certificates, ca_file="ca.pem")

    for text in ("one", "two"):
        own.verify(posted(SIGNER.body(text)))

    assert certificates.asked == [(CERTIFICATE_URL, "ca.pem")]


def test_addresses_that_anybody_names_are_called_some_times_a_minute() -> None:
    published = PublishedCertificates()
    own = verifier(published)
    own.verify(posted(SIGNER.body("{}")))
    asked_before = len(published.asked)

    for number in range(100):
        with pytest.raises(OSError, match=r"not found|too many"):
            own.verify(posted(SIGNER.body("{}", SigningCertURL=CERTIFICATE_URL.replace(".pem", f"{number}.pem"))))

    assert len(published.asked) - asked_before < 50
    own.verify(posted(SIGNER.body("{}")))
    # A minute later a certificate that is new is fetched again.
    new = CERTIFICATE_URL.replace(".pem", "new.pem")
    published.certificates[new] = SIGNER.pem
    own.verify(posted(SIGNER.body("{}", SigningCertURL=new), at=NOW + timedelta(minutes=2)))


def test_a_confirmation_of_our_topic_has_the_address_to_call() -> None:
    request = posted(SIGNER.body(Type="SubscriptionConfirmation", Token="t", SubscribeURL=SUBSCRIBE_URL))
    own = verifier()

    own.verify(request)

    assert own.read(request).subscribe_url == SUBSCRIBE_URL


def test_a_confirmation_that_leads_elsewhere_is_not_read() -> None:
    elsewhere = "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription"
    request = posted(SIGNER.body(Type="SubscriptionConfirmation", Token="t", SubscribeURL=elsewhere))
    own = verifier()
    own.verify(request)

    with pytest.raises(UnreadableReceiptError, match="SubscribeURL"):
        own.read(request)


def test_an_end_of_a_subscription_has_nothing_to_call() -> None:
    request = posted(SIGNER.body(Type="UnsubscribeConfirmation", Token="t", SubscribeURL=SUBSCRIBE_URL))
    own = verifier()
    own.verify(request)

    assert own.read(request).subscribe_url is None


def test_a_message_of_another_topic_is_refused_before_anything_is_fetched() -> None:
    certificates = PublishedCertificates()

    with pytest.raises(SignatureError, match="topic_arns"):
        verifier(certificates).verify(posted(SIGNER.body(TopicArn=TOPIC + "-of-others")))
    assert certificates.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://bucket.s3.amazonaws.com/x.pem",
        "https://sns.s3.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.s3-eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com/?Action=GetEndpointAttributes&X-Amz-Signature=0",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?Action=GetEndpointAttributes",
        "https://sns.eu-west-1.amazonaws.com/?/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
        "https://snsXeu-west-1.amazonaws.com/x.pem",
        "https://[::1/x.pem",
        "file:///etc/passwd",
        "https://127.0.0.1/x.pem",
        "",
    ],
)
def test_a_certificate_is_fetched_from_sns_alone(url: str) -> None:
    certificates = PublishedCertificates({url: SIGNER.pem})

    with pytest.raises(SignatureError, match="SigningCertURL"):
        verifier(certificates).verify(posted(SIGNER.body(SigningCertURL=url)))
    assert certificates.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "sns.us-east-1.amazonaws.com",
        "sns.ap-southeast-2.amazonaws.com",
        "sns.us-gov-west-1.amazonaws.com",
        "sns.cn-north-1.amazonaws.com.cn",
    ],
)
def test_every_region_has_certificates(host: str) -> None:
    url = f"https://{host}/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem"

    verifier(PublishedCertificates({url: SIGNER.pem})).verify(posted(SIGNER.body(SigningCertURL=url)))


@pytest.mark.parametrize(
    ("base_url", "host", "is_trusted"),
    [
        ("https://sns.vpce.example:8443", "https://sns.vpce.example:8443", True),
        ("https://sns.vpce.example:8443", "https://sns.vpce.example", False),
        ("https://sns.vpce.example:8443", "https://127.0.0.1:8443", False),
        ("http://127.0.0.1:8080", "https://localhost:9443", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", False),
        ("http://127.0.0.1:8080", "https://sns.example", False),
        ("http://sns.example", "http://sns.example", False),
    ],
)
def test_where_the_api_is_called_elsewhere_its_host_has_certificates_too(
    base_url: str, host: str, is_trusted: bool
) -> None:
    url = f"{host}/SimpleNotificationService-1.pem"
    own = verifier(PublishedCertificates({url: SIGNER.pem}), base_url=base_url)
    request = posted(SIGNER.body(SigningCertURL=url))

    if is_trusted:
        own.verify(request)
    else:
        with pytest.raises(SignatureError, match="not an address of SNS"):
            own.verify(request)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "TopicArn", "Type", "Signature", "Subject"])
def test_whatever_is_changed_after_signing_is_noticed(name: str) -> None:
    message = SIGNER.message("delivered", Subject="s")
    changed = {"Type": "SubscriptionConfirmation", "Timestamp": "2026-11-22T12:00:01.000Z", "Signature": "AAAA"}
    message[name] = changed.get(name, "changed")

    with pytest.raises(SignatureError):
        verifier().verify(posted(json.dumps(message).encode()))


@pytest.mark.parametrize("version", ["3", "", "0"])
def test_a_kind_of_signature_that_nobody_knows_is_refused(version: str) -> None:
    message = SIGNER.message("x") | {"SignatureVersion": version}

    with pytest.raises(SignatureError, match="kind"):
        verifier().verify(posted(json.dumps(message).encode()))


def test_another_key_than_the_certificates_is_refused() -> None:
    with pytest.raises(SignatureError, match="wrong"):
        verifier().verify(posted(SnsSigner(NOW).body("x")))


@pytest.mark.parametrize(
    ("age", "is_good"),
    [
        (timedelta(minutes=64), True),  # its last repetition
        (timedelta(minutes=66), False),
        (-timedelta(minutes=4), True),
        (-timedelta(minutes=6), False),
    ],
)
def test_a_message_is_taken_as_long_as_sns_repeats_it(age: timedelta, is_good: bool) -> None:
    request = posted(SIGNER.body("x"), NOW + age)

    if is_good:
        verifier().verify(request)
    else:
        with pytest.raises(SignatureError, match="too old"):
            verifier().verify(request)


def test_a_certificate_that_has_ended_is_refused() -> None:
    old = SnsSigner(NOW - timedelta(days=31))
    at = NOW.isoformat().replace("+00:00", "Z")

    with pytest.raises(SignatureError, match="certificate is not valid"):
        verifier(PublishedCertificates({CERTIFICATE_URL: old.pem})).verify(posted(old.body("x", Timestamp=at)))


@pytest.mark.parametrize("pem", [None, b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_without_a_certificate_nothing_is_believed(pem: bytes | None) -> None:
    certificates = PublishedCertificates({} if pem is None else {CERTIFICATE_URL: pem})

    with pytest.raises(OSError if pem is None else SignatureError):
        verifier(certificates).verify(posted(SIGNER.body("x")))


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=100),
        st.dictionaries(
            st.sampled_from(["Type", "TopicArn", "Timestamp", "SigningCertURL", "Signature", "SignatureVersion"]),
            st.one_of(
                st.text(max_size=20),
                st.none(),
                st.integers(),
                st.lists(st.none(), max_size=1),
                st.sampled_from(["Notification", TOPIC, CERTIFICATE_URL, "2", "2026-11-22T12:00:00Z"]),
            ),
        ).map(lambda content: json.dumps(content).encode()),
    )
)
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(SignatureError):
        verifier().verify(posted(body))
